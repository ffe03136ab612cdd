"""Whether a split is the one that was promised, from counts alone."""

from collections.abc import Sequence

from vedette.experiments.analysis import SRM_ALPHA
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportions import one_proportion
from vedette.stats.srm import Split, fixed_check, sequential_check, share_sequence


@record
class SplitAnswer:
    """Whether a split is the intended one.

    Attributes:
        sentence: The answer.
        counts: What each arm got.
        shares: The same as a part of all.
        intended: What each was promised.
        low: Lower ends of intervals of the shares that hold together, at 99.9 % (Wilson's, or a sequence).
        high: Upper ends.
        p_value: Of the intended split.
        broken: Whether it is as good as impossible.
        method: The test, in words.
    """

    sentence: str
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    intended: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    p_value: float
    broken: bool
    method: str


def check_split(counts: Sequence[int], intended: Sequence[float], *, repeated: bool) -> SplitAnswer:
    """Check counts against the intended split, once or at any look.

    Raises:
        InvalidInput: They do not belong together, or nothing was counted.
    """
    split = Split(counts, intended)
    found = sequential_check([split]) if repeated else fixed_check(split)
    total = sum(counts)
    if not total:
        raise InvalidInput("nothing was counted", hint="give the units each arm got")
    broken = found.p_value < SRM_ALPHA
    level = SRM_ALPHA / len(counts)
    likely = share_sequence(split, alpha=SRM_ALPHA) if repeated else [_wilson(it, total, level) for it in counts]
    if broken:
        said = "The split is broken: no comparison of these arms means anything before the cause is found"
    else:
        said = "Nothing speaks against the intended split"
    return SplitAnswer(
        sentence=f"{said}.",
        counts=tuple(counts),
        shares=tuple(count / total for count in counts),
        intended=tuple(intended),
        low=tuple(low for low, _ in likely),
        high=tuple(high for _, high in likely),
        p_value=found.p_value,
        broken=broken,
        method="Sequential multinomial test, valid at any look" if repeated else "Pearson's chi-square, looked at once",
    )


def _wilson(count: int, total: int, alpha: float) -> tuple[float, float]:
    found = one_proportion(Counts(count, total), alpha=alpha)
    return found.low or 0.0, 1.0 if found.high is None else found.high
