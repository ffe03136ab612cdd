"""Keys of callers: who may ask which domains; known by a digest of the secret, never by the secret itself.

A secret is ``vdt_``, the key's public id, ``_`` and the secret part. It is shown once, when it is made. What is kept is
its HMAC-SHA256 under a pepper that stands neither in the database nor in what gateways keep on disk, so neither of
them alone lets anybody check a guess.
"""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from enum import StrEnum

from vedette.catalog.limits import Rates
from vedette.kernel.clock import duration
from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import InstantOrDay, instant_or_day
from vedette.kernel.ids import check_name
from vedette.kernel.records import record

SOON = timedelta(days=14)
"""A key that ends within this time is marked where keys are listed."""

_SECRET = re.compile(rb"vdt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


def secret_of(key_id: str, random: str) -> str:
    """Write the secret of a key from its id (12 hexadecimal digits) and 43 random letters of URL-safe Base64."""
    return f"vdt_{key_id}_{random}"


def id_in(secret: bytes) -> str:
    """Give the id of the key that a secret says it belongs to; empty when it has not the form of one."""
    found = _SECRET.fullmatch(secret)
    return found[1].decode() if found else ""


def digest_of(secret: bytes, pepper: bytes) -> str:
    """Give what is kept of a secret, in hexadecimal digits."""
    return hmac.digest(pepper, secret, hashlib.sha256).hex()


def mark_of(pepper: bytes) -> str:
    """Name a pepper without telling it, so that one can say a digest was made with another."""
    return hmac.digest(pepper, b"vedette", hashlib.sha256).hex()[:8]


def expiry_of(said: object, now: datetime) -> object:
    """Read when a key ends: ``90d`` from now, a date, or a time with its offset; what is no text is left as it is.

    Raises:
        InvalidInput: it is none of them, or beyond the calendar.
    """
    if not isinstance(said, str) or said[-1:] not in {"w", "d", "h", "m", "s"}:
        return instant_or_day(said)
    try:
        return now + timedelta(seconds=duration(said))
    except OverflowError:
        raise InvalidInput(f"{said} from now is beyond the calendar") from None


@record
class KeySpec:
    """What a user says of a key: the ``domains`` it is for (empty: all), its own limits, anything worth knowing.

    From ``expires_at`` on it opens nothing; a date is the moment it begins in UTC, None is never.
    """

    domains: tuple[str, ...] = ()
    limits: Rates = Rates()
    note: str = ""
    expires_at: InstantOrDay | None = None

    def __post_init__(self) -> None:
        """Refuse what names no domain, and an end that names no zone."""
        for domain in self.domains:
            check_name(domain, "domain")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise InvalidInput(f"{self.expires_at} names no time zone", hint="give one, such as datetime.UTC")


class KeyState(StrEnum):
    """How a key stands at a moment."""

    GOOD = "good"
    ENDING = "ending"  # good, and it ends soon
    EXPIRED = "expired"
    REVOKED = "revoked"


@record
class Key:
    """One key as it stands, without its secret; ``revoked_at`` is None until it is taken back."""

    id: str
    name: str
    spec: KeySpec
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None
    revoked_by: str = ""
    revision: int = 1

    def __post_init__(self) -> None:
        """Refuse a name that cannot stand in a URL or a label."""
        check_name(self.name, "key")

    def state_at(self, now: datetime) -> KeyState:
        """Say how it stands at a moment."""
        ends = self.spec.expires_at
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if ends is None or ends > now + SOON:
            return KeyState.GOOD
        return KeyState.ENDING if ends > now else KeyState.EXPIRED


@record
class IssuedKey:
    """A key just made, with its secret: this is the only time it is told."""

    key: Key
    secret: str


@record
class AdmittedKey:
    """A key that is not revoked, as gateways need it; ``pepper`` marks the one its digest was made with."""

    id: str
    name: str
    spec: KeySpec
    digest: str
    pepper: str

    def __post_init__(self) -> None:
        """Refuse what is no digest."""
        if len(self.digest) != 64 or set(self.digest) - set("0123456789abcdef"):
            raise InvalidInput(f"the digest of key {self.name!r} is none")


@record
class KeyRing:
    """All keys that are not revoked, at one revision; whoever is not in it is not admitted.

    Those that have expired are in it too: gateways know by their own clock, and tell their callers.
    """

    revision: int
    keys: tuple[AdmittedKey, ...] = ()
