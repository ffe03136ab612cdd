"""Whatever is killed, and whenever: every answer a client got whole is stored as one outcome, and the sums are theirs.

    python bench/chaos.py [--kills 200] [--sqlite] [--seed 1]

Runs `vedette serve --workers 2` on a PostgreSQL of its own (Debian's, on a temporary folder, with fsync on) or, with
`--sqlite`, on a folder; a second sealer beside the server's; a model server of canned answers; and clients that ask
without a pause, some of them for streams. Then it kills, with SIGKILL, at random: gateway workers, the second sealer in
the midst of its work, the server as a whole, and PostgreSQL as a whole. What was killed is started again.

At the end every request whose answer arrived whole must be stored, once; a stored one whose answer did not arrive whole
is one that a kill cut off; and the roll-ups of minutes, hours and days must say what the stored outcomes say.
"""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Kill, count, and say by the exit code whether everything is there."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.chaos_parts.run import Plan, run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sqlite", action="store_true", help="on a folder instead of PostgreSQL")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = run(Plan(kills=given.kills, postgres=not given.sqlite, seed=given.seed))
    print(found.text())
    return int(not found.sound)


if __name__ == "__main__":
    sys.exit(main())
