"""Answers given again: by exactly the same question, to the same version and arms, until they are too old.

A question is the canonical JSON of its parameters: fields in order, spaces and the spelling of numbers left aside,
without what does not change an answer (the model's name, which is the domain; ``user``; how usage is asked for). It
is asked of one version, under the arms of its experiments, so that no variant is answered by another one's model, nor
by what another one's users have asked. Streams and whole answers are kept apart, each as it was sent.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final, NamedTuple, Protocol

import msgspec

from vedette.catalog.cache import Cache
from vedette.evidence.outcome import Exposure
from vedette.gateway.headers import value_of
from vedette.gateway.openai import Ask
from vedette.gateway.protocol import ClientConnection
from vedette.gateway.upstream import Headers

_LEFT_OUT: Final = frozenset({"model", "user", "stream_options"})
_STATEFUL: Final = frozenset({"previous_response_id", "conversation", "background"})  # asks of what is kept elsewhere
_SHARE: Final = 8  # one answer may take so much of a cache
_OVERHEAD: Final = 400  # bytes an entry takes beside its answer
_canonical = msgspec.json.Encoder(order="sorted").encode
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Kept(NamedTuple):
    """An answer as it was sent."""

    at: float
    kind: bytes
    body: bytes
    stream: bool

    def give(self, client: ClientConnection, fields: bytes, now: float) -> None:
        """Send it again, with these header lines and its age."""
        fields = b"%bage: %d\r\n" % (fields, max(0.0, now - self.at))
        if self.stream:
            client.begin_stream(200, b"%bcontent-type: %b\r\n" % (fields, self.kind))
            client.end_stream(self.body)
        else:
            client.respond(200, fields, self.kind, self.body)


class Waiting(Protocol):
    """A look-up that takes time."""

    def cancel(self) -> None:
        """Forget it: nobody waits any more."""
        ...


class Shared(Protocol):
    """Where answers lie that other workers have got."""

    def look_up(self, version: str, question: bytes, found: Callable[[Kept | None], None]) -> Waiting | None:
        """Ask for the answer of a version, which is told later; None where nobody is asked."""
        ...

    def keep(self, version: str, question: bytes, kept: Kept, seconds: float) -> None:
        """Keep one for so many seconds."""
        ...


class ResponseCache:
    """The answers of one domain in one worker; what was not asked for the longest goes first."""

    __slots__ = ("_held", "_size", "policy")

    def __init__(self, policy: Cache) -> None:
        self.policy = policy
        self._held: OrderedDict[bytes, Kept] = OrderedDict()
        self._size = 0

    @property
    def largest(self) -> int:
        """Bytes of an answer that can still be kept."""
        return self.policy.bytes // _SHARE

    def get(self, question: bytes, now: float, oldest: float) -> Kept | None:
        """Give the answer to a question, no older than ``oldest`` seconds."""
        kept = self._held.get(question)
        if kept is None:
            return None
        if now - kept.at >= self.policy.ttl:
            self._drop(question)
            return None
        if now - kept.at > oldest:
            return None
        self._held.move_to_end(question)
        return kept

    def put(self, question: bytes, kept: Kept) -> None:
        """Keep an answer, and make room for it."""
        self._drop(question)
        self._held[question] = kept
        self._size += len(kept.body) + _OVERHEAD
        while len(self._held) > self.policy.entries or self._size > self.policy.bytes:
            self._drop(next(iter(self._held)))

    def _drop(self, question: bytes) -> None:
        kept = self._held.pop(question, None)
        if kept is not None:
            self._size -= len(kept.body) + _OVERHEAD


class Memo:
    """One request and the cache: what it found there, or what it will leave there; of a version, arms and a caller."""

    __slots__ = (
        "_cache",
        "_look_up",
        "_oldest",
        "_parts",
        "_question",
        "_reads",
        "_shared",
        "_size",
        "_stored",
        "_version",
        "found",
        "result",
    )

    def __init__(
        self,
        cache: ResponseCache,
        shared: Shared | None,
        sent: Ask,
        headers: Headers,
        of: tuple[str, Sequence[Exposure], str],
        now: float,
    ) -> None:
        self._cache, self._shared, self._version = cache, shared, of[0]
        self._look_up: Waiting | None = None
        self._parts: list[bytes] = []
        self._size = 0
        reads, self._stored, oldest = _wishes(value_of(headers, b"cache-control"))
        if not _STATEFUL.isdisjoint(sent.fields):
            reads = self._stored = False
        self.found: Kept | None = None
        self._question = b""
        if reads or self._stored:
            version, exposures, caller = of
            arms = [[each.experiment, each.arm, each.epoch] for each in exposures]
            try:
                self._question = _question(sent, [version, arms, caller])
            except (msgspec.MsgspecError, RecursionError, UnicodeError):  # the backend may know what to make of it
                reads = self._stored = False
        self._reads, self._oldest = reads, oldest
        if reads:
            self.found = cache.get(self._question, now, oldest)
        self.result = "hit" if self.found else "miss" if reads else "bypass"

    def recall(self, then: Callable[[], None]) -> None:
        """Look where it takes time, and go on with ``then``: at once, where there is nothing to wait for."""
        if self.found is None and self._reads and self._shared is not None:
            found = partial(self._recalled, then)
            self._look_up = self._shared.look_up(self._version, self._question, found)
        if self._look_up is None:
            then()

    def _recalled(self, then: Callable[[], None], kept: Kept | None) -> None:
        self._look_up = None
        if kept is not None and monotonic() - kept.at < min(self._cache.policy.ttl, self._oldest):
            self.found, self.result = kept, "hit"
            if len(kept.body) <= self._cache.largest:
                self._cache.put(self._question, kept)
        then()

    def let_go(self) -> Kept | None:
        """Wait for nothing any more; give what was found."""
        if self._look_up is not None:
            self._look_up.cancel()
            self._look_up = None
        return self.found

    def add(self, data: bytes) -> None:
        """Take a piece of a stream as the client gets it."""
        if self._stored:
            self._size += len(data)
            self._parts.append(data)
            if self._size > self._cache.largest:
                self.forget()

    def forget(self) -> None:
        """Keep nothing of this one."""
        self._stored = False
        self._parts.clear()

    def store(self, kind: bytes, headers: Headers, now: float, body: bytes | None = None) -> None:
        """Keep the whole answer, or the stream whose pieces were added; unless its backend forbids it."""
        said = (value_of(headers, b"cache-control") or b"").lower()
        whole = b"".join(self._parts) if body is None else body
        if self._stored and b"no-store" not in said and len(whole) <= self._cache.largest:
            kept = Kept(now, kind, whole, body is None)
            self._cache.put(self._question, kept)
            if self._shared is not None:
                self._shared.keep(self._version, self._question, kept, self._cache.policy.ttl)


def _question(sent: Ask, of: Sequence[object]) -> bytes:
    fields = {name: value for name, value in sent.fields.items() if name not in _LEFT_OUT}
    asked = _canonical([sent.path, sent.wants_usage, of, _decode(_encode(fields))])
    return hashlib.blake2b(asked, digest_size=32).digest()


def _wishes(said: bytes | None) -> tuple[bool, bool, float]:
    """Read Cache-Control: whether a kept answer will do, whether this one may be kept, how old one may be."""
    reads, stored, oldest = True, True, float("inf")
    for wish in (said or b"").lower().split(b","):
        name, _, value = wish.strip().partition(b"=")
        if name in {b"no-cache", b"no-store"}:
            reads = False
            stored &= name != b"no-store"
        elif name == b"max-age" and value.isdigit():
            oldest = float(value[:9])
    return reads, stored, oldest
