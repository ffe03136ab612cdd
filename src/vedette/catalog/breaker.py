"""When a failing backend is left alone."""

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Percent, Seconds
from vedette.kernel.records import record


@record
class Breaker:
    """Leaves a version's backend alone once ``share`` of at least ``minimum`` tries within ``window`` failed.

    After ``pause`` one request at a time is let through to see; ``probes`` good ones in a row end it, a bad one doubles
    the pause, up to eight times.
    """

    share: Percent = 50.0
    minimum: int = 20
    window: Seconds = 10.0
    pause: Seconds = 5.0
    probes: int = 3

    def __post_init__(self) -> None:
        """Refuse what would never open, or never close."""
        for name in ("share", "minimum", "window", "pause", "probes"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} of a breaker must be more than zero, not {getattr(self, name)}")
