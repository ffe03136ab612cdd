"""What it costs a gateway to keep one outcome so that `kill -9` does not lose it.

In each round the same outcomes are, one after the other: only encoded; encoded and written to a file with `write`; and
appended to the journal, which encodes them and copies them into a mapped file: once as a gateway's own records, which
it has made itself, once as outcomes from elsewhere, which are checked. Then a process is killed behind its last
append, and what the next one finds is counted.

    python bench/record.py [--quick]

A figure is the processor's microseconds for an outcome. The goal is 2 for the journal.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vedette.evidence.outcome import Outcome
    from vedette.lake.record import Record


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.store_data import arguments, cpu, interleaved, outcomes, show
    from msgspec import msgpack

    from vedette.lake.journal import Journal
    from vedette.lake.record import Record

    options = arguments(__doc__).parse_args()
    count, rounds = (1_000, 3) if options.quick else (10_000, 25)
    made = outcomes(count, seed=1)
    own = [Record(*(getattr(outcome, name) for name in Record.__struct_fields__)) for outcome in made]
    encode = msgpack.Encoder().encode

    def encoded() -> float:
        return cpu(lambda: [encode(record) for record in own]) / count * 1e6

    def written() -> float:
        with tempfile.TemporaryDirectory() as folder:
            descriptor = os.open(f"{folder}/file", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            spent = cpu(lambda: [os.write(descriptor, encode(record)) for record in own])
            os.close(descriptor)
            return spent / count * 1e6

    def appended(kept: "Sequence[Outcome | Record]") -> float:
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder), "bench")
            append = journal.append
            spent = cpu(lambda: [append(each) for each in kept])
            journal.close()
            return spent / count * 1e6

    works = (
        ("encode, kept nowhere", encoded),
        ("encode, write()", written),
        ("journal, a gateway's records", partial(appended, own)),
        ("journal, outcomes, checked", partial(appended, made)),
    )
    show(interleaved(rounds, works), "µs of CPU an outcome")

    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            journal = Journal(Path(folder), "bench")
            for outcome in made:
                journal.append(outcome)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        found = sum(len(batch.outcomes) for batch in Journal(Path(folder), "heir").unshipped())
    print(f"\nkilled behind {count} appends: the next process finds {found}")
    if found != count:
        sys.exit(1)


if __name__ == "__main__":
    main()
