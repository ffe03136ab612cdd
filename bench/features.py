"""What caching and batching are good for, and what they cost: hit rates, false hits, microseconds, answers a second.

    python bench/features.py [--quick]

Hit rates and false hits are those of questions made here (`features_data.py`): wants that come in confusing pairs, said
in many ways. They tell how thresholds compare, not what your traffic will do; `verify` measures that. Look-ups are this
thread's CPU; for Redis, of which one is started where redis-server is installed, also the time a request waits. Batches
are asked of a small text classifier of scikit-learn in this process, by 64 callers at a time, on two threads.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.features_data import questions

from vedette.catalog.cache import Cache, Semantic
from vedette.gateway.batching import Line
from vedette.gateway.cache import Kept, Memo, ResponseCache
from vedette.gateway.likeness import lexical, normal
from vedette.gateway.local import LocalPool
from vedette.gateway.metrics import Metrics
from vedette.gateway.openai import CHAT, Ask, read_ask
from vedette.gateway.semantic import Lexical, SemanticCache
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.shared import SharedCache
from vedette.gateway.upstream import Failure, Headers
from vedette.stats import sequential

THRESHOLDS = (0.98, 0.95, 0.9, 0.85, 0.8, 0.7)
_KIND = b"application/json"


def asked(text: str) -> Ask:
    """Write a question as a client would."""
    system = {"role": "system", "content": "You answer customers of a shop, briefly and kindly."}
    body = {"model": "shop", "temperature": 0, "messages": [system, {"role": "user", "content": text}]}
    return read_ask(CHAT, json.dumps(body).encode())


def remembered(cache: ResponseCache, text: str) -> Memo:
    """Look for the answer to a question, wherever it takes a cache to look."""
    memo = Memo(cache, None, asked(text), [], ("v1", (), ""), time.monotonic())
    memo.recall(lambda: None)
    return memo


def rates(asking: Sequence[tuple[int, str]]) -> None:
    """Ask the same questions of no cache, of the exact one, and of semantic ones; show what each did."""
    print(
        f"\n{len(asking):,} questions of {len({number for number, _ in asking})} wants, without a cache: all are asked"
    )
    print(f"{'cache':24}{'answered':>10}{'exact':>9}{'similar':>9}{'false':>8}   of the similar ones are false")
    show_rates("exact", ResponseCache(Cache()), asking)
    for threshold in THRESHOLDS:
        policy = Semantic(threshold=threshold)
        similar = SemanticCache(policy, "shop", Lexical(), Metrics())
        show_rates(f"semantic, {policy.name}", ResponseCache(Cache(), similar), asking)


def show_rates(name: str, cache: ResponseCache, asking: Sequence[tuple[int, str]]) -> None:
    """Ask all, and show one line."""
    counts = {"hit": 0, "similar": 0, "miss": 0}
    false = 0
    for number, text in asking:
        memo = remembered(cache, text)
        counts[memo.result] += 1
        if memo.found is None:
            memo.store(_KIND, [], time.monotonic(), b"%d" % number)
        elif memo.found.body != b"%d" % number:
            false += 1
    total, similar = len(asking), counts["similar"]
    low, high = sequential.proportion(false, similar, alpha=0.05)
    share = f"{false / similar:.1%} ({low:.1%} to {high:.1%})" if similar else "–"
    answered, exact = 1 - counts["miss"] / total, counts["hit"] / total
    print(f"{name:24}{answered:10.1%}{exact:9.1%}{similar / total:9.1%}{false:8}   {share}")


def microseconds(work: Callable[[], object], count: int, rounds: int = 7) -> float:
    """Give the CPU a call takes: the median over rounds."""
    found = []
    for _ in range(rounds):
        begin = time.thread_time_ns()
        for _ in range(count):
            work()
        found.append((time.thread_time_ns() - begin) / count / 1000)
    return statistics.median(found)


def look_ups(count: int) -> None:
    """Show what a look costs."""
    print(f"\n{'µs of CPU a look':42}{'hit':>9}{'miss':>9}")
    text, other = "How do I cancel the order of the blue shoes?", "When does the shop in Berlin open on Sundays?"
    exact = ResponseCache(Cache())
    remembered(exact, text).store(_KIND, [], time.monotonic(), b"{}")
    hit, miss = (microseconds(partial(remembered, exact, each), count) for each in (text, other))
    parse = microseconds(partial(asked, text), count)
    print(f"{'memory':42}{hit - parse:9.1f}{miss - parse:9.1f}")
    for size in (100, 1000, 2000):
        similar = SemanticCache(Semantic(threshold=0.8, entries=size), "shop", Lexical(), Metrics())
        cache = ResponseCache(Cache(), similar)
        filler = [
            f"{each} of {chr(97 + number % 26)}{chr(97 + number // 26 % 26)}{chr(97 + number // 676)}"
            for number, (_, each) in enumerate(questions(size - 1, 7))
        ]
        for each in [*filler, text]:
            remembered(cache, each).store(_KIND, [], time.monotonic(), b"{}")
        near = f"{text} Please"
        hit, miss = (microseconds(partial(remembered, cache, each), max(20, count // 20)) for each in (near, other))
        print(f"{f'lexical, among {similar.held:,} questions':42}{hit - parse:9.1f}{miss - parse:9.1f}")
    one = microseconds(lambda: lexical(normal(text)), count)
    print(f"{'  of which the vector':42}{one:9.1f}")


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis that keeps nothing on disk; gives its address."""
    with tempfile.TemporaryDirectory(prefix="vedette-bench-") as folder:
        command = ["redis-server", "--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603 - the store that is measured
        try:
            yield f"unix://{folder}/s?db=0"
        finally:
            process.kill()
            process.wait()


async def shared(url: str, count: int) -> None:
    """Show what a look into Redis costs, and how long a request waits for it."""
    stop = asyncio.Event()
    cache = SharedCache(GatewaySettings(cache_url=url, cache_retry=0.01, cache_timeout=1.0), Metrics())
    background = asyncio.create_task(cache.run(stop))
    while not cache.alive:  # noqa: ASYNC110 - happens once
        await asyncio.sleep(0.01)
    kept = Kept(time.monotonic(), _KIND, b"x" * 1000, stream=False)
    cache.keep("shop", b"vedette:cache:1:shop:v1:d:q", kept, 300)
    await asyncio.sleep(0.05)
    figures = {}
    for name, key in (("hit", b"vedette:cache:1:shop:v1:d:q"), ("miss", b"vedette:cache:1:shop:v1:d:other")):
        waits = []
        cpu = time.thread_time_ns()
        for _ in range(count):
            begin = time.perf_counter()
            done = asyncio.get_running_loop().create_future()
            cache.look_up("shop", key, done.set_result)
            if (await done is not None) != (name == "hit"):
                raise RuntimeError("Redis did not say what it was told")
            waits.append((time.perf_counter() - begin) * 1e6)
        figures[name] = ((time.thread_time_ns() - cpu) / count / 1000, statistics.quantiles(waits, n=100))
    stop.set()
    await background
    print(f"{'Redis':42}{figures['hit'][0]:9.1f}{figures['miss'][0]:9.1f}")
    waited = figures["hit"][1]
    print(f"{'  waits, µs: median and 99th percentile':42}{waited[49]:9.0f}{waited[98]:9.0f}")


class Counting:
    """Who asks a model in this process, again and again."""

    def __init__(self, pool: LocalPool, line: Line, asks: Iterator[Ask], over: Callable[[], None]) -> None:
        self._pool, self._line, self._asks, self._over = pool, line, asks, over

    def ask(self) -> None:
        """Ask the next question, if there is one."""
        if (ask := next(self._asks, None)) is None:
            self._over()
        else:
            self._pool.call(self, self._line, ask, "r")

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Take answers piece by piece."""
        return False

    def head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - the protocol's
        """Take the status."""
        if status != 200:
            raise RuntimeError(f"the model answered {status}")

    def data(self, data: bytes) -> None:
        """Take the answer."""

    def done(self) -> None:
        """Ask again."""
        self.ask()

    def failed(self, failure: Failure, message: str) -> None:  # noqa: ARG002 - the protocol's
        """Stop: nothing is measured so."""
        raise RuntimeError(message)


async def batches(model: Any, asks: Sequence[Ask], batch: int) -> tuple[float, float]:  # noqa: ANN401 - whatever predicts
    """Give answers a second, and texts a batch."""
    metrics = Metrics()
    pool = LocalPool(GatewaySettings(), metrics)
    waiting, left = asyncio.Event(), 64
    line, asking = Line(model, batch), iter(asks)

    def over() -> None:
        nonlocal left
        left -= 1
        if not left:
            waiting.set()

    begin = time.perf_counter()
    for _ in range(left):
        Counting(pool, line, asking, over).ask()
    await waiting.wait()
    seconds = time.perf_counter() - begin
    pool.close()
    return len(asks) / seconds, metrics.local_queries / max(1, metrics.local_batches)


class Classifier:
    """Tells by its words which want a question is."""

    def __init__(self, asking: Sequence[tuple[int, str]]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self._pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(max_iter=200))
        self._pipeline.fit([text for _, text in asking], [str(number) for number, _ in asking])

    def predict(self, queries: list[str]) -> list[str]:
        """Answer each."""
        return [str(answer) for answer in self._pipeline.predict(queries)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    quick = 10 if parser.parse_args().quick else 1
    asking = questions(5000 // quick, 1)
    rates(asking)
    look_ups(2000 // quick)
    if shutil.which("redis-server") and find_spec("redis"):
        with redis() as url:
            asyncio.run(shared(url, 2000 // quick))
    else:
        print("Redis is left out: it takes redis-server, and pip install 'vedette[redis]'")
    if not find_spec("sklearn"):
        print("batches are left out: they take pip install 'vedette[local]'")
        return
    model, asks = Classifier(asking), [asked(text) for _, text in questions(4000 // quick, 2)]
    print(f"\n{'a classifier in this process':42}{'answers/s':>11}{'texts a batch':>15}")
    for batch in (1, 8, 32):
        found = [asyncio.run(batches(model, asks, batch)) for _ in range(3)]
        speed, size = (statistics.median(each) for each in zip(*found, strict=True))
        print(f"{f'batch: {batch}':42}{speed:11,.0f}{size:15.1f}")


if __name__ == "__main__":
    main()
