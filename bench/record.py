"""What it costs a gateway to keep one outcome so that `kill -9` does not lose it.

In each round the same outcomes are, one after the other: only encoded; encoded and written to a file with `write`; and
appended to the journal, which checks them, encodes them and copies them into a mapped file. Then a process is killed
behind its last append, and what the next one finds is counted.

    python bench/record.py [--quick]

A figure is the processor's microseconds for an outcome. The goal is 2 for the journal.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.store_data import arguments, cpu, interleaved, outcomes, show
    from msgspec import msgpack

    from vedette.lake.journal import Journal

    options = arguments(__doc__).parse_args()
    count, rounds = (1_000, 3) if options.quick else (10_000, 25)
    made = outcomes(count, seed=1)
    encode = msgpack.Encoder().encode

    def encoded() -> float:
        return cpu(lambda: [encode(outcome) for outcome in made]) / count * 1e6

    def written() -> float:
        with tempfile.TemporaryDirectory() as folder:
            descriptor = os.open(f"{folder}/file", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            spent = cpu(lambda: [os.write(descriptor, encode(outcome)) for outcome in made])
            os.close(descriptor)
            return spent / count * 1e6

    def appended() -> float:
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder), "bench")
            append = journal.append
            spent = cpu(lambda: [append(outcome) for outcome in made])
            journal.close()
            return spent / count * 1e6

    works = (
        ("encode, kept nowhere", encoded),
        ("encode, write()", written),
        ("journal, checked and durable", appended),
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
