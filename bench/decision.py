"""What a decision about a rollout costs, after a thousand, a hundred thousand and ten million requests a minute.

    python bench/decision.py [--quick] [--rates 1000,100000,10000000] [--minutes 1] [--rounds 30]

A plane for each rate, on SQLite; a domain whose users are its units, with a canary at 10 % under three guardrails
(errors, the mean latency, its 95th percentile). So many outcomes as come in that time are shipped as gateways ship
them, 5,000 at once. Then the planes take turns: ten more outcomes come, and the reconciler makes a pass: takes leases,
reads the evidence, judges it, stores what it saw. The pass is what is measured, in the processor's time of the process
and on the clock. "Canary requests" are those that the last look counted.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vedette.control.plane import ControlPlane
    from vedette.evidence.outcome import Outcome
    from vedette.routing.choose import CompiledPlan

_BATCH, _NEW = 5_000, 10
_BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)
_GUARDRAILS = ({"metric": "errors"}, {"metric": "latency-mean"}, {"metric": "latency-p95"})


class Place:
    """A plane whose clock stands where it is put, its domain, and its traffic."""

    def __init__(self, folder: Path, rate: int, stack: ExitStack) -> None:
        from vedette.catalog.domain import DomainSpec
        from vedette.catalog.version import VersionSpec
        from vedette.control.instruments import Instruments
        from vedette.control.plane import open_plane
        from vedette.kernel.documents import load

        place = self

        class Clock(Instruments):
            def now(self) -> datetime:
                return place.now

            def monotonic(self) -> float:
                return (place.now - _BEGAN).total_seconds()

        self.rate, self.now, self._draw, self._sent = rate, _BEGAN, random.Random(rate), 0
        self.plane: ControlPlane = stack.enter_context(open_plane(folder, actor="bench", instruments=Clock()))
        spec = load(DomainSpec, {"config": {"assignment": {"unit": "user"}}})
        self.plane.domains.create("claims", spec, actor="bench")
        for version in ("v1", "v2"):
            backend = {"kind": "openai", "url": "http://localhost:1/v1", "model": version}
            self.plane.versions.register("claims", version, load(VersionSpec, {"backend": backend}), actor="bench")
        self.plane.versions.install("claims", "v1", actor="bench")
        asked = {"steps": [{"weight": 10, "bake": "1d"}, {"weight": 100}], "guardrails": list(_GUARDRAILS)}
        self.plane.canary.deploy_with_rollout("claims", "v2", asked, actor="bench")
        for _ in range(3):
            self.look()
            self.plane.traffic.confirm("gateway", {"claims": self.plane.traffic.plan("claims").revision})

    def look(self) -> None:
        """Let the reconciler make a pass, five seconds after the one before."""
        self.now += timedelta(seconds=5)
        self.plane.reconciler.tick()

    def serve(self, count: int, *, seconds: float = 0.0) -> None:
        """Ship so many outcomes, spread over the seconds that now pass."""
        from vedette.routing.choose import CompiledPlan

        plan = CompiledPlan(self.plane.traffic.plan("claims"))
        made = self._outcomes(plan, count, seconds)
        while batch := list(islice(made, _BATCH)):
            self.plane.lake.ship(f"batch-{self._sent}", batch)
        self.now += timedelta(seconds=seconds)

    def _outcomes(self, plan: "CompiledPlan", count: int, seconds: float) -> "Iterator[Outcome]":
        from vedette.evidence.outcome import Outcome, OutcomeStatus
        from vedette.kernel.ids import uuid7

        first = int(self.now.timestamp() * 1000)
        for number in range(count):
            self._sent += 1
            choice = plan.choose(f"user-{self._draw.randrange(200_000)}")
            offset = int(1000 * seconds * number / count)
            failed = self._draw.random() < 0.01
            yield Outcome(
                id=uuid7(first + offset, self._draw.randbytes(10)),
                domain="claims",
                at=self.now + timedelta(milliseconds=offset),
                assigned=choice.version,
                served=choice.version,
                plan_revision=plan.plan.revision,
                bucket=choice.bucket,
                status=OutcomeStatus.ERROR if failed else OutcomeStatus.OK,
                measures={"error": float(failed), "latency_ms": self._draw.lognormvariate(6, 0.5)},
            )


def main() -> None:
    """Fill, measure, and print."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.store_data import arguments, cpu

    parser = arguments(__doc__)
    parser.add_argument("--rates", default="1000,100000,10000000", help="requests a minute")
    parser.add_argument("--minutes", type=int, default=1, help="of history")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    rates = [100, 1_000, 10_000] if options.quick else [int(rate) for rate in options.rates.split(",")]
    rounds = 3 if options.quick else options.rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        places = [Place(Path(folder, str(rate)), rate, stack) for rate in rates]
        for place in places:
            begun = time.monotonic()
            place.serve(place.rate * options.minutes, seconds=60.0 * options.minutes)
            said = f"{place.rate * options.minutes:,} outcomes of {options.minutes} min"
            print(f"{said} shipped in {time.monotonic() - begun:.0f} s", flush=True)
        spent: dict[int, list[tuple[float, float]]] = {rate: [] for rate in rates}
        for _ in range(rounds):
            for place in places:
                place.serve(_NEW)
                begun = time.perf_counter()
                used = cpu(place.look)
                spent[place.rate].append((used, time.perf_counter() - begun))
        _show(places, spent)


def _show(places: list[Place], spent: dict[int, list[tuple[float, float]]]) -> None:
    from statistics import median

    base = median(used for used, _ in spent[places[0].rate])
    print(f"\n{'requests a minute':>20}{'CPU ms':>10}{'best':>8}{'ratio':>8}{'clock ms':>10}{'canary requests':>18}")
    for place in places:
        used, clock = zip(*spent[place.rate], strict=True)
        phase = place.plane.canary.get("claims").status.phase
        if phase != "progressing":
            raise SystemExit(f"the rollout is {phase}: what was measured is no decision about it")
        seen = place.plane.canary.looks("claims", limit=1, newest_first=True).items[0]
        canary = sum(cell["canary"] for cell in seen.observations["exposures"])
        figures = (
            f"{median(used) * 1e3:10.2f}{min(used) * 1e3:8.2f}{median(used) / base:8.2f}{median(clock) * 1e3:10.2f}"
        )
        print(f"{place.rate:20,}{figures}{canary:18,.0f}")


if __name__ == "__main__":
    main()
