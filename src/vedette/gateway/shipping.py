"""What the supervisor does for its workers: it keeps their plans on disk, and ships the journals they let go of."""

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic

from vedette.catalog.budget import Period, Spent
from vedette.catalog.key import KeyRing
from vedette.gateway.feed import KeyFile, OutcomeSink, PlanFeed, PlanFile
from vedette.kernel.errors import Corrupt
from vedette.kernel.outage import Outage
from vedette.lake.journal import Journal
from vedette.routing.plan import TrafficPlan

_log = logging.getLogger("vedette.gateway")
_LONGEST_PAUSE = 30.0


class KeptFeed:
    """A feed whose last plans are kept in a file, for workers that begin while the control plane is away.

    It then gives them at position 0, so that they are all asked for again as soon as there is anyone to ask.
    """

    def __init__(self, feed: PlanFeed, file: Path) -> None:
        self._feed, self._file, self._key_file = feed, PlanFile(file), KeyFile(file.with_name("keys.json"))
        self._ring: KeyRing | None = None
        self._plans: dict[str, TrafficPlan] = {}
        self._saved: dict[str, TrafficPlan] = {}
        self._lock = threading.Lock()
        self._outage = Outage("asking for plans, of which the last stay in force,")

    def poll(self, since: int) -> tuple[int, Sequence[TrafficPlan]]:
        """Ask the feed; for all the plans there are, the file will do when it does not answer."""
        try:
            position, plans = self._feed.poll(since)
        except Exception as error:
            kept = self._load() if since == 0 else ()
            if not kept:
                raise
            with self._lock:
                if line := self._outage.failed(error, monotonic()):
                    _log.warning("%s", line)
            return 0, kept
        with self._lock:
            if line := self._outage.succeeded(monotonic()):
                _log.info("%s", line)
        if plans:
            self._keep(plans, everything=since == 0)
        return position, plans

    def keys(self, known: int) -> KeyRing | None:
        """Ask the feed; for all the keys there are, the file will do when it does not answer."""
        try:
            ring = self._feed.keys(known)
        except Exception:
            with self._lock:
                kept = self._load_keys() if known < 0 else None
            if kept is None:
                raise
            return kept
        if ring is not None:
            with self._lock:
                if ring != self._ring:
                    self._key_file.save(ring)
                    self._ring = ring
        return ring

    def spending(self, asked: Sequence[tuple[str, Period]]) -> Sequence[Spent]:
        """Ask the feed."""
        return self._feed.spending(asked)

    def confirm(self, router: str, revisions: Mapping[str, int]) -> None:
        """Confirm to the feed."""
        self._feed.confirm(router, revisions)

    def _keep(self, plans: Sequence[TrafficPlan], *, everything: bool) -> None:
        with self._lock:
            if everything:
                self._plans.clear()
            self._plans |= {plan.domain: plan for plan in plans}
            if self._plans != self._saved:
                self._file.save(self._plans.values())
                self._saved = dict(self._plans)

    def _load_keys(self) -> KeyRing | None:
        try:
            return self._key_file.load()
        except Corrupt as error:
            _log.error("%s", error)
            return None

    def _load(self) -> tuple[TrafficPlan, ...]:
        with self._lock:
            try:
                return self._file.load()
            except Corrupt as error:
                _log.error("%s", error)
                return ()


class Shipping:
    """Ships what workers, living and dead, have let go of, until told to stop."""

    def __init__(self, folder: Path, sink: OutcomeSink, interval: float) -> None:
        self._folder, self._sink, self.interval = folder, sink, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vedette-shipping", daemon=True)
        self._outage = Outage("shipping outcomes, which wait in their journals,")
        self.shipped = self.failures = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, with one last look."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._ship()

    def _run(self) -> None:
        wait = self.interval
        while not self._stop.wait(wait):
            wait = self.interval if self._ship() else min(2 * wait, _LONGEST_PAUSE)

    def _ship(self) -> bool:
        """Ship everything there is now; False when something has to wait."""
        failed = ""
        for folder in self._folders():
            try:
                self._ship_all(folder)
                if folder != self._folder:
                    _clear(folder)
            except Exception as error:  # noqa: BLE001 - the journal keeps what is not shipped, whatever is wrong
                self.failures += 1
                failed = f"{folder}: {error}"
        if not failed:
            if line := self._outage.succeeded(monotonic()):
                _log.info("%s", line)
        elif line := self._outage.failed(failed, monotonic()):
            _log.warning("%s", line)
        return not failed

    def _folders(self) -> Iterator[Path]:
        """Give where journals may be: a gateway without workers leaves its own in the folder itself."""
        yield self._folder
        yield from sorted(path for path in self._folder.glob("worker-*") if path.is_dir())

    def _ship_all(self, folder: Path) -> None:
        journal = Journal(folder, "supervisor")
        try:
            for batch in journal.unshipped():
                if batch.outcomes:
                    self._sink.ship(batch.id, batch.outcomes)
                journal.shipped(batch)
                self.shipped += len(batch.outcomes)
        finally:
            journal.close()


def claim(folder: Path) -> int:
    """Make a worker's folder and hold it, as long as the descriptor that this gives is open."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # cleared away before it could be opened
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # cleared away before it could be held


def _clear(folder: Path) -> None:
    """Remove the folder of a worker that is gone, when nothing is left in it."""
    with contextlib.suppress(OSError):  # its worker lives, or something is left
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder.rmdir()
        finally:
            os.close(descriptor)
