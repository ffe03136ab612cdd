"""What is measured and which way is better: declared once, used by rollouts, experiments and SLOs.

Every answered request leaves an outcome, a set of named measures (numbers). A metric says how the measures of many
outcomes become one figure.
"""

from enum import StrEnum
from typing import Literal

from vedette.evidence.source import PrometheusSource
from vedette.kernel.errors import InvalidInput
from vedette.kernel.ids import check_name
from vedette.kernel.records import record


class MetricKind(StrEnum):
    """How the measures of many outcomes become one figure."""

    RATE = "rate"  # the share of outcomes in which the measure is 1; measures are 0 or 1
    MEAN = "mean"  # the average of the measure
    RATIO = "ratio"  # the sum of one measure over the sum of another
    QUANTILE = "quantile"  # a quantile of the measure, on a fixed-edge histogram


@record
class Metric:
    """One metric: a kind over a measure, and the direction in which it is better.

    A rate with a ``source`` is read from there and not from outcomes, so it needs no measure; it can guard rollouts,
    and nothing else.
    """

    name: str
    kind: MetricKind
    measure: str = ""
    better: Literal["lower", "higher"] = "lower"
    denominator: str = ""
    quantile: float = 0.95
    unit: str = ""
    source: PrometheusSource | None = None

    def __post_init__(self) -> None:
        """Refuse a metric that cannot be computed."""
        check_name(self.name, "metric")
        if self.source is None or self.measure:
            check_name(self.measure, "measure")
        if self.source is not None and self.kind is not MetricKind.RATE:
            raise InvalidInput(
                f"{self.name!r} is a {self.kind}, and only a rate can have a source",
                hint="counts have a test that is valid at every look; name counters of bad and of all events",
            )
        if self.source is not None and self.better != "lower":
            raise InvalidInput(
                f"{self.name!r} has a source, which counts bad events: it is better when lower",
                hint="leave better out, and let bad count what is bad",
            )
        if (self.kind is MetricKind.RATIO) != bool(self.denominator):
            raise InvalidInput("a ratio needs a denominator, and nothing else has one")
        if not 0 < self.quantile < 1:
            raise InvalidInput(f"quantile must lie between 0 and 1, not {self.quantile}")


BUILT_IN: tuple[Metric, ...] = (
    Metric(name="errors", kind=MetricKind.RATE, measure="error"),
    Metric(name="fallbacks", kind=MetricKind.RATE, measure="fallback"),
    Metric(name="latency-p50", kind=MetricKind.QUANTILE, measure="latency_ms", quantile=0.5, unit="ms"),
    Metric(name="latency-p95", kind=MetricKind.QUANTILE, measure="latency_ms", quantile=0.95, unit="ms"),
    Metric(name="latency-mean", kind=MetricKind.MEAN, measure="latency_ms", unit="ms"),
    Metric(name="tokens-out", kind=MetricKind.MEAN, measure="tokens_out", unit="tokens"),
)
"""What every domain has without declaring it: the gateway measures these itself."""
