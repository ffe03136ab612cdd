"""The answers of all gateways in one Redis, behind each worker's own memory; a request hardly waits for it, if at all.

A look-up that is not answered in time is given up and counted as a failure. After a few of them in a row the Redis is
left alone: requests do not even ask, until it has answered in the background again. What is kept says which domain,
version and backend it is of; an entry that is damaged, misplaced or too large is no entry.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final

import msgspec
from xxhash import xxh3_64_hexdigest, xxh3_64_intdigest

from vedette.catalog.backend import Backend
from vedette.gateway.cache import Kept
from vedette.gateway.metrics import Metrics
from vedette.gateway.settings import GatewaySettings
from vedette.kernel.errors import InvalidInput, Unavailable

_log = logging.getLogger("vedette.gateway")

_IN_A_ROW: Final = 3  # failures after which it is left alone
_AT_ONCE: Final = 64  # questions and answers under way in one worker
_CONNECT: Final = 1.0  # seconds for a connection that is made while nobody waits
_OVERHEAD: Final = 512  # bytes an entry has beside its body
_PREFIX: Final = b"vedette:cache:1:"  # 1: how entries are laid out

Found = Callable[[Kept | None], None]


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """An answer as it lies in Redis."""

    key: bytes
    at: float  # by the calendar
    kind: bytes
    stream: bool
    body: bytes
    digest: int


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Entry).decode


def entry(key: bytes, kept: Kept, age: float, now: float) -> bytes:
    """Write an answer that is ``age`` seconds old ``now``, by the calendar."""
    return _pack(_Entry(key, now - age, kept.kind, kept.stream, kept.body, _digest(kept.kind, kept.body)))


def read(key: bytes, data: bytes, monotonic_now: float, now: float) -> Kept | None:
    """Read an entry, unless it is no entry, another one's, or not what was written."""
    try:
        found = _unpack(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if found.key != key or found.digest != _digest(found.kind, found.body):
        return None
    if not found.kind.isascii() or not found.kind.decode().isprintable():  # it goes into a header as it is
        return None
    age = max(0.0, now - found.at)  # the clocks of two machines are not quite the same
    return Kept(monotonic_now - age, found.kind, found.body, found.stream)


def _digest(kind: bytes, body: bytes) -> int:
    return xxh3_64_intdigest(body, xxh3_64_intdigest(kind))


class SharedCache:
    """The Redis at ``url`` as one worker uses it.

    Raises:
        Unavailable: redis-py is not installed.
        InvalidInput: that is no address of a Redis.
    """

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ImportError as error:
            raise Unavailable("a shared cache needs redis-py", hint="pip install 'vedette[redis]'") from error
        self.errors: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
        try:
            self._redis: Any = Redis.from_url(
                settings.cache_url,
                max_connections=_AT_ONCE + 2,
                socket_connect_timeout=_CONNECT,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise InvalidInput(f"the address of the cache is none: {error}", hint="redis://host:6379/0") from error
        self._timeout, self._look, self._limit = (
            settings.cache_timeout,
            settings.cache_retry,
            settings.cache_entry_limit,
        )
        self.metrics = metrics
        self.alive = False  # until it has answered once
        self._failures = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._erased: set[str] = set()  # domains whose answers are still to be taken out
        self._warned = False

    # On the request path.

    def look_up(self, domain: str, key: bytes, found: Found) -> "LookUp | None":
        """Ask for an answer and tell it in time, or that there is none; None where nobody is asked."""
        if not self.alive or len(self._tasks) >= _AT_ONCE:
            self.metrics.shared(domain, "skipped")
            return None
        look_up = LookUp(self, domain, key, found)
        self._begin(look_up.ask(partial(self._redis.getrange, key, 0, self._limit + _OVERHEAD)), look_up)
        look_up.begin(self._timeout)
        return look_up

    def keep(self, domain: str, key: bytes, kept: Kept, seconds: float) -> None:
        """Keep an answer for so many seconds, when there is time; nobody waits for that."""
        if not self.alive or len(self._tasks) >= _AT_ONCE or len(kept.body) > self._limit:
            self.metrics.shared(domain, "not_kept")
            return
        data = entry(key, kept, monotonic() - kept.at, time.time())
        self._begin(self._keep(domain, key, data, max(1, int(seconds * 1000))))

    def _begin(self, work: Coroutine[Any, Any, None], look_up: "LookUp | None" = None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if look_up is not None:
            look_up.task = task

    async def _keep(self, domain: str, key: bytes, data: bytes, milliseconds: int) -> None:
        try:
            async with asyncio.timeout(self._timeout + _CONNECT):
                await self._redis.set(key, data, px=milliseconds)
        except self.errors as error:
            self.failed(error)
            self.metrics.shared(domain, "not_kept")
        else:
            self._failures = 0
            self.metrics.shared(domain, "kept")

    def answer(self, look_up: "LookUp", data: bytes) -> Kept | None:
        """Read what Redis has said."""
        self._failures = 0
        if not data:
            self.metrics.shared(look_up.domain, "miss")
            return None
        whole = len(data) <= self._limit + _OVERHEAD
        kept = read(look_up.key, data, monotonic(), time.time()) if whole else None
        self.metrics.shared(look_up.domain, "hit" if kept else "unreadable")
        return kept

    def failed(self, error: BaseException | str) -> None:
        """Count a failure; the last of a row means that it is left alone."""
        self._failures += 1
        if self.alive and self._failures >= _IN_A_ROW:
            self.alive = False
            self.metrics.shared_lost += 1
            _log.warning("the shared cache does not answer and is left alone: %s", error or type(error).__name__)

    # In the background.

    def erase(self, *domains: str) -> None:
        """Take out all answers of domains as soon as that can be done."""
        self._erased.update(domains)

    async def run(self, stop: asyncio.Event) -> None:
        """See that it answers, and take out what is to be taken out, until ``stop``."""
        try:
            while not stop.is_set():
                await self._look_after()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._look):
                        await stop.wait()
        finally:
            await self._close()

    async def _look_after(self) -> None:
        try:
            if not self.alive:
                await self._greet()
            while self.alive and self._erased:
                await self._erase(next(iter(self._erased)))
        except self.errors as error:
            if not self._warned:
                _log.warning("there is no shared cache for now: %s", str(error) or type(error).__name__)
            self._warned = True

    async def _greet(self) -> None:
        """Connect, and see whether it answers as fast as it has to."""
        for patience in (_CONNECT, self._timeout):
            async with asyncio.timeout(patience):
                await self._redis.ping()
        if self._warned or self.metrics.shared_lost:
            _log.warning("the shared cache answers")
        self._failures, self.alive, self._warned = 0, True, False

    async def _erase(self, domain: str) -> None:
        async with asyncio.timeout(30 * _CONNECT):
            async for key in self._redis.scan_iter(match=b"%b%b:*" % (_PREFIX, domain.encode()), count=1000):
                await self._redis.unlink(key)
        self._erased.discard(domain)

    async def _close(self) -> None:
        self.alive = False
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()


class LookUp:
    """One question to Redis: answered once, in time."""

    __slots__ = ("_cache", "_found", "_timer", "domain", "key", "task")

    def __init__(self, cache: SharedCache, domain: str, key: bytes, found: Found) -> None:
        self._cache, self._found, self.domain, self.key = cache, found, domain, key
        self.task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """Wait no longer than so many seconds."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._late)

    async def ask(self, question: Callable[[], Awaitable[bytes]]) -> None:
        """Wait for the answer."""
        try:
            data = await question()
        except self._cache.errors as error:
            self._fail(str(error) or type(error).__name__)
        else:
            self._tell(self._cache.answer(self, data))

    def cancel(self) -> None:
        """Forget it: nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self.task is not None:
                self.task.cancel()

    def _late(self) -> None:
        if self.task is not None:
            self.task.cancel()
        self._fail("it is too slow")

    def _fail(self, why: str) -> None:
        self._cache.failed(why)
        self._cache.metrics.shared(self.domain, "failed")
        self._tell(None)

    def _tell(self, kept: Kept | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._found(kept)


class SharedAnswers:
    """What a plan's versions have in the shared cache."""

    __slots__ = ("_cache", "_domain", "_prefixes")

    def __init__(self, cache: SharedCache, domain: str, backends: Mapping[str, Backend]) -> None:
        self._cache, self._domain = cache, domain
        self._prefixes = {
            version: b"%b%b:%b:%b:"
            % (_PREFIX, domain.encode(), version.encode(), xxh3_64_hexdigest(repr(backend).encode()).encode())
            for version, backend in backends.items()
        }

    def look_up(self, version: str, question: bytes, found: Found) -> LookUp | None:
        """Ask for the answer of a version to a question."""
        return self._cache.look_up(self._domain, self._key(version, question), found)

    def keep(self, version: str, question: bytes, kept: Kept, seconds: float) -> None:
        """Keep one."""
        self._cache.keep(self._domain, self._key(version, question), kept, seconds)

    def _key(self, version: str, question: bytes) -> bytes:
        return self._prefixes[version] + question.hex().encode()
