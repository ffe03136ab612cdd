"""Answers given again: by exactly the same question, to the same version and arms, until they are too old.

A question is the canonical JSON of its parameters: fields in order, spaces and the spelling of numbers left aside,
without what does not change an answer (the model's name, which is the domain; ``user``; how usage is asked for). It
is asked of one version, under the arms of its experiments, so that no variant is answered by another one's model, nor
by what another one's users have asked. Streams and whole answers are kept apart, each as it was sent.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Final, NamedTuple, Protocol

import msgspec

from vedette.catalog.cache import Cache
from vedette.evidence.outcome import Exposure
from vedette.gateway.headers import value_of
from vedette.gateway.metrics import Metrics
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


class Kin(Protocol):
    """What a question is like."""

    def nearest(self) -> Iterable[bytes]:
        """Give the questions it is like, the likest first; each is forgotten when the next is asked for."""
        ...

    def counted(self, *, hit: bool) -> None:
        """Count it."""
        ...

    def add(self, question: bytes) -> None:
        """Remember it: its answer was kept."""
        ...


class Similar(Protocol):
    """Finds questions that are much like others."""

    off: bool

    def look_up(
        self, ask: Ask, of: tuple[str, Sequence[Exposure], str], found: Callable[[Kin | None], None]
    ) -> Waiting | None:
        """Tell what a question is like, at once or later; give what can be cancelled."""
        ...

    def verifies(self) -> bool:
        """Say whether this hit is one of those that are verified."""
        ...

    def judge_hit(self, given: bytes, said: bytes) -> Mapping[str, float]:
        """Count a verified hit, and measure it."""
        ...

    def judge(self, known: Metrics) -> None:
        """Switch off once it is certain that too many hits are false."""
        ...


class ResponseCache:
    """The answers of one domain in one worker; what was not asked for the longest goes first."""

    __slots__ = ("_held", "_size", "policy", "similar")

    def __init__(self, policy: Cache, similar: Similar | None = None) -> None:
        self.policy, self.similar = policy, similar
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
        "_kin",
        "_look_up",
        "_of",
        "_oldest",
        "_parts",
        "_question",
        "_reads",
        "_sent",
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
        self._sent, self._of = sent, of
        self._look_up: Waiting | None = None
        self._kin: Kin | None = None
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
        if self.found is None and self._reads:
            if self._shared is not None:
                found = partial(self._recalled, then)
                self._look_up = self._shared.look_up(self._version, self._question, found)
                if self._look_up is not None:
                    return
            if self._cache.similar is not None:
                self._compare(self._cache.similar, then)
                return
        then()

    def _recalled(self, then: Callable[[], None], kept: Kept | None) -> None:
        self._look_up = None
        if kept is not None and monotonic() - kept.at < min(self._cache.policy.ttl, self._oldest):
            self.found, self.result = kept, "hit"
            if len(kept.body) <= self._cache.largest:
                self._cache.put(self._question, kept)
        elif self._cache.similar is not None:
            self._compare(self._cache.similar, then)
            return
        then()

    def _compare(self, similar: Similar, then: Callable[[], None]) -> None:
        if self._oldest != float("inf"):  # who minds an answer's age has more to mind about another question's
            then()
            return
        self._look_up = similar.look_up(self._sent, self._of, partial(self._compared, then))

    def _compared(self, then: Callable[[], None], kin: Kin | None) -> None:
        """Take the answer to the likest question that still has one."""
        self._look_up, self._kin = None, kin
        if kin is not None:
            kept = (self._cache.get(question, monotonic(), self._oldest) for question in kin.nearest())
            self.found = next((each for each in kept if each is not None), None)
            kin.counted(hit=self.found is not None)
            if self.found is not None:
                self.result = "similar"
        then()

    def verifies(self) -> Callable[[bytes], Mapping[str, float]] | None:
        """Give who judges an answer to a question that was given another one's; None where nobody asks for it."""
        if self.result != "similar" or self.found is None or self._cache.similar is None:
            return None
        return partial(self._cache.similar.judge_hit, self.found.body) if self._cache.similar.verifies() else None

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
            if self._kin is not None:
                self._kin.add(self._question)
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
