"""Why a number of a result is None, or to be read with care: every code there is, and what to do about each."""

from collections.abc import Mapping
from enum import StrEnum


class Caution(StrEnum):
    """Why a number is None, or to be read with care."""

    TOO_FEW = "too_few"
    FEW_CLUSTERS = "few_clusters"
    SMALL_SAMPLE = "small_sample"
    SMALL_COUNTS = "small_counts"
    EMPTY_ARM = "empty_arm"
    EMPTY_CELL = "empty_cell"
    NOT_OBSERVED = "not_observed"
    PARTLY_OBSERVED = "partly_observed"
    MISSING_DIFFERS = "missing_differs"
    NO_VARIANCE = "no_variance"
    COVARIATE_CONSTANT = "covariate_constant"
    TIES = "ties"
    SEPARATED = "separated"
    TAIL_NOT_SEEN = "tail_not_seen"
    RESAMPLES_UNDEFINED = "resamples_undefined"
    NO_BASELINE = "no_baseline"
    UNBOUNDED = "relative_unbounded"
    NO_BOUNDARY = "no_boundary"
    NO_INTERVAL = "no_interval"
    UNMATCHED = "interval_of_another_test"


CAUTIONS: Mapping[Caution, str] = {
    Caution.TOO_FEW: "Too few units to know the spread (which takes two) or to bound the effect; wait for more, or "
    "check assignment.",
    Caution.FEW_CLUSTERS: "An arm has too few independent clusters for a verdict: more tenants are needed.",
    Caution.SMALL_SAMPLE: "An arm is small, so the normal approximation is rough; an exact test may serve better.",
    Caution.SMALL_COUNTS: "Fewer than 5 in a cell: the normal approximation is rough; use a score or exact method.",
    Caution.EMPTY_ARM: "An arm has no trials or no exposure; wait for data, or check assignment.",
    Caution.EMPTY_CELL: "A count is 0 and the method divides by it; use a score method.",
    Caution.NOT_OBSERVED: "The metric was never observed in an arm; check that it is recorded there.",
    Caution.PARTLY_OBSERVED: "Some values are missing, such as those before the metric was recorded, and were left "
    "out; check that they are not missing because of what they are.",
    Caution.MISSING_DIFFERS: "The metric is missing more often in one arm than in another: a comparison may mislead.",
    Caution.NO_VARIANCE: "What is compared does not vary, so nothing can be tested; check how it is recorded, and read "
    "the interval where there is one.",
    Caution.COVARIATE_CONSTANT: "The covariate does not vary, so nothing was adjusted; leave it out.",
    Caution.TIES: "Some values are equal, or equal the margin, so ranks are judged by the normal approximation; with "
    "few values, distrust a p-value near alpha.",
    Caution.SEPARATED: "Every value of one arm lies above all of the other's, so ranks cannot bound how often it does; "
    "compare means or quantiles.",
    Caution.TAIL_NOT_SEEN: "Too few values lie beyond the quantile to bound it; wait for more, or take a lesser one.",
    Caution.RESAMPLES_UNDEFINED: "The statistic is not finite in the data or in a resample, or all resamples lie on "
    "one side of it; take another statistic, or wait for more.",
    Caution.NO_BASELINE: "The reference's value is 0, so there is no relative effect; read the absolute one.",
    Caution.UNBOUNDED: "The reference's value (of odds: another count) may be 0, so a relative effect or ratio has no "
    "bound; read the absolute one.",
    Caution.NO_BOUNDARY: "No look of the design has been reached, so there is no interval yet.",
    Caution.NO_INTERVAL: "This test has no interval; take one from a method that has.",
    Caution.UNMATCHED: "By convention the interval is another test's: near alpha it may disagree with the p-value.",
}
"""What each warning means and what to do about it."""
