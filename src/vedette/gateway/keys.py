"""Who is admitted: callers by their keys, where a domain wants them; anybody where it does not.

The id in a secret finds the key, and the digest of the whole secret is compared in constant time; where no key has the
id a digest that fits nothing is compared, so that the time an answer takes tells nobody which ids there are. Whoever
sends a key that has expired is told so, once the secret has proved to be the right one.
"""

import logging
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path

from vedette.catalog.key import AdmittedKey, KeyRing, digest_of, id_in, mark_of
from vedette.connectors import pepper
from vedette.gateway.plans import ServedPlan
from vedette.gateway.request import Request
from vedette.gateway.turning import TurnedAway
from vedette.kernel.errors import VedetteError

_log = logging.getLogger("vedette.gateway")
_NOBODY = "0" * 64
_ASK = b"www-authenticate: Bearer\r\n"


class Admission:
    """The keys that are good, swapped whole; nobody is admitted where keys are wanted and none are known."""

    def __init__(self, environment: Mapping[str, str], pepper_file: str) -> None:
        self._environment = environment
        self._file = Path(pepper_file) if pepper_file else None
        self.ring = KeyRing(revision=-1)
        self.clock = time.time
        self._held = _Held(b"", {})

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
        self._held = _Held(seasoning, good)
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
        secret = _secret_in(request.fields)
        held = self._held
        key, end = held.proven.get(secret) or held.prove(secret)
        if end <= self.clock():
            ended = datetime.fromtimestamp(end, UTC)
            message = f"key {key.name!r} expired at {ended:%Y-%m-%d %H:%M:%S} UTC"
            raise TurnedAway(401, message, "key_expired", fields=_ASK)
        domain = served.plan.domain
        if key.spec.domains and domain not in key.spec.domains:
            raise TurnedAway(403, f"key {key.name!r} is not for the model {domain!r}", "key_not_allowed", "model")
        return key


class _Held:
    """The keys of one ring, and the secrets that have proved to be theirs: who comes again is known by that.

    Only right secrets are remembered, as long as the ring stands; they pass through this memory with every request.
    Beside each key is when it ends, in seconds since 1970, or never.
    """

    __slots__ = ("_keys", "_seasoning", "proven")

    def __init__(self, seasoning: bytes, keys: Mapping[str, AdmittedKey]) -> None:
        self._seasoning, self._keys = seasoning, keys
        self.proven: dict[bytes, tuple[AdmittedKey, float]] = {}

    def prove(self, secret: bytes) -> tuple[AdmittedKey, float]:
        """Give the key that a secret is of, and its end, or turn its bearer away."""
        if not secret:
            message = "you did not send a key; send it as `Authorization: Bearer KEY`"
            raise TurnedAway(401, message, "missing_api_key", fields=_ASK)
        key = self._keys.get(id_in(secret))
        known = compare_digest(digest_of(secret, self._seasoning), key.digest if key else _NOBODY)
        if key is None or not known:
            raise TurnedAway(401, "the key you sent is not a good one", "invalid_api_key", fields=_ASK)
        end = key.spec.expires_at
        found = self.proven[secret] = key, math.inf if end is None else end.timestamp()
        return found


def _secret_in(fields: Mapping[bytes, bytes]) -> bytes:
    """Read the secret as OpenAI's clients send it, or Azure's and Anthropic's."""
    if said := fields.get(b"authorization"):
        scheme, _, secret = said.strip().partition(b" ")
        return secret.strip() if scheme.lower() == b"bearer" else b""
    return (fields.get(b"api-key") or fields.get(b"x-api-key") or b"").strip()
