"""Results as rows people read and programs keep: one estimate a metric and arm, one comparison a metric and pair.

Every number that is undefined is None, and a warning code says why (`stats.cautions`).
"""

import math
from collections.abc import Mapping, Sequence

from vedette.evidence.summary import FloatArray
from vedette.kernel.records import record
from vedette.kernel.tables import Shown
from vedette.stats.cautions import Caution
from vedette.stats.contrasts import Contrasts
from vedette.stats.estimates import Estimates
from vedette.stats.finding import finite

SMALL = 30.0
"""Fewer units than this in an arm are warned about."""


@record
class Estimate(Shown):
    """What one arm did in one metric; `unadjusted` is the plain figure where covariates adjusted `mean`."""

    metric: str
    variant: str
    n: float
    mean: float | None
    standard_error: float | None
    unadjusted: float | None
    warnings: tuple[Caution, ...] = ()


@record
class Comparison(Shown):
    """One pair of arms in one metric.

    Attributes:
        metric: The metric.
        treatment: The arm whose effect it is.
        reference: The arm it is compared with.
        effect: Treatment minus reference.
        low: Lower end of the interval; None if unknown or without bound.
        high: Upper end.
        relative_effect: Effect as a fraction of the reference's size.
        relative_low: Lower end of that fraction's interval, by inversion of the same test (Fieller).
        relative_high: Upper end.
        p_value: Of this pair alone, at this level of looking (see `kind`).
        p_adjusted: Corrected for the other comparisons of its family; equal to `p_value` in a family of one.
        simultaneous_low: Lower end of an interval that holds together with those of its family.
        simultaneous_high: Upper end.
        kind: ``fixed`` (one analysis), ``repeated`` (a look of a planned design) or ``sequence`` (at any time).
        method: The test, in words.
        df: Degrees of freedom; None for the normal distribution.
        improved: Whether the effect points the better way; None for no effect, or where no way is better.
        warnings: Why numbers are None, or to be read with care.
    """

    metric: str
    treatment: str
    reference: str
    effect: float | None
    low: float | None
    high: float | None
    relative_effect: float | None
    relative_low: float | None
    relative_high: float | None
    p_value: float | None
    p_adjusted: float | None
    simultaneous_low: float | None
    simultaneous_high: float | None
    kind: str
    method: str
    df: float | None
    improved: bool | None = None
    warnings: tuple[Caution, ...] = ()

    @property
    def significant_interval(self) -> bool:
        """Whether the interval leaves out no effect."""
        return (self.low is not None and self.low > 0) or (self.high is not None and self.high < 0)


def estimate_rows(
    found: Estimates, extra: Mapping[tuple[str, str], Sequence[Caution]] | None = None
) -> tuple[Estimate, ...]:
    """Give a row for each metric and arm; `extra` are warnings the caller knows of, by metric and arm."""
    more = extra or {}
    mean, plain, n = found.mean.tolist(), found.plain.tolist(), found.n.tolist()
    variance = found.variance.tolist()
    return tuple(
        Estimate(
            metric=metric,
            variant=arm,
            n=n[m][a],
            mean=finite(mean[m][a]),
            standard_error=math.sqrt(variance[m][a]) if finite(variance[m][a]) is not None else None,
            unadjusted=finite(plain[m][a]),
            warnings=_of_arm(mean[m][a], variance[m][a], more.get((metric, arm), ())),
        )
        for m, metric in enumerate(found.metrics)
        for a, arm in enumerate(found.arms)
    )


def comparison_rows(
    found: Estimates,
    made: Contrasts,
    *,
    kind: str,
    methods: Sequence[str],
    better: Sequence[str],
    p_adjusted: FloatArray | None = None,
    simultaneous: Contrasts | None = None,
    extra: Mapping[tuple[str, str], Sequence[Caution]] | None = None,
) -> tuple[Comparison, ...]:
    """Give a row for each metric and pair.

    Args:
        found: The estimates compared.
        made: Their contrasts.
        kind: How often one may look.
        methods: The test of each metric, in words.
        better: Which way each metric is better: higher, lower, or empty.
        p_adjusted: Corrected p-values, shape (metrics, pairs).
        simultaneous: Contrasts at simultaneous critical values.
        extra: Warnings the caller knows of, by metric and arm.
    """
    more = extra or {}
    adjusted = made.p_value if p_adjusted is None else p_adjusted
    wide = simultaneous or made
    columns = (made.effect, made.low, made.high, made.relative, made.relative_low, made.relative_high, made.p_value)
    lists = [part.tolist() for part in (*columns, adjusted, wide.low, wide.high, made.df)]
    places = {arm: place for place, arm in enumerate(found.arms)}
    n, mean = found.n.tolist(), found.mean.tolist()
    rows = []
    for m, metric in enumerate(found.metrics):
        for p, (treatment, reference) in enumerate(made.pairs):
            effect, low, high, relative, relative_low, relative_high, p_value, p_all, wide_low, wide_high, df = (
                finite(part[m][p]) for part in lists
            )
            t, c = places[treatment], places[reference]
            sizes = min(n[m][t], n[m][c])
            warnings = dict.fromkeys((*more.get((metric, treatment), ()), *more.get((metric, reference), ())))
            if math.isnan(mean[m][t]) or math.isnan(mean[m][c]):
                warnings[Caution.NOT_OBSERVED] = None
            elif p_value is None and Caution.FEW_CLUSTERS not in warnings:
                warnings[Caution.TOO_FEW if sizes < 2 else Caution.NO_VARIANCE] = None
            elif sizes < SMALL:
                warnings[Caution.SMALL_SAMPLE] = None
            if effect is not None and relative is None:
                warnings[Caution.NO_BASELINE] = None
            elif p_value is not None and relative_low is None and relative_high is None:
                warnings[Caution.UNBOUNDED] = None
            sign = {"higher": 1.0, "lower": -1.0}.get(better[m], 0.0)
            rows.append(
                Comparison(
                    metric=metric,
                    treatment=treatment,
                    reference=reference,
                    effect=effect,
                    low=low,
                    high=high,
                    relative_effect=relative,
                    relative_low=relative_low,
                    relative_high=relative_high,
                    p_value=p_value,
                    p_adjusted=p_all,
                    simultaneous_low=wide_low,
                    simultaneous_high=wide_high,
                    kind=kind,
                    method=methods[m],
                    df=df,
                    improved=effect * sign > 0 if effect and sign else None,
                    warnings=tuple(warnings),
                )
            )
    return tuple(rows)


def _of_arm(mean: float, variance: float, known: Sequence[Caution]) -> tuple[Caution, ...]:
    warnings = dict.fromkeys(known)
    if math.isnan(mean):
        warnings[Caution.NOT_OBSERVED] = None
    elif math.isnan(variance) and Caution.FEW_CLUSTERS not in warnings:
        warnings[Caution.TOO_FEW] = None
    elif variance == 0:
        warnings[Caution.NO_VARIANCE] = None
    return tuple(warnings)
