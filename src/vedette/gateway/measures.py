"""What is measured of one request, by name."""

from collections.abc import Mapping

from vedette.gateway.sse import Usage


def measured(
    seconds: float,
    first: float | None,
    status: int,
    usage: Usage | None,
    failed: bool,  # noqa: FBT001 - called for every request, and by position is quickest
    fallback: bool,  # noqa: FBT001 - called for every request, and by position is quickest
    *,
    whole: bool = True,
    judged: bool = True,
) -> dict[str, float]:
    """Give the measures of an outcome: ``whole`` if it came to its end, ``judged`` if that end is the version's.

    Times are in seconds; ``first`` is when the first byte of a stream went out. What is not known is left out.
    """
    measures: dict[str, float] = {"fallback": 1 if fallback else 0}
    if judged:
        measures["error"] = 1 if failed else 0
        measures["rejected"] = 1 if not failed and 400 <= status < 500 else 0
    if whole:
        measures["latency_ms"] = seconds * 1000
    else:
        measures["partial"] = 1
    if first is not None:
        measures["ttft_ms"] = first * 1000
    if usage is not None:
        measures["tokens_in"], measures["tokens_out"] = usage.prompt_tokens, usage.completion_tokens
    return measures


def wasted(hedges: int, measures: Mapping[str, float]) -> dict[str, float]:
    """Measure what calls cost that were cut: the prompt they had read; what they had written nobody knows."""
    if hedges and "tokens_in" in measures:
        return {"hedged": 1, "tokens_wasted": hedges * measures["tokens_in"]}
    return {"hedged": 1 if hedges else 0}


def given_again(seconds: float, *, similar: bool) -> dict[str, float]:
    """Measure an answer from the cache: the version did nothing, so it is not judged and has no latency of its own."""
    measures = {"cached": 1, "cached_ms": seconds * 1000}
    return {**measures, "similar": 1} if similar else measures
