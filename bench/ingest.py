"""How many outcomes a second one core takes in, through the whole transaction, and what sealing them costs.

Each round ships the same outcomes to a new SQLite lake (guard, ids, spool, all sums; durable when it returns), in
batches of a busy gateway and of quieter ones, beside a bare table with a row an outcome and a unique id; then it seals.

    python bench/ingest.py [--quick] [--postgres URL]

Rates are outcomes for a second of the processor, client and SQLite together; PostgreSQL's own time is not counted. The
goal is 40,000 through the whole transaction.
"""

import sqlite3
import statistics
import sys
import tempfile
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vedette.evidence.outcome import Outcome

_MINUTE = 5_000
_numbers = count()


def shipped(url: str, parts: "list[list[Outcome]]") -> tuple[float, float]:
    """Ship parts to a lake, new or emptied, and seal them; gives the processor's seconds of both."""
    from bench.store_data import cpu

    from vedette.lake.outcomes import Lake

    number = next(_numbers)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(url or f"sqlite:///{folder}/outcomes.db", segments=Path(folder, "segments"))
        lake.migrate()

        def ship() -> None:
            for place, part in enumerate(parts):
                lake.ship(f"{number}-{place}", part)

        spent = cpu(ship), cpu(lake.seal)
        for domain in {outcome.domain for outcome in parts[0]} if url else ():
            lake.erase(domain)
        lake.close()
    return spent


def inserted(parts: "list[list[Outcome]]") -> float:
    """Insert parts into a bare table; gives the processor's seconds."""
    from bench.store_data import cpu
    from msgspec import msgpack

    encode = msgpack.Encoder().encode
    with tempfile.TemporaryDirectory() as folder:
        table = sqlite3.connect(f"{folder}/rows.db", isolation_level=None)
        table.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        table.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, body BLOB)")

        def insert() -> None:
            for part in parts:
                table.execute("BEGIN IMMEDIATE")
                table.executemany("INSERT INTO rows VALUES (?, ?)", [(each.id, encode(each)) for each in part])
                table.execute("COMMIT")

        spent = cpu(insert)
        table.close()
    return spent


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.store_data import BEGAN, arguments, outcomes

    parser = arguments(__doc__)
    parser.add_argument("--postgres", metavar="URL", default="", help="an empty database to ship to as well")
    options = parser.parse_args()
    minutes, rounds = (1, 1) if options.quick else (8, 5)
    made = [outcomes(_MINUTE, seed=n, began=BEGAN + timedelta(minutes=n)) for n in range(minutes)]
    total = _MINUTE * minutes
    rates: dict[str, list[float]] = {}
    sealing: list[float] = []
    for _ in range(rounds):
        rates.setdefault("a row each, unique id, no sums", []).append(total / inserted(made))
        for size in (5_000, 1_000, 200):
            parts = [each[begin : begin + size] for each in made for begin in range(0, _MINUTE, size)]
            for url in ("", *filter(None, [options.postgres])):
                ship, seal = shipped(url, parts)
                where = "PostgreSQL" if url else "SQLite"
                rates.setdefault(f"lake on {where}, {size:,} a batch", []).append(total / ship)
                sealing.append(seal / total * 1e6)
    print(f"{'':44}{'best':>10}{'median':>10}  outcomes for a CPU second")
    for name, figures in rates.items():
        print(f"{name:44}{max(figures):10,.0f}{statistics.median(figures):10,.0f}")
    print(f"\nsealing: {min(sealing):.2f} µs of CPU an outcome at best, {statistics.median(sealing):.2f} in the middle")


if __name__ == "__main__":
    main()
