"""What the gateway needs from the rest: plans in, outcomes out; and the file that survives both being away."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

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

        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".tmp")
        with draft.open("w") as file:
            json.dump([dump(plan) for plan in plans], file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
