"""What a user asks of a rollout: steps, guardrails, and what to do when something is wrong. Immutable per revision."""

import itertools
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from vedette.kernel.clock import Calendar, duration
from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Percent, Seconds
from vedette.kernel.ids import check_name
from vedette.kernel.records import record

OnRegression = Literal["abort", "pause", "notify"]
OnInsufficient = Literal["hold", "pause", "abort"]


@record
class Step:
    """One rung of the ladder: a weight, and what the version must have shown there before it may climb.

    ``bake`` counts watched seconds after the gateways confirmed the weight; ``min_samples`` are canary requests at
    this step; ``approval`` waits for a person at the end of the step; ``deadline`` (watched seconds, 0 for none) says
    when holding on this step becomes what ``on_insufficient`` says.
    """

    weight: Percent
    bake: Seconds = 600.0
    min_samples: int = 0
    approval: bool = False
    deadline: Seconds = 0.0

    def __post_init__(self) -> None:
        """Refuse a step that gives the canary nothing."""
        if self.weight <= 0:
            raise InvalidInput("a step's weight must be above 0%")
        if self.min_samples < 0:
            raise InvalidInput("minSamples must not be negative")


@record
class Guardrail:
    """A metric that must not get worse than ``tolerance`` (relative: 0.1 allows 10 % worse) against stable.

    ``weight`` is its share of the rollout's α; ``min_samples`` canary samples are needed before it may speak;
    ``non_inferior`` asks for proof that it is no worse than tolerated instead of no evidence that it is;
    ``dry_run`` shows its verdict and never acts on it.
    """

    metric: str
    tolerance: float = 0.0
    weight: float = 1.0
    min_samples: int = 0
    on_regression: OnRegression | None = None
    on_insufficient: OnInsufficient | None = None
    non_inferior: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse tolerances and weights without meaning."""
        check_name(self.metric, "metric")
        if not 0 <= self.tolerance < 1:
            raise InvalidInput(f"tolerance must be 0 to 1 (0.1 allows 10 % worse), not {self.tolerance}")
        if not 0 < self.weight < float("inf"):
            raise InvalidInput(f"a guardrail's weight must be above 0, not {self.weight}")
        if self.min_samples < 0:
            raise InvalidInput("minSamples must not be negative")
        if self.non_inferior and self.tolerance == 0:
            raise InvalidInput(
                "nonInferior needs a tolerance above 0", hint="no sample proves exact equality; say what you tolerate"
            )


@record
class Group:
    """Rollouts of one group climb each step together and come back together; at most ``max_in_flight`` at once."""

    name: str
    max_in_flight: int = 0

    def __post_init__(self) -> None:
        """Refuse a group that could never start."""
        check_name(self.name, "group")
        if self.max_in_flight < 0:
            raise InvalidInput("maxInFlight must be 0 (no limit) or more")


def _steps(value: Any) -> Any:  # noqa: ANN401 - a document's value before validation
    """Accept the field's ``setWeight``/``pause`` spelling beside ours and give our steps."""
    if not isinstance(value, list) or not any(isinstance(v, dict) and {"setWeight", "pause"} & v.keys() for v in value):
        return value
    steps: list[dict[str, Any]] = []
    for item in value:
        if isinstance(item, dict) and item.keys() == {"setWeight"}:
            steps.append({"weight": item["setWeight"], "bake": 0.0})
        elif isinstance(item, dict) and item.keys() == {"pause"} and steps:
            match item["pause"]:
                case None | {} as pause if not pause:
                    steps[-1]["approval"] = True
                case {"duration": time, **rest} if not rest:
                    steps[-1]["bake"] += duration(time)
                case other:
                    raise InvalidInput(f"{other!r} is no pause", hint="write pause: {duration: 10m}, or pause: {}")
        else:
            raise InvalidInput("use either weight/bake steps, or setWeight and pause in turn beginning with setWeight")
    return steps


DEFAULT_STEPS = tuple(Step(weight=weight) for weight in (1.0, 10.0, 50.0, 100.0))


@record
class RolloutSpec:
    """A rollout as asked for: which version of which domain, over which steps, under which guardrails.

    ``alpha`` is the chance, over the whole rollout and however often it is looked at, of taking back a version that
    is no worse than tolerated; it is split over the guardrails by their weights. ``hold_back`` keeps that share on
    stable through the bake at 100 %, so that there is still something to compare with. ``rollback_window`` is the
    number of earlier stable versions to which one may return at once, without steps. ``history`` is how far back each
    bucket's own past is read.
    """

    domain: str
    version: str
    steps: Annotated[tuple[Step, ...], BeforeValidator(_steps)] = DEFAULT_STEPS
    guardrails: tuple[Guardrail, ...] = (Guardrail(metric="errors"),)
    alpha: float = 0.05
    on_regression: OnRegression = "abort"
    on_insufficient: OnInsufficient = "hold"
    hold_back: Percent = 1.0
    calendar: Calendar = Calendar()
    group: Group | None = None
    rollback_window: int = 1
    history: Seconds = 86_400.0
    webhooks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a ladder that does not climb to 100 % and guardrails that clash."""
        check_name(self.domain, "domain")
        check_name(self.version, "version")
        weights = [step.weight for step in self.steps]
        if not weights or weights[-1] != 100:
            raise InvalidInput("the last step's weight must be 100%", hint="a rollout ends when the version has it all")
        if any(later <= earlier for earlier, later in itertools.pairwise(weights)):
            raise InvalidInput(f"weights must rise from step to step, not {weights}")
        names = [guardrail.metric for guardrail in self.guardrails]
        if len(names) != len(set(names)):
            raise InvalidInput("a metric can be guarded once", hint="join the two guardrails")
        if not 0 < self.alpha < 0.5:
            raise InvalidInput(f"alpha must lie between 0 and 0.5, not {self.alpha}")
        if not 0 <= self.hold_back < 50:
            raise InvalidInput("holdBack must be below 50%")
        if self.rollback_window < 0:
            raise InvalidInput("rollbackWindow must not be negative")
        for url in self.webhooks:
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
                raise InvalidInput(f"webhook {url!r} is no web address", hint="write https://host/path")

    def alpha_of(self, guardrail: Guardrail) -> float:
        """Give the share of α that ``guardrail`` may spend over the rollout; dry runs spend none of it."""
        total = sum(other.weight for other in self.guardrails if not other.dry_run) or guardrail.weight
        if guardrail.dry_run:
            total += guardrail.weight
        return self.alpha * guardrail.weight / total

    def weight_of(self, step: int) -> float:
        """Give the canary's share in percent at a step: the step's weight, less the hold-back at the end."""
        return min(self.steps[step].weight, 100 - self.hold_back)
