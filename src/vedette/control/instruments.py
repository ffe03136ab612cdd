"""What the pure rooms must not have: the time, and new ids. Tests put their own in its place."""

import os
import secrets
import time
from datetime import UTC, datetime

from vedette.kernel.ids import milliseconds_of, uuid7


class Instruments:
    """The clocks and the dice of one process."""

    def now(self) -> datetime:
        """Give the calendar time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that only grow, whatever is done to the calendar."""
        return time.monotonic()

    def new_id(self, after: str = "") -> str:
        """Give a new UUIDv7, greater than the one ``after`` even if the calendar went back since (RFC 9562 §6.2)."""
        earliest = milliseconds_of(after) + 1 if after else 0
        return uuid7(max(earliest, int(self.now().timestamp() * 1000)), os.urandom(10))

    def new_secret(self) -> tuple[str, str]:
        """Give twelve random hexadecimal digits and 43 random letters of URL-safe Base64."""
        return secrets.token_hex(6), secrets.token_urlsafe(32)
