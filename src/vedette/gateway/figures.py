"""The figures of several workers as one: everything that counts is added up, whatever figures there will be."""

import asyncio
import copy
import dataclasses
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Protocol

from vedette.gateway.metrics import Metrics


class Sum(Protocol):
    """Who knows the figures of all workers. Blocks; raising means that nobody does just now."""

    def exchange(self, own: Metrics) -> Metrics:
        """Hand over one worker's figures and get the sum of all, these included."""
        ...


class Scrape:
    """One look at the figures of all workers; those of this one alone when the sum cannot be had."""

    def __init__(self, total: Sum, threads: Executor | None, own: Metrics, tell: Callable[[Metrics], None]) -> None:
        self._own, self._tell = own, tell
        loop = asyncio.get_running_loop()
        self._asked = loop.run_in_executor(threads, total.exchange, copy.deepcopy(own))
        self._asked.add_done_callback(self._answered)

    def _answered(self, asked: "asyncio.Future[Metrics]") -> None:
        if not asked.cancelled():
            self._tell(self._own if asked.exception() else asked.result())

    def client_gone(self) -> None:
        """Tell nobody."""
        self._asked.cancel()

    def client_paused(self) -> None:
        """Change nothing: the answer comes in one piece."""

    def client_resumed(self) -> None:
        """Change nothing: the answer comes in one piece."""


def summed(figures: Iterable[Metrics]) -> Metrics:
    """Add figures up into new ones."""
    total = Metrics()
    for each in figures:
        total = _plus(total, each)
    return total


def _plus(one: Any, other: Any) -> Any:  # noqa: ANN401 - numbers, and what is made of them
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in dataclasses.fields(one)]
        return dataclasses.replace(one, **{name: _plus(getattr(one, name), getattr(other, name)) for name in names})
    if isinstance(one, dict):
        return {key: _both(key, one, other) for key in (*one, *(key for key in other if key not in one))}
    if isinstance(one, list):
        return [_plus(first, second) for first, second in zip(one, other, strict=True)]
    return one + other


def _both(key: object, one: dict[Any, Any], other: dict[Any, Any]) -> Any:  # noqa: ANN401 - as above
    if key in one and key in other:
        return _plus(one[key], other[key])
    return one[key] if key in one else other[key]
