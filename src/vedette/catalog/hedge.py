"""Asking twice when an answer is late to begin."""

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Percent, Seconds
from vedette.kernel.records import record


@record
class Hedge:
    """Asks a version's backend a second time when its answer has not begun ``after`` so long; the first to begin wins.

    At most ``share`` of a version's requests are asked twice: the second answer costs what the first one does.
    """

    after: Seconds
    share: Percent = 5.0

    def __post_init__(self) -> None:
        """Refuse to ask twice at once, and a share of nothing."""
        for name in ("after", "share"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} of a hedge must be more than zero, not {getattr(self, name)}")
