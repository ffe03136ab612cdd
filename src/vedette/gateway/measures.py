"""What is measured of one request, by name."""

from dataclasses import dataclass

from vedette.gateway.sse import Usage


@dataclass(slots=True)
class Course:
    """How a request went: ``whole`` if it came to its end, ``judged`` if that end is the version's.

    Times are in seconds; ``first`` is when the first byte of a stream went out, None when none did.
    """

    seconds: float
    first: float | None
    status: int
    failed: bool
    fallback: bool
    whole: bool = True
    judged: bool = True
    usage: Usage | None = None
    override_failed: bool | None = None
    hedges: int | None = None  # times it was asked again for being late; None where nothing is
    missed: bool = False  # a cache that could have known the answer

    def measures(self) -> dict[str, float]:
        """Give the measures of its outcome; what is not known is left out."""
        measures: dict[str, float] = {"fallback": int(self.fallback)}
        if self.judged:
            measures["error"] = int(self.failed)
            measures["rejected"] = int(not self.failed and 400 <= self.status < 500)
        if self.whole:
            measures["latency_ms"] = self.seconds * 1000
        else:
            measures["partial"] = 1
        if self.first is not None:
            measures["ttft_ms"] = self.first * 1000
        usage = self.usage
        if usage and usage.prompt_tokens >= 0 and usage.completion_tokens >= 0:
            measures["tokens_in"], measures["tokens_out"] = usage.prompt_tokens, usage.completion_tokens
        if self.hedges is not None:
            measures["hedged"] = int(self.hedges > 0)
            if self.hedges and "tokens_in" in measures:  # of calls that were cut; what they had written nobody knows
                measures["tokens_wasted"] = self.hedges * measures["tokens_in"]
        if self.override_failed is not None:
            measures["override_failed"] = int(self.override_failed)
        if self.missed:
            measures["cached"] = 0
        return measures


def given_again(seconds: float) -> dict[str, float]:
    """Measure an answer from the cache: the version did nothing, so it is not judged and has no latency of its own."""
    return {"cached": 1, "cached_ms": seconds * 1000}
