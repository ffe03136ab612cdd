"""Copies of requests for a version whose answers nobody sees."""

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Percent
from vedette.kernel.ids import check_name
from vedette.kernel.records import record


@record
class Shadow:
    """Asks ``version`` a ``share`` of what the domain is asked, too, and shows its answers to nobody.

    No more than ``concurrency`` copies are under way in a worker; what would be more is not copied. It begins when the
    version is registered.
    """

    version: str
    share: Percent = 10.0
    concurrency: int = 8

    def __post_init__(self) -> None:
        """Refuse what names no version, and copies that could never be made."""
        check_name(self.version, "version")
        if self.concurrency < 1:
            raise InvalidInput(f"concurrency of a shadow must be 1 or more, not {self.concurrency}")
