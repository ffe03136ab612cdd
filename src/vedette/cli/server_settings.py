"""Settings of a server from a file, read again on SIGHUP."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.gateway.settings import GatewaySettings
from vedette.kernel.documents import read_record
from vedette.kernel.errors import InvalidInput, VedetteError
from vedette.kernel.records import record
from vedette.lake.retention import Retention

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger(__name__)


@record
class ServerSettings:
    """What a file of settings says, by part; the parts a process does not run it passes over."""

    gateway: GatewaySettings = GatewaySettings()
    retention: Retention = Retention()


def read(file: str) -> ServerSettings:
    """Read a file of settings; without one everything has its default.

    Raises:
        InvalidInput: the file cannot be read, or holds what is no setting.
    """
    try:
        text = Path(file).read_text(encoding="utf-8") if file else ""
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(f"the settings in {file} cannot be read: {said}") from error
    return read_record(ServerSettings, text, file)


@contextmanager
def read_again(file: str, adopt: Callable[[ServerSettings], object]) -> Iterator[None]:
    """Read the file again on SIGHUP as long as the block runs; one with a mistake changes nothing."""

    def work() -> None:
        try:
            found = read(file)
        except VedetteError as error:
            log.warning("the settings stay as they are: %s", error)
        else:
            adopt(found)

    def ask(_number: int, _frame: "FrameType | None") -> None:
        threading.Thread(target=work, name="vedette-reload", daemon=True).start()

    before = signal.signal(signal.SIGHUP, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
