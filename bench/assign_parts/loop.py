"""What every measured process does: say it is ready, then time rounds of calls when asked to.

For each line that holds a number, that many calls are made for units ``user-0`` and on, and the nanoseconds of this
thread's CPU a call are written back, with how the units were split. Runs on any Python, with nothing but itself.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable

UNITS = [f"user-{number}" for number in range(10_000)]


def serve(call: Callable[[str], object]) -> None:
    """Time ``call`` until standard input ends."""
    split = Counter(str(call(unit)) for unit in UNITS)
    say(f"ready {dict(sorted(split.items()))}")
    for line in sys.stdin:
        count = int(line)
        begin = time.thread_time_ns()
        for number in range(count):
            call(UNITS[number % len(UNITS)])
        say(str((time.thread_time_ns() - begin) / count))


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
