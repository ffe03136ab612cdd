"""A power cut, again and again: what was acknowledged is on the disk, and the roll-ups are those of the outcomes.

    sudo python bench/powerloss.py [--cuts 10] [--seed 1] [--careless]

Everything stands on a file system of its own (ext4 in a file, mounted through a loop device, hence root): the outcome
store on SQLite, its segments, and a journal that waits for the disk at every append (`sync_every=0`, as for outcomes
that must survive a power cut; a gateway's journal by default survives the death of its process only). Two processes
ship batches, one seals, one appends to the journal; each says what was acknowledged to it. At some moment all are
stopped, and the file is copied as it is: what the kernel had not written to the device is not in it. That copy is
mounted, as a machine is that comes up again, and searched for all that had been acknowledged.

`--careless` is the control: a journal that leaves it to the system when to write loses what it acknowledged here, so
these cuts can tell.
"""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Cut, look, and say by the exit code whether everything was there."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.chaos_parts.cuts import run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careless", action="store_true", help="with a journal that does not wait for the disk")
    given = parser.parse_args()
    return run(given.cuts, given.seed, careless=given.careless)


if __name__ == "__main__":
    sys.exit(main())
