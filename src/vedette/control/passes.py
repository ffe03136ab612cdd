"""Passes of loops in the background: they may fail, the log is told as far as that is news, and the next one comes."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from vedette.control.instruments import Instruments
from vedette.kernel.errors import VedetteError
from vedette.kernel.outage import Outage

_log = logging.getLogger(__name__)


@contextmanager
def passing(outage: Outage, instruments: Instruments, log: logging.Logger) -> Iterator[None]:
    """Make one pass: what vedette raises in it ends here, as a warning where `Outage` has one, and its end as news."""
    try:
        yield
    except VedetteError as error:
        if line := outage.failed(error, instruments.monotonic()):
            log.warning("%s", line)
    else:
        if line := outage.succeeded(instruments.monotonic()):
            log.info("%s", line)


Unread = Callable[[VedetteError], object]
"""Is told why evidence cannot be read."""


def warned(error: VedetteError) -> None:
    """Warn that evidence cannot be read: for whoever asks once, and not in a loop."""
    _log.warning("evidence cannot be read: %s", error)


class Failing:
    """What fails of the many things a loop takes care of, each by itself, as far as that is news.

    Args:
        instruments: clocks.
        log: is told.
    """

    def __init__(self, instruments: Instruments, log: logging.Logger) -> None:
        self._instruments, self._log = instruments, log
        self._outages: dict[tuple[str, str], Outage] = {}

    def failed(self, thing: str, what: str, error: Exception) -> None:
        """Book that ``what`` was tried for a thing and failed; what nobody expected is told with where it arose."""
        outage = self._outages.setdefault((thing, what), Outage(what))
        if line := outage.failed(error, self._instruments.monotonic()):
            if isinstance(error, VedetteError):
                self._log.warning("%s", line)
            else:
                self._log.error("%s", line, exc_info=error)

    def succeeded(self, thing: str, what: str) -> None:
        """Book that it succeeded."""
        if outage := self._outages.pop((thing, what), None):
            self._log.info("%s", outage.succeeded(self._instruments.monotonic()))

    @contextmanager
    def reading(self, thing: str, what: str) -> Iterator[Unread]:
        """Give whom to tell why something cannot be read; where nobody is told by the end, it could be."""
        errors: list[VedetteError] = []
        yield errors.append
        for error in errors:
            self.failed(thing, what, error)
        if not errors:
            self.succeeded(thing, what)

    def keep(self, things: Collection[str]) -> None:
        """Forget all things but these."""
        self._outages = {key: outage for key, outage in self._outages.items() if key[0] in things}
