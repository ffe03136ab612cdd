"""Who is admitted: callers by their keys, where a domain wants them; anybody where it does not.

The id in a secret finds the key, and the digest of the whole secret is compared in constant time; where no key has the
id a digest that fits nothing is compared, so that the time an answer takes tells nobody which ids there are.

Keys that have expired are kept apart from the good ones, so all a request asks is whether the next end has come.
Whoever sends one that has expired is told so, once the secret has proved to be the right one.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import UTC
from hmac import compare_digest
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from vedette.catalog.key import AdmittedKey, KeyRing, digest_of, id_in, mark_of
from vedette.connectors import pepper
from vedette.gateway.plans import ServedPlan
from vedette.gateway.protocol import Request
from vedette.gateway.turning import TurnedAway
from vedette.kernel.errors import VedetteError

_log = logging.getLogger("vedette.gateway")
_NOBODY = "0" * 64
_ASK = b"www-authenticate: Bearer\r\n"


class _Held(NamedTuple):
    """The keys of one ring as they stand: swapped whole."""

    pepper: bytes
    good: Mapping[str, AdmittedKey]
    expired: Mapping[str, AdmittedKey]
    next_end: float | None  # when the first of the good ones ends, in seconds since 1970; None: none does


class Admission:
    """The keys that are good, swapped whole; nobody is admitted where keys are wanted and none are known."""

    def __init__(self, environment: Mapping[str, str], pepper_file: str) -> None:
        self._environment = environment
        self._file = Path(pepper_file) if pepper_file else None
        self.ring = KeyRing(revision=-1)
        self.clock = time.time
        self._held = _Held(b"", {}, {}, None)
        self._swapping = Lock()  # a ring is adopted in a thread of its own

    def adopt(self, ring: KeyRing) -> None:
        """Put a ring into force; blocks, for the pepper may be in a file.

        A key made with another pepper than this gateway's cannot be told from a wrong one, and is left out, loudly.
        """
        seasoning = b""
        try:
            seasoning = pepper.find(self._environment, self._file) or b""
        except VedetteError as error:
            _log.error("%s", error)
        mark = mark_of(seasoning)
        good = {key.id: key for key in ring.keys if seasoning and key.pepper == mark}
        if strange := len(ring.keys) - len(good):
            _log.error(
                "%d of %d keys are refused: they were made with another pepper than this gateway has (%s)",
                strange,
                len(ring.keys),
                f"set {pepper.VARIABLE} to the one of the control plane",
            )
        with self._swapping:
            self._held = _sorted(seasoning, good.values(), self.clock())
            self.ring = ring

    def admits(self, served: ServedPlan, request: Request) -> bool:
        """Say whether the caller may see anything of a domain."""
        if served.plan.config.access == "open":
            return True
        try:
            self.admit(served, request)
        except TurnedAway:
            return False
        return True

    def admit(self, served: ServedPlan, request: Request) -> AdmittedKey:
        """Give the key of a caller who may ask a domain that wants keys.

        Raises:
            TurnedAway: 401 without a key that is good, or with one that has expired; 403 with one for other domains.
        """
        secret = _secret_in(request)
        if not secret:
            message = "you did not send a key; send it as `Authorization: Bearer KEY`"
            raise TurnedAway(401, message, "missing_api_key", fields=_ASK)
        held = self._held
        if held.next_end is not None and held.next_end <= self.clock():
            held = self._sort_again()
        key = held.good.get(id_in(secret))
        known = compare_digest(digest_of(secret, held.pepper), key.digest if key else _NOBODY)
        if key is None or not known:
            key = self._good_again(held, secret)
        domain = served.plan.domain
        if key.spec.domains and domain not in key.spec.domains:
            raise TurnedAway(403, f"key {key.name!r} is not for the model {domain!r}", "key_not_allowed", "model")
        return key

    def _sort_again(self) -> _Held:
        """Part the keys that have expired by now from those that are good."""
        with self._swapping:
            held = self._held
            self._held = _sorted(held.pepper, (*held.good.values(), *held.expired.values()), self.clock())
            return self._held

    def _good_again(self, held: _Held, secret: bytes) -> AdmittedKey:
        """Turn away who has no good key, saying so where it has expired; unless the clock was put back since.

        Raises:
            TurnedAway: the key is no good one.
        """
        key = held.expired.get(id_in(secret))
        known = compare_digest(digest_of(secret, held.pepper), key.digest if key else _NOBODY)
        if key is None or not known:
            raise TurnedAway(401, "the key you sent is not a good one", "invalid_api_key", fields=_ASK)
        ended = key.spec.expires_at
        if ended is not None and ended.timestamp() <= self.clock():
            message = f"key {key.name!r} expired at {ended.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            raise TurnedAway(401, message, "key_expired", fields=_ASK)
        self._sort_again()
        return key


def _sorted(seasoning: bytes, keys: Iterable[AdmittedKey], now: float) -> _Held:
    good: dict[str, AdmittedKey] = {}
    expired: dict[str, AdmittedKey] = {}
    ends: list[float] = []
    for key in keys:
        end = key.spec.expires_at.timestamp() if key.spec.expires_at else None
        if end is not None and end <= now:
            expired[key.id] = key
            continue
        good[key.id] = key
        if end is not None:
            ends.append(end)
    return _Held(seasoning, good, expired, min(ends, default=None))


def _secret_in(request: Request) -> bytes:
    """Read the secret as OpenAI's clients send it, or Azure's and Anthropic's."""
    for name, value in request.headers:
        if name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            return secret.strip() if scheme.lower() == b"bearer" else b""
        if name in {b"api-key", b"x-api-key"}:
            return value.strip()
    return b""
