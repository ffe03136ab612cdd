"""The demo's users, in a process of their own: they ask the gateway as any OpenAI client does, and judge it late.

``python -m vedette.demo.traffic FILE`` asks the held-out queries of `Orders` at a steady rate until its standard input
ends, and prints a line of JSON a second with what it did. What the true answer was is told to the control API a second
or so after each answer, by request id and in batches, as the system of a real user would learn and report it.
"""

import asyncio
import contextlib
import heapq
import itertools
import json
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI, OpenAIError

from vedette.kernel.documents import load
from vedette.kernel.records import record

_IN_FLIGHT = 24  # of one domain; a gateway that cannot keep up lowers the rate instead of filling queues
_LATE = (0.4, 1.2)  # seconds from an answer to the truth
_BATCH = 500
_REPORT_EVERY = 0.5
_WINDOW = 5.0  # seconds over which the rate is taken


@record
class Stream:
    """The questions of one domain, each with its true answer, and the order of its users (empty: each asks once)."""

    domain: str
    rate: float
    questions: tuple[tuple[str, str], ...]
    users: tuple[str, ...]


@record
class Orders:
    """What the traffic process is to do; ``gateway`` and ``api`` are base URLs, ``token`` lets it in at the API."""

    gateway: str
    api: str
    token: str = ""
    seed: int
    streams: tuple[Stream, ...]


class Truth:
    """Judgements on their way: each waits until the truth is out, and goes to the control API in a batch."""

    def __init__(self, api: str, http: httpx.AsyncClient) -> None:
        self._url = f"{api}/api/v1/outcomes/feedback"
        self._http = http
        self._waiting: list[tuple[float, str, int]] = []
        self.reported = 0
        self.trouble = ""

    def learn(self, when: float, request_id: str, correct: int) -> None:
        """Take note of a judgement to be told at loop time ``when``."""
        heapq.heappush(self._waiting, (when, request_id, correct))

    async def report(self, now: float) -> None:
        """Tell what is out by now; what the API does not take is told again later."""
        while self._waiting and self._waiting[0][0] <= now:
            batch: list[tuple[float, str, int]] = []
            while self._waiting and self._waiting[0][0] <= now and len(batch) < _BATCH:
                batch.append(heapq.heappop(self._waiting))
            items = [{"outcomeId": request_id, "measures": {"correct": correct}} for _, request_id, correct in batch]
            try:
                answer = await self._http.post(self._url, json={"items": items})
                answer.raise_for_status()
            except httpx.HTTPError as error:
                self.trouble = f"{type(error).__name__}: {error}"
                for judgement in batch:
                    heapq.heappush(self._waiting, judgement)
                return
            self.reported += len(batch)
            self.trouble = ""


class Asking:
    """Asks the questions of one domain at its rate."""

    def __init__(self, stream: Stream, client: AsyncOpenAI, truth: Truth, seed: int) -> None:
        self.stream = stream
        self._client, self._truth = client, truth
        self._dice = random.Random(f"{seed}/{stream.domain}")  # noqa: S311 - an order of questions, no secret
        self._free = asyncio.Semaphore(_IN_FLIGHT)
        self._answered: deque[float] = deque()
        self.answered = self.failed = 0
        self.trouble = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until ``stop``, then wait for the answers still on their way."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for (query, label), user in zip(self._questions(), self._users(), strict=False):
                await self._free.acquire()
                due = max(due + 1 / self.stream.rate, loop.time() - 0.1)  # what was missed is not made up for
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                if stop.is_set():
                    return
                tasks.create_task(self._ask(query, label, user))

    def rate(self, now: float) -> float:
        """Give the answers a second over the last few seconds."""
        while self._answered and self._answered[0] < now - _WINDOW:
            self._answered.popleft()
        return len(self._answered) / _WINDOW

    async def _ask(self, query: str, label: str, user: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=self.stream.domain, messages=[{"role": "user", "content": query}], user=user
            )
            said = raw.parse().choices[0].message.content
        except OpenAIError as error:
            self.failed += 1
            self.trouble = f"{type(error).__name__}: {error}"
        else:
            self.answered += 1
            self._answered.append(loop.time())
            late = self._dice.uniform(*_LATE)
            self._truth.learn(loop.time() + late, raw.headers["x-vedette-request-id"], int(said == label))
        finally:
            self._free.release()

    def _questions(self) -> Iterator[tuple[str, str]]:
        """Give every question once in random order, then again in another one."""
        while True:
            yield from self._dice.sample(self.stream.questions, len(self.stream.questions))

    def _users(self) -> Iterator[str]:
        if not self.stream.users:
            yield from (f"{self.stream.domain}-reader-{number}" for number in itertools.count())
        while True:
            yield from self._dice.sample(self.stream.users, len(self.stream.users))


async def drive(orders: Orders, stop: asyncio.Event) -> None:
    """Ask, judge and report until ``stop``."""
    loop = asyncio.get_running_loop()
    async with (
        httpx.AsyncClient(timeout=10.0, headers={"Authorization": f"Bearer {orders.token}"}) as http,
        AsyncOpenAI(base_url=orders.gateway, api_key="none", max_retries=0, timeout=15.0) as client,
        asyncio.TaskGroup() as tasks,
    ):
        truth = Truth(orders.api, http)
        asking = [Asking(stream, client, truth, orders.seed) for stream in orders.streams]
        running = [tasks.create_task(one.run(stop)) for one in asking]
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_EVERY):
                    await stop.wait()
            await truth.report(loop.time())
            _say(asking, truth, loop.time())
        await asyncio.gather(*running)
        await truth.report(loop.time() + _LATE[1])
        _say(asking, truth, loop.time())


def _say(asking: list[Asking], truth: Truth, now: float) -> None:
    said: dict[str, Any] = {
        "streams": {
            one.stream.domain: {"answered": one.answered, "failed": one.failed, "rate": one.rate(now)} for one in asking
        },
        "reported": truth.reported,
        "trouble": next((one.trouble for one in asking if one.trouble), "") or truth.trouble,
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def _until_stdin_ends(orders: Orders) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    driving = asyncio.create_task(drive(orders, stop))
    ended = asyncio.create_task(reader.read())
    await asyncio.wait({driving, ended}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await driving


def main() -> None:
    """Drive the traffic that the file named on the command line orders."""
    orders = load(Orders, json.loads(Path(sys.argv[1]).read_text()))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_until_stdin_ends(orders))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
