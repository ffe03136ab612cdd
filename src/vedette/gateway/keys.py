"""Who is admitted: callers by their keys, where a domain wants them; anybody where it does not.

The id in a secret finds the key, and the digest of the whole secret is compared in constant time; where no key has the
id a digest that fits nothing is compared, so that the time an answer takes tells nobody which ids there are.
"""

import logging
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path

from vedette.catalog.key import AdmittedKey, KeyRing, digest_of, id_in, mark_of
from vedette.connectors import pepper
from vedette.gateway.plans import ServedPlan
from vedette.gateway.protocol import Request
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
        self._held: tuple[bytes, Mapping[str, AdmittedKey]] = b"", {}

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
        self._held = seasoning, good
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
            TurnedAway: 401 without a key that is good, 403 with one that is for other domains.
        """
        secret = _secret_in(request)
        if not secret:
            message = "you did not send a key; send it as `Authorization: Bearer KEY`"
            raise TurnedAway(401, message, "missing_api_key", fields=_ASK)
        seasoning, held = self._held
        key = held.get(id_in(secret))
        known = compare_digest(digest_of(secret, seasoning), key.digest if key else _NOBODY)
        if key is None or not known:
            raise TurnedAway(401, "the key you sent is not a good one", "invalid_api_key", fields=_ASK)
        domain = served.plan.domain
        if key.spec.domains and domain not in key.spec.domains:
            raise TurnedAway(403, f"key {key.name!r} is not for the model {domain!r}", "key_not_allowed", "model")
        return key


def _secret_in(request: Request) -> bytes:
    """Read the secret as OpenAI's clients send it, or Azure's and Anthropic's."""
    for name, value in request.headers:
        if name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            return secret.strip() if scheme.lower() == b"bearer" else b""
        if name in {b"api-key", b"x-api-key"}:
            return value.strip()
    return b""
