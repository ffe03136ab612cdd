"""A pass of a loop in the background: it may fail, the log is told as far as that is news, and the next one comes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vedette.control.instruments import Instruments
from vedette.kernel.errors import VedetteError
from vedette.kernel.outage import Outage


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
