"""What the gateway needs from the rest: plans in, outcomes out; and the file that survives both being away."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from vedette.catalog.budget import Period, Spent
from vedette.catalog.key import KeyRing
from vedette.evidence.outcome import Outcome
from vedette.kernel.errors import Corrupt, InvalidInput
from vedette.routing.plan import TrafficPlan


class PlanFeed(Protocol):
    """Where plans come from. Calls are made from a thread and may block; raising means "not now"."""

    def poll(self, since: int) -> tuple[int, Sequence[TrafficPlan]]:
        """Give the feed's position and the newest plan of every domain that changed after position ``since``.

        ``since`` 0 asks for all. A position below ``since`` tells that the feed began anew; all is then asked for.
        """
        ...

    def keys(self, known: int) -> KeyRing | None:
        """Give the keys that are good; None when they are those of revision ``known``."""
        ...

    def spending(self, asked: Sequence[tuple[str, Period]]) -> Sequence[Spent]:
        """Give what domains have used in the day or the month that is now."""
        ...

    def confirm(self, router: str, revisions: Mapping[str, int]) -> None:
        """Take note that ``router`` serves these plan revisions by domain; repeated as a heartbeat."""
        ...


class OutcomeSink(Protocol):
    """Where outcomes go. Calls are made from a thread and may block; raising means "again later"."""

    def ship(self, batch_id: str, outcomes: Sequence[Outcome]) -> object:
        """Store a batch durably before returning; the same ``batch_id`` may come twice and counts once."""
        ...


class PlanFile:
    """The last plans on disk, so that a gateway starts while the control plane is down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[TrafficPlan, ...]:
        """Read the plans; none when there is no file yet.

        Raises:
            Corrupt: the file is there but holds no plans.
        """
        from vedette.kernel.documents import load  # pydantic only where plans are read from files

        try:
            entries = json.loads(self.path.read_bytes())
            return tuple(load(TrafficPlan, entry) for entry in entries)
        except FileNotFoundError:
            return ()
        except (ValueError, TypeError, InvalidInput) as error:
            raise Corrupt(f"{self.path} holds no plans: {error}", hint="remove it; plans come from the feed") from error

    def save(self, plans: Iterable[TrafficPlan]) -> None:
        """Replace the file by ``plans``, whole or not at all."""
        from vedette.kernel.documents import dump  # the same

        _replace(self.path, [dump(plan) for plan in plans])


class KeyFile:
    """The last keys on disk, for the same reason: digests, and no pepper to try guesses with."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> KeyRing | None:
        """Read the keys; None when there is no file yet.

        Raises:
            Corrupt: the file is there but holds no keys.
        """
        from vedette.kernel.documents import load  # the same

        try:
            return load(KeyRing, json.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, InvalidInput) as error:
            raise Corrupt(f"{self.path} holds no keys: {error}", hint="remove it; keys come from the feed") from error

    def save(self, ring: KeyRing) -> None:
        """Replace the file by ``ring``, whole or not at all."""
        from vedette.kernel.documents import dump  # the same

        _replace(self.path, dump(ring))


def _replace(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    with draft.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
