"""Writes without a pause, and says what was acknowledged: ``python writer.py VERB FOLDER NAME``."""

import sys
import time
from pathlib import Path

from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.errors import VedetteError
from vedette.kernel.ids import uuid7
from vedette.lake.journal import Journal
from vedette.lake.outcomes import Lake

DOMAIN = "claims"
_BATCH = 200


def outcome(name: str, number: int) -> Outcome:
    """Make the outcome of a number; the name of its writer is in its id."""
    from datetime import UTC, datetime

    at = datetime.now(UTC)
    mark = number.to_bytes(6) + name.encode()[:4].rjust(4)
    return Outcome(
        id=uuid7(int(at.timestamp() * 1000), mark),
        domain=DOMAIN,
        at=at,
        assigned=f"v{number % 2}",
        served=f"v{number % 2}",
        plan_revision=1,
        bucket=number % 1024,
        status=OutcomeStatus.OK,
        measures={"error": float(number % 50 == 0), "latency_ms": 20.0 + number % 100},
    )


def ship(folder: Path, name: str) -> None:
    """Ship batches."""
    lake = Lake(f"sqlite:///{folder}/outcomes.db")
    number = 0
    while True:
        batch = [outcome(name, number + place) for place in range(_BATCH)]
        number += _BATCH
        lake.ship(f"{name}-{number}", batch)
        print(*(each.id for each in batch), flush=True)


def seal(folder: Path, name: str) -> None:  # noqa: ARG001 - one shape for all
    """Seal, and say how many."""
    lake = Lake(f"sqlite:///{folder}/outcomes.db")
    while True:
        try:
            lake.seal()
        except VedetteError as error:
            print(error, file=sys.stderr, flush=True)
        time.sleep(0.05)


def append(folder: Path, name: str, sync_every: float | None = 0) -> None:
    """Append to a journal that waits for the disk."""
    journal = Journal(folder / "journal", name, rotate_bytes=1 << 16, sync_every=sync_every)
    number = 0
    while True:
        number += 1
        kept = outcome(name, number)
        journal.append(kept)
        print(kept.id, flush=True)


def append_carelessly(folder: Path, name: str) -> None:
    """Append to a journal that leaves it to the system when to write."""
    append(folder, name, None)


if __name__ == "__main__":
    verb, place, worker = sys.argv[1:]
    verbs = {"ship": ship, "seal": seal, "append": append, "append-carelessly": append_carelessly}
    verbs[verb](Path(place), worker)
