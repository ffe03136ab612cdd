"""Experiments that tests of the command line draft, and what their users see."""

from datetime import UTC, datetime

from tests.cli.conftest import Stage

from vedette.control.plane import open_plane
from vedette.evidence.outcome import Outcome, OutcomeStatus

TONE = ("experiment", "create", "payments", "--name", "tone", "--metric", "errors")
PAIR = (*TONE, "--variant", "base", "--variant", "v2")


def serve(stage: Stage, users: int = 900, failing: dict[str, int] | None = None, passes: int = 1) -> None:
    """Record what users saw by the plan in force, and reconcile; of an arm every ``failing``-th answer is an error."""
    with open_plane(stage.folder) as plane:
        compiled = plane.traffic.compiled("payments")
        made = []
        for user in range(users):
            choice, seen = compiled.assign(f"user-{user}", {"x-plan": "pro" if user % 3 else "free"})
            every = next((each for arm, each in (failing or {}).items() if arm in seen.names.values()), 40)
            made.append(
                Outcome(
                    id=f"o-{compiled.plan.revision}-{user}",
                    domain="payments",
                    at=datetime.now(UTC),
                    assigned=choice.version,
                    served=choice.version,
                    plan_revision=0 if choice.arm == "experiment" else compiled.plan.revision,
                    bucket=choice.bucket,
                    status=OutcomeStatus.OK,
                    measures={"error": float(user % every == 0), "latency_ms": 5.0 + user % 9},
                    exposures=seen.exposures,
                    dimensions=dict(seen.dimensions),
                )
            )
        plane.lake.ship(f"batch-{compiled.plan.revision}", made)
        for _ in range(passes):
            plane.traffic.confirm("gateway", {"payments": plane.traffic.plan("payments").revision})
            plane.reconciler.tick()
        plane.reconciler.release()
