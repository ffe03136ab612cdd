"""What an experiment measures and what each metric is for: the one it decides by, those it protects, those it shows.

In a notebook a metric is named with the columns it needs: ``Mean("score")``, ``Ratio("cost", "requests")``. In a spec
it is the name of a metric that the domain declares once, for rollouts and experiments alike (`MetricUse`).
"""

from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from vedette.evidence.metric import Metric, MetricKind
from vedette.kernel.errors import InvalidInput
from vedette.kernel.ids import check_name
from vedette.kernel.records import record
from vedette.stats.estimates import Quantity

Role = Literal["primary", "secondary", "guardrail"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of an experiment.

    Attributes:
        column: What is observed of each unit.
        name: What the metric is called; the column's name unless given.
        role: ``primary`` decides (one metric), ``guardrail`` must not get worse than `margin`, ``secondary`` is shown.
        better: Which way is better.
        margin: A fraction of the reference: how much worse a guardrail may be, or, for the primary metric, how small
            a difference is the same in practice (0: every difference counts).
        covariate: A column known before the experiment that explains some of the metric (CUPED); for a ratio
            `covariate_denominator` is what it is divided by.
    """

    column: str
    _: KW_ONLY
    name: str = ""
    role: Role = "secondary"
    better: Better = "higher"
    margin: float = 0.0
    covariate: str = ""
    covariate_denominator: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse margins without meaning, and give the metric its name."""
        if not 0.0 <= self.margin < 1.0:
            raise InvalidInput(f"the margin of {self.column!r} is a fraction from 0 to 1, not {self.margin}")
        if not self.name:
            object.__setattr__(self, "name", self.column)

    def quantity(self) -> Quantity:
        """Say what to estimate."""
        covariates = ((self.covariate, self.covariate_denominator),) if self.covariate else ()
        return Quantity(name=self.name, column=self.column, covariates=covariates)


@dataclass(frozen=True, slots=True)
class Mean(Measured):
    """The average of a column over units."""


@dataclass(frozen=True, slots=True)
class Proportion(Measured):
    """The share of units whose column is 1; values are 0 or 1."""


@dataclass(frozen=True, slots=True)
class Ratio(Measured):
    """The sum of one column over the sum of another: cost per request, clicks per view."""

    denominator: str

    def quantity(self) -> Quantity:
        """Say what to estimate."""
        covariates = ((self.covariate, self.covariate_denominator),) if self.covariate else ()
        return Quantity(name=self.name, column=self.column, denominator=self.denominator, covariates=covariates)


@dataclass(frozen=True, slots=True)
class Rate(Ratio):
    """The share of requests in which a measure is 1: its sum over how often it was observed."""


@dataclass(frozen=True, slots=True)
class Quantile(Measured):
    """A quantile of a column: the 95th percentile of a latency."""

    quantile: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no quantile."""
        if not self.name:  # `super` cannot be used in a slotted dataclass
            object.__setattr__(self, "name", f"{self.column} p{100 * self.quantile:g}")
        Measured.__post_init__(self)
        if not 0.0 < self.quantile < 1.0:
            raise InvalidInput(f"a quantile lies between 0 and 1, not at {self.quantile}")


@record
class MetricUse:
    """A metric of the domain and what it is for in an experiment; see `Measured` for the fields."""

    metric: str
    role: Role = "secondary"
    margin: float = 0.0
    covariate: str = ""

    def __post_init__(self) -> None:
        """Refuse names and margins without meaning."""
        check_name(self.metric, "metric")
        if self.covariate:
            check_name(self.covariate, "measure")
        if not 0.0 <= self.margin < 1.0:
            raise InvalidInput(f"margin must be 0 to 1 (0.1 is 10 %), not {self.margin}")

    def measured(self, metric: Metric) -> Measured:
        """Join the use with the declaration; of live traffic, every mean is a sum over a count of requests.

        Raises:
            InvalidInput: the metric has a source, which knows nothing of units.
        """
        if metric.source is not None:
            raise InvalidInput(
                f"{metric.name!r} is read from Prometheus, which does not know whose requests it counts: an experiment"
                " compares units",
                hint="guard a rollout with it, or record it with outcomes and declare a metric on that",
            )
        if metric.kind is MetricKind.QUANTILE:
            return Quantile(
                metric.measure,
                name=metric.name,
                role=self.role,
                better=metric.better,
                margin=self.margin,
                unit=metric.unit,
                quantile=metric.quantile,
            )
        below = metric.denominator if metric.kind is MetricKind.RATIO else counted(metric.measure)
        kind = Rate if metric.kind is MetricKind.RATE else Ratio
        return kind(
            metric.measure,
            below,
            name=metric.name,
            role=self.role,
            better=metric.better,
            margin=self.margin,
            covariate=self.covariate,
            covariate_denominator=counted(self.covariate) if self.covariate else "",
            unit=metric.unit,
        )


def counted(measure: str) -> str:
    """Name the column that says in how many requests a measure was observed."""
    return f"{measure}#"


def one_primary(metrics: tuple[Measured, ...]) -> tuple[Measured, ...]:
    """Let metrics pass that have one primary one; without any, the first that is no guardrail becomes it.

    Raises:
        InvalidInput: there is no metric, only guardrails, more than one primary one, or a name twice.
    """
    names = [metric.name for metric in metrics]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInput(f"two metrics are called {twice!r}", hint="give one of them another name=")
    primary = [metric for metric in metrics if metric.role == "primary"]
    if len(primary) > 1:
        said = ", ".join(metric.name for metric in primary)
        raise InvalidInput(f"one metric decides, not {said}", hint="make the others secondary or guardrails")
    if primary:
        return metrics
    first = next((metric for metric in metrics if metric.role != "guardrail"), None)
    if first is None:
        raise InvalidInput("an experiment needs a metric to decide by", hint="give one metric role='primary'")
    return tuple(replace(metric, role="primary") if metric is first else metric for metric in metrics)
