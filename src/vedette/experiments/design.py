"""An experiment as a data scientist states it: arms, metrics, how often it is looked at, how much is corrected for.

    experiment = Experiment(
        variants=["base", "lora-a", "lora-b"],
        metrics=[Proportion("accepted", role="primary"), Mean("score", covariate="score_before"),
                 Ratio("cost", "requests", better="lower", role="guardrail", margin=0.02)],
    )
    result = experiment.analyze(joint_moments_from("events.parquet", by="variant", columns=[...]))
    result.verdict.sentence

The same design judges live traffic, a file, a data frame, and models on one set of prompts; see `experiments.analysis`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vedette.evidence.joint import JointMoments
from vedette.experiments.metrics import Measured, one_primary
from vedette.experiments.monitoring import Fixed, Monitoring
from vedette.experiments.observed import Observed, Values, of_pairs, of_units
from vedette.experiments.simultaneous import check
from vedette.experiments.spec import Comparisons
from vedette.kernel.errors import InvalidInput
from vedette.stats.multiplicity import Multiplicity

if TYPE_CHECKING:
    from vedette.experiments.analysis import Analysis, Progress
    from vedette.experiments.planning import ExperimentPlan

WEIGHTS_ADD_UP = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is compared, by what, and under which promise.

    Attributes:
        variants: Names of the arms.
        metrics: What is measured; one of them is primary (the first that is no guardrail, unless one says so).
        control: The arm the others are compared with; the first unless named.
        weights: Intended split of units, in the order of the variants, adding up to 1; equal unless given. None
            leaves the split unchecked, as for data whose split is not known.
        comparisons: Every variant against the control, all pairs, or the leader against all others.
        alpha: Chance of a false claim.
        monitoring: Looked at once, at planned looks, or at any time.
        multiplicity: How p-values and intervals account for their number.
        min_units: Units every arm needs before anything is said.
    """

    variants: Sequence[str]
    metrics: Sequence[Measured]
    control: str = ""
    weights: Sequence[float] | None = ()
    comparisons: Comparisons = "control"
    alpha: float = 0.05
    monitoring: Monitoring = field(default_factory=Fixed)
    multiplicity: Multiplicity = field(default_factory=Multiplicity)
    min_units: int = 20

    def __post_init__(self) -> None:
        """Refuse what cannot be an experiment, saying what to do."""
        names = tuple(self.variants)
        if len(names) < 2 or len(set(names)) != len(names):
            raise InvalidInput("an experiment needs two variants or more, each of another name", hint=f"got {names}")
        if self.control and self.control not in names:
            raise InvalidInput(f"the control {self.control!r} is no variant", hint=f"variants: {', '.join(names)}")
        if not 0.0 < self.alpha < 0.5:
            raise InvalidInput(f"alpha lies between 0 and 0.5, not at {self.alpha}", hint="0.05 is usual")
        check(self.multiplicity, comparisons=self.comparisons, fixed=isinstance(self.monitoring, Fixed))
        object.__setattr__(self, "variants", names)
        object.__setattr__(self, "metrics", one_primary(tuple(self.metrics)))
        object.__setattr__(self, "control", self.control or names[0])
        if self.weights is not None:
            object.__setattr__(self, "weights", _splits(names, self.weights))

    @property
    def primary(self) -> Measured:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "primary")

    def columns(self) -> tuple[str, ...]:
        """Name every column the metrics need."""
        return tuple(dict.fromkeys(name for metric in self.metrics for name in metric.quantity().columns()))

    def analyze(
        self,
        moments: Mapping[str, JointMoments],
        *,
        strata: Mapping[str, Mapping[str, JointMoments]] | None = None,
        values: Values | None = None,
        progress: "Progress | None" = None,
    ) -> "Analysis":
        """Analyse arms of independent units.

        Args:
            moments: Joint moments by arm (`joint_moments_by`, `joint_moments_from`).
            strata: The same by stratum, then arm, to post-stratify by.
            values: By column and arm, raw values or histograms, for quantiles.
            progress: What earlier looks left (`Analysis.progress`); none at the first look.

        Raises:
            InvalidInput: An arm or a column is missing, or there is one the experiment does not know.
        """
        arms = self._arms(moments)
        repeated = not isinstance(self.monitoring, Fixed)
        observed = of_units(
            self.metrics, arms, weights=self.weights or (), strata=strata, values=values, repeated=repeated
        )
        return self.judge(observed, progress=progress)

    def analyze_pairs(
        self,
        rows: JointMoments,
        columns: Mapping[str, Mapping[str, str]] | None = None,
        *,
        progress: "Progress | None" = None,
    ) -> "Analysis":
        """Analyse arms that saw the same units, such as models judged on the same prompts.

        Args:
            rows: Joint moments of the units; column ``arm:column`` is an arm's value, unless `columns` says otherwise.
            columns: By arm, the name in `rows` of each column.
            progress: What earlier looks left.

        Raises:
            InvalidInput: A column is missing, or a metric is a quantile.
        """
        named = columns or {arm: {column: f"{arm}:{column}" for column in self.columns()} for arm in self.variants}
        return self.judge(of_pairs(self.metrics, rows, {arm: named[arm] for arm in self.variants}), progress=progress)

    def judge(self, observed: Observed, *, progress: "Progress | None" = None, gone: Sequence[str] = ()) -> "Analysis":
        """Analyse what was observed, however it came about; arms that are `gone` were taken out before."""
        from vedette.experiments.analysis import analyze  # the two know each other: a design, and what it finds

        return analyze(self, observed, progress, gone)

    def plan(self, *, mde: float, **assumed: Any) -> "ExperimentPlan":  # noqa: ANN401 - as `planning.plan` names them
        """Say how many units it takes to find an effect of `mde` (a fraction of the baseline), and for how long.

        What is assumed is named as in `experiments.planning.plan`: `baseline`, `sd`, `power`, `units_per_day` …

        Raises:
            InvalidInput: A number is missing or out of range.
        """
        from vedette.experiments.planning import plan  # as `judge`

        return plan(self, mde=mde, **assumed)

    def over(self, variants: Sequence[str]) -> "Experiment":
        """Give the same experiment with fewer variants."""
        kept = [place for place, name in enumerate(self.variants) if name in variants]
        weights = self.weights
        if weights:
            total = sum(weights[place] for place in kept)
            weights = tuple(weights[place] / total for place in kept)
        return replace(self, variants=tuple(self.variants[place] for place in kept), weights=weights)

    def _arms(self, moments: Mapping[str, JointMoments]) -> dict[str, JointMoments]:
        if unknown := [arm for arm in moments if arm not in self.variants]:
            raise InvalidInput(
                f"the data hold an arm {unknown[0]!r} that is no variant", hint=f"variants: {', '.join(self.variants)}"
            )
        if missing := [arm for arm in self.variants if arm not in moments]:
            raise InvalidInput(
                f"the data hold nothing of {', '.join(missing)}", hint=f"they hold {', '.join(moments) or 'nothing'}"
            )
        return {arm: moments[arm] for arm in self.variants}


def _splits(names: Sequence[str], weights: Sequence[float]) -> tuple[float, ...]:
    if not len(weights):
        return (1.0 / len(names),) * len(names)
    if len(weights) != len(names):
        raise InvalidInput(f"{len(weights)} weights do not belong to {len(names)} variants")
    if any(not 0 < weight <= 1 for weight in weights) or abs(sum(weights) - 1.0) > WEIGHTS_ADD_UP:
        raise InvalidInput(
            f"weights are above 0 and add up to 1, not {', '.join(f'{weight:g}' for weight in weights)}",
            hint=f"they add up to {sum(weights):g}",
        )
    return tuple(float(weight) for weight in weights)
