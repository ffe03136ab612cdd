"""When to ask again: only for what may pass by itself, within a budget, and never sooner than asked."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRYABLE = frozenset({429, 502, 503, 504})
"""Statuses that tell of a busy or absent backend, not of the request."""

BACKEND_FAULTS = frozenset({401, 403, 404, 405, 408, 429})
"""4xx that are no fault of the client: key, path and model name were the gateway's, and so is the pace."""

_SHARE = 0.1
_BURST = 10.0
_FIRST_PAUSE = 0.05


def is_failure(status: int) -> bool:
    """Say whether the backend failed with this status, rather than turned the client's request away."""
    return status >= 500 or status in BACKEND_FAULTS


class RetryBudget:
    """Lets a tenth of the requests be tried again, so that retries cannot bury a backend that is down already."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _BURST

    def earn(self) -> None:
        """Count a request."""
        left = self._left + _SHARE
        self._left = left if left < _BURST else _BURST  # noqa: FURB136 - min() costs a call for every request

    def spend(self) -> bool:
        """Take one retry; False when there is none left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def pause(attempt: int, asked: float) -> float:
    """Give the seconds until retry number ``attempt`` (from 0): what was asked for, then backing off with jitter."""
    return asked + random.random() * _FIRST_PAUSE * 2.0**attempt  # noqa: S311 - jitter needs no secrecy


def retry_after(value: bytes | None) -> float:
    """Read a Retry-After header as seconds from now; 0 when there is none that makes sense."""
    if value is None:
        return 0.0
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    seconds: float = (when - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds)


def wait(
    attempts: int, said: bytes | None, *, most: int, longest: float, left: float, budget: RetryBudget
) -> float | None:
    """Give the seconds to wait before the next try; None when there may be none.

    Args:
        attempts: how many retries there were.
        said: the backend's Retry-After.
        most: how many there may be.
        longest: what a backend may ask for, in seconds; one that asks for more is not asked again.
        left: seconds until the answer is due.
        budget: what all retries are paid from, taken from last.
    """
    asked = retry_after(said)
    seconds = pause(attempts, asked)
    allowed = attempts < most and asked <= longest and seconds < left and budget.spend()
    return seconds if allowed else None
