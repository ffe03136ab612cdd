"""Seals without a pause, beside the server's own sealer: ``python sealer.py URL SEGMENTS``; made to be killed."""

import sys
import time
from pathlib import Path

from vedette.kernel.errors import VedetteError
from vedette.lake.outcomes import Lake


def main(url: str, segments: str) -> None:
    """Seal until killed; whatever fails is tried again."""
    lake = Lake(url, segments=Path(segments))
    while True:
        try:
            lake.seal()
        except VedetteError as error:
            print(error, flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
