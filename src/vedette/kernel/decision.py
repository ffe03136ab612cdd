"""One shape for every verdict in the product: what to do, and why, with the evidence it was made from."""

from collections.abc import Mapping
from enum import StrEnum

from vedette.kernel.records import record


class Action(StrEnum):
    """What a decision asks for."""

    HOLD = "hold"
    ADVANCE = "advance"
    PROMOTE = "promote"
    PAUSE = "pause"
    ABORT = "abort"
    NOTIFY = "notify"
    START = "start"
    RESUME = "resume"
    SET_WEIGHT = "set-weight"
    RAMP = "ramp"
    STOP_ARM = "stop-arm"
    STOP = "stop"
    DECIDE = "decide"
    REALLOCATE = "reallocate"
    ARCHIVE = "archive"


@record
class Reason:
    """One reason of a decision: a code from `REASONS`, a plain sentence, and the figures behind it."""

    code: str
    message: str
    evidence: Mapping[str, object]


@record
class Decision:
    """What is to be done and all the reasons for it, the weightiest first."""

    action: Action
    reasons: tuple[Reason, ...]

    @property
    def sentence(self) -> str:
        """The reasons as one line of text."""
        return "; ".join(reason.message.removesuffix(".") for reason in self.reasons)


REASONS: Mapping[str, str] = {
    "started": "The rollout began its first step, or the experiment exposes its first units.",
    "waiting-for-window": "No time window of the schedule is open.",
    "frozen": "A freeze of the schedule is in force; going back is still allowed.",
    "waiting-for-gateway": "No live gateway has confirmed the traffic plan of this step yet.",
    "waiting-for-group": "Another rollout of the group has not finished this step.",
    "group-full": "As many domains of the group are in flight as it allows.",
    "group-aborted": "A rollout of the same group was aborted, and a group comes back together.",
    "baking": "The step has not been watched for its bake time yet.",
    "few-samples": "The step has not served its minimum of samples yet.",
    "insufficient": "The evidence does not allow a verdict: too few clusters, no data, or nothing measured.",
    "unmeasurable": "The evidence could not be read; that is neither good news nor bad news.",
    "not-proven": "Non-inferiority was asked for and is not proven yet.",
    "regression": "A guardrail is worse than tolerated; the evidence is valid at any look.",
    "sample-ratio": "The realised split of traffic does not fit the intended one, so no comparison means anything.",
    "no-evidence-against": "The step had its exposure and nothing speaks against the new version.",
    "non-inferior": "The new version is proven no worse than tolerated.",
    "awaiting-approval": "The step is done and a person has to approve the next one.",
    "regression-accepted": "A guardrail regressed, and the spec (notify) or a person let the rollout go on.",
    "stable-unavailable": "The stable version cannot take the traffic back; it stays where it works.",
    "stable-available": "The stable version can take traffic again.",
    "by-hand": "A person asked for it.",
    "inside-rollback-window": "The version was stable a moment ago, so it returns at once.",
    "finished": "The last step and its bake are done.",
    "deadline": "The step took longer than its progress deadline.",
    "guardrail-breach": "An arm of an experiment is worse in a guardrail than tolerated; valid at any look.",
    "winner": "One arm of an experiment beats all others in the primary metric.",
    "tied": "The experiment came to its end, or its arms are the same in practice: none is the only best one.",
    "futility": "Going on can hardly settle the experiment within its planned size.",
    "undecided": "Nothing is settled in the experiment yet.",
    "planned-look": "A planned look of the experiment's design was taken.",
    "settled": "A pair of arms of the experiment was settled; later looks do not take that back.",
    "reallocated": "The bandit moved the split between the arms of the experiment.",
    "too-long": "The experiment ran for its longest duration.",
    "taken-up": "A rollout takes the winner of the experiment live.",
    "nothing-to-take-up": "The winner of the experiment is stable already.",
    "rollout-refused": "The rollout of the winner cannot begin yet; it is tried again at every look.",
}
"""Every reason code and what it means."""


def reason(code: str, message: str = "", **evidence: object) -> Reason:
    """Make a reason of a known code; without a message the code's own sentence is used."""
    return Reason(code=code, message=message or REASONS[code], evidence=evidence)
