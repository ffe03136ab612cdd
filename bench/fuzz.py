"""Throws malformed HTTP at a gateway: a corpus of smuggling attempts, and a hundred thousand mutants of it.

    python bench/fuzz.py [--count 100000] [--seed 1] [--workers 2]

Each case goes over a connection of its own, whole or cut into pieces, with a request behind it that must only be
answered when what stands before it has an end beyond doubt. Afterwards: no worker has died, no connection hung, nothing
was answered that a strict reading of RFC 9112 does not find, every answer was well-formed, and memory and descriptors
are what they were.
"""

import argparse
import asyncio
import contextlib
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

PATIENCE = 20.0
"""Seconds after which a connection hangs."""

_GROWTH = 3.0  # MB of memory that a worker may have gained: what allocators keep
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
_ALLOWED = frozenset({200, 400, 404, 405, 413, 431, 503, 505})


async def answered(port: int, data: bytes, cuts: Iterable[int] = (), until: bytes = b"") -> bytes:
    """Send bytes in pieces, say that no more come, and give all that comes back; or all up to some bytes.

    Raises:
        TimeoutError: the gateway neither answers nor closes.
    """
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            begin = 0
            for cut in (*sorted(cuts), len(data)):
                writer.write(data[begin:cut])
                begin = cut
                await asyncio.sleep(0)
            if not until:
                writer.write_eof()
            while not (until and until in received) and (piece := await reader.read(65536)):
                received += piece
        except OSError:
            pass  # turned away before all was sent
        finally:
            writer.close()
        return received


def statuses(received: bytes) -> list[int]:
    """Read the answers, each whole or the last one cut; 100 Continue is none.

    Raises:
        ValueError: what came back is no sequence of answers.
    """
    found: list[int] = []
    while received:
        line = _STATUS.match(received)
        head, end, rest = received.partition(b"\r\n\r\n")
        if line is None or not end:
            raise ValueError(f"no answer: {received[:80]!r}")
        received = rest
        if line[1] == b"100":
            continue
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        found.append(int(line[1]))
        received = rest[int(length[1]) if length else 0 :]
    return found


def complaint(data: bytes, received: bytes) -> str:
    """Say what is wrong with the answers to a case and the canary behind it; empty when nothing is."""
    from bench.malformed import CANARY, read

    try:
        found = statuses(received)
    except ValueError as error:
        return str(error)
    if bad := set(found) - _ALLOWED:
        return f"answered {bad}"
    reading = read(data + CANARY)
    good = len(found) - (1 if reading.nonsense or (found and found[-1] in {400, 413, 431, 505}) else 0)
    if len(found) > len(reading.targets) + 1 or good > len(reading.targets):
        return f"{found} answered, where {len(reading.targets)} requests stand"
    if b"/smuggled-here" in received and b"/smuggled-here" not in b" ".join(reading.targets):
        return "a smuggled request was answered"
    return ""


async def throw(port: int, cases: Iterable[bytes], seed: int, width: int = 48) -> tuple[int, list[tuple[bytes, str]]]:
    """Throw cases, so many at a time; gives how many, and those with a complaint."""
    from bench.malformed import CANARY

    chance, waiting, wrong, count = random.Random(seed), iter(cases), [], 0

    async def one_after_the_other() -> None:
        nonlocal count
        for data in waiting:
            whole = data + CANARY
            cuts = [chance.randrange(len(whole)) for _ in range(chance.choice((0, 0, 0, 1, 3)))]
            try:
                said = complaint(data, await answered(port, whole, cuts))
            except TimeoutError:
                said = "hangs"
            count += 1
            if said:
                wrong.append((data, said))

    await asyncio.gather(*(one_after_the_other() for _ in range(width)))
    return count, wrong


def main() -> int:
    """Throw, look at what is left, and say by the exit code whether all is well."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.gateway_parts.processes import resident
    from bench.gateway_parts.targets import upstream, vedette
    from bench.malformed import CORPUS, mutants

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vedette-fuzz-")))
        backend = stack.enter_context(upstream(folder))
        target = stack.enter_context(vedette(given.workers, (0, 1))(folder, backend.port))
        port, pids = target.address.port, target.pids
        asyncio.run(throw(port, mutants(0, 20_000), 0))  # what is allocated once
        time.sleep(1)
        before, handles = resident(pids), _descriptors(pids)
        begun = time.monotonic()
        count, wrong = asyncio.run(throw(port, (case.data for case in CORPUS), given.seed))
        more, worse = asyncio.run(throw(port, mutants(given.seed, given.count), given.seed))
        took = time.monotonic() - begun
        time.sleep(2)
        alive = [pid for pid in pids if Path(f"/proc/{pid}/statm").exists()]
        after, left = resident(alive), _descriptors(alive)
    print(f"{count + more:,} malformed requests in {took:.0f} s, seed {given.seed}")
    print(f"workers: {len(alive)} of {len(pids)} live; memory {before:.1f} MB before, {after:.1f} MB after")
    print(f"descriptors: {handles} before, {left} after")
    complaints: dict[str, list[bytes]] = {}
    for data, said in wrong + worse:
        complaints.setdefault(said, []).append(data)
    for said, examples in complaints.items():
        print(f"! {len(examples)} times: {said}", *map(repr, sorted(examples, key=len)[:3]), sep="\n    ")
    print("complaints:", sum(map(len, complaints.values())) or "none")
    flat = after - before < _GROWTH * len(pids) and left <= handles + 8
    return int(bool(complaints) or len(alive) < len(pids) or not flat)


def _descriptors(pids: Iterable[int]) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


if __name__ == "__main__":
    sys.exit(main())
