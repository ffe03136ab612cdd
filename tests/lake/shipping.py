"""A process that answers, journals and ships until it is killed: it writes the id of each acknowledged outcome."""

import itertools
import os
import sys
from datetime import timedelta
from pathlib import Path

from tests.lake.making import CANARY, NOON, STABLE, outcome

from vedette.lake.journal import Journal
from vedette.lake.outcomes import Lake


def main(url: str, folder: str, worker: str) -> None:
    """Run for ever."""
    lake, journal = Lake(url, patience=60.0), Journal(Path(folder), worker, rotate_bytes=1500)
    for number in itertools.count():
        item = outcome(
            {"error": float(number % 3 == 0), "latency_ms": 10.0 + number % 11},
            id=f"{worker}-{os.getpid()}-{number:06d}",
            assigned=CANARY if number % 4 == 0 else STABLE,
            at=NOON + timedelta(minutes=number % 90),
            bucket=number % 5 - 1,
        )
        journal.append(item)
        os.write(sys.stdout.fileno(), f"{item.id}\n".encode())
        if number % 8 == 7:
            for batch in journal.unshipped():
                lake.ship(batch.id, batch.outcomes)
                journal.shipped(batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
