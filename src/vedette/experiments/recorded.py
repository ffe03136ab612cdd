"""What one look saw, small enough to keep: a decision can be made again from it, and replayed under other rules.

It is a few numbers a metric and arm, however many requests they came from. What was not known (NaN) is None.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vedette.evidence.summary import FloatArray
from vedette.experiments.advance import judge
from vedette.experiments.analysis import Analysis, Progress
from vedette.experiments.metrics import Measured
from vedette.experiments.observed import Observed
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.records import record
from vedette.stats.cautions import Caution
from vedette.stats.estimates import Estimates
from vedette.stats.srm import RatioCheck

Number = float | None
Row = tuple[Number, ...]
Rows = tuple[Row, ...]


@record
class RecordedCaution:
    """What is to be read with care in one metric of one arm."""

    metric: str
    variant: str
    cautions: tuple[Caution, ...]


@record
class Recorded:
    """What was observed at a look, and what earlier looks had left.

    ``mean``, ``variance``, ``n``, ``plain`` and ``clock`` have a row a metric and a number an arm; ``covariance`` has a
    square a metric where arms saw the same units. ``units`` are those of the arms that were judged.
    """

    metrics: tuple[str, ...]
    arms: tuple[str, ...]
    mean: Rows
    variance: Rows
    n: Rows
    plain: Rows
    clock: Rows
    covariance: tuple[Rows, ...] | None
    theta: Rows
    units: tuple[float, ...]
    clustered: bool
    split_p_value: Number
    cautions: tuple[RecordedCaution, ...]
    looks: tuple[float, ...]
    established: tuple[tuple[str, str], ...]


def recorded(analysis: Analysis, before: Progress) -> Recorded:
    """Keep what an analysis was made from; ``before`` is what earlier looks had left."""
    seen, found = analysis.observed, analysis.found
    return Recorded(
        metrics=found.metrics,
        arms=found.arms,
        mean=_rows(found.mean),
        variance=_rows(found.variance),
        n=_rows(found.n),
        plain=_rows(found.plain),
        clock=_rows(found.clock),
        covariance=None if found.covariance is None else tuple(_rows(square) for square in found.covariance),
        theta=tuple(tuple(map(_number, row)) for row in found.theta),
        units=tuple(float(seen.units[arm]) for arm in found.arms),
        clustered=seen.clustered,
        split_p_value=seen.split.p_value if seen.split else None,
        cautions=tuple(
            RecordedCaution(metric=metric, variant=arm, cautions=tuple(said))
            for (metric, arm), said in (seen.cautions or {}).items()
        ),
        looks=before.looks,
        established=before.established,
    )


def judge_again(spec: ExperimentSpec, metrics: Sequence[Measured], seen: Recorded) -> Analysis:
    """Give the analysis that what was recorded leads to; the same one as it led to then."""
    found = Estimates(
        metrics=seen.metrics,
        arms=seen.arms,
        mean=_array(seen.mean),
        variance=_array(seen.variance),
        n=_array(seen.n),
        plain=_array(seen.plain),
        clock=_array(seen.clock),
        covariance=None if seen.covariance is None else np.stack([_array(square) for square in seen.covariance]),
        theta=tuple(tuple(np.nan if it is None else it for it in row) for row in seen.theta),
    )
    split = None
    if seen.split_p_value is not None:
        split = RatioCheck(log_bayes_factor=None, p_value=seen.split_p_value, degrees=len(seen.arms) - 1, stray=0.0)
    observed = Observed(
        found=found,
        units=dict(zip(seen.arms, seen.units, strict=True)),
        split=split,
        cautions={(it.metric, it.variant): it.cautions for it in seen.cautions},
        clustered=seen.clustered,
    )
    return judge(spec, metrics, observed, Progress(looks=seen.looks, established=seen.established))


def _rows(array: FloatArray | NDArray[np.float64]) -> Rows:
    return tuple(tuple(map(_number, row)) for row in array.tolist())


def _number(value: float) -> Number:
    return float(value) if np.isfinite(value) else None


def _array(rows: Rows) -> FloatArray:
    return np.array([[np.nan if it is None else it for it in row] for row in rows], np.float64)
