"""How long a rollout still takes."""

from collections.abc import Collection

from vedette.kernel.decision import Reason
from vedette.rollouts.machine import RolloutStatus
from vedette.rollouts.spec import RolloutSpec

_BY_ITSELF = {"baking", "few-samples", "no-evidence-against", "non-inferior"}


def seconds_left(spec: RolloutSpec, status: RolloutStatus, reasons: Collection[Reason]) -> float | None:
    """Say how many seconds it takes to the end if nothing but bakes hold it; None when something else does."""
    if {reason.code for reason in reasons} - _BY_ITSELF:
        return None
    left = next((reason.evidence.get("left") for reason in reasons if reason.code == "baking"), 0.0)
    later = sum(step.bake for step in spec.steps[status.step + 1 :])
    return float(left) + later if isinstance(left, (int, float)) else None
