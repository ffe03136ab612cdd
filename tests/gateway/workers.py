"""A supervisor and its workers in a process of their own: ``python workers.py FOLDER COUNT [asyncio]``.

Plans come from FOLDER/feed.pickle (none there: the control plane is away), outcomes go to FOLDER/shipped, a line an
outcome: its batch, its id, how it ended. The first line that is printed is the port; then, for every line that is
read, the process ids of the workers. SIGHUP replaces them, SIGTERM ends all.
"""

import pickle
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.catalog.budget import Period, Spent
from vedette.catalog.key import KeyRing
from vedette.evidence.outcome import Outcome
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.supervisor import Supervisor
from vedette.kernel.errors import Unavailable
from vedette.routing.plan import TrafficPlan


class Feed:
    """A control plane that is a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def poll(self, since: int) -> tuple[int, Sequence[TrafficPlan]]:
        """Read what is new; raises when the file is away."""
        try:
            position, plans = pickle.loads(self._file.read_bytes())  # noqa: S301 - the test's own
        except (OSError, EOFError) as error:
            raise Unavailable("away") from error
        return position, plans if position > since else []

    def keys(self, known: int) -> KeyRing | None:
        """Give the keys, if they changed."""
        try:
            ring: KeyRing = pickle.loads(self._file.with_name("keys.pickle").read_bytes())  # noqa: S301 - the test's own
        except FileNotFoundError:
            ring = KeyRing(revision=0)
        except EOFError as error:
            raise Unavailable("away") from error
        return None if ring.revision == known else ring

    def spending(self, asked: Sequence[tuple[str, Period]]) -> list[Spent]:  # noqa: ARG002 - nobody asks
        """Give nothing."""
        return []

    def confirm(self, router: str, revisions: Mapping[str, int]) -> None:
        """Take note of nothing."""


class Sink:
    """A lake that is a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def ship(self, batch_id: str, outcomes: Sequence[Outcome]) -> None:
        """Write the lines, all at once."""
        with self._file.open("ab", buffering=0) as file:
            file.write("".join(f"{batch_id} {outcome.id} {outcome.status}\n" for outcome in outcomes).encode())


def main(folder: Path, count: int) -> None:
    """Run until told to end."""
    supervisor = Supervisor(
        Feed(folder / "feed.pickle"),
        Sink(folder / "shipped"),
        folder / "journal",
        workers=count,
        settings=GatewaySettings(poll_interval=0.05, ship_interval=0.05, drain_timeout=5.0),
        goodbye=lambda name: (folder / "goodbyes").open("a").write(f"{name}\n"),
    )
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: supervisor.hurry() if ended.is_set() else ended.set())
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=supervisor.reload, daemon=True).start())
    supervisor.start()
    sys.stdout.write(f"{supervisor.address[1]}\n")
    sys.stdout.flush()

    def tell() -> None:
        for _ in sys.stdin:
            sys.stdout.write(" ".join(map(str, supervisor.processes)) + "\n")
            sys.stdout.flush()

    threading.Thread(target=tell, daemon=True).start()
    ended.wait()
    supervisor.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
