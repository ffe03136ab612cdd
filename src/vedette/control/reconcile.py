"""The one loop: look at every active rollout this replica holds, ask what follows, commit it.

Level-triggered: nothing is remembered here that is not stored, but a cache of leases. Killing the process between any
two writes and starting again comes to the same end. A pass that changes nothing writes nothing (leases apart, which
are the proof that somebody watches).
"""

import logging
import threading
from collections.abc import Collection, Sequence

from vedette.control.change import Changes
from vedette.control.commit import commit
from vedette.control.instruments import Instruments
from vedette.control.look import lease_name, take_look
from vedette.control.traffic import Traffic
from vedette.kernel.clock import Moment
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, LeaseLost, Unavailable, VedetteError
from vedette.lake.evidence import LakeReader
from vedette.rollouts.advance import Advance, Look, advance
from vedette.rollouts.replay import RecordedLook
from vedette.store import leases, rollouts
from vedette.store.leases import Lease
from vedette.store.rollouts import StoredLook, StoredRollout

log = logging.getLogger(__name__)

ACTOR = "vedette/reconciler"


class Reconciler:
    """Moves rollouts. Any number of replicas may run one; each rollout is moved by one of them at a time.

    Args:
        changes: the transaction rule.
        traffic: plans and their confirmations.
        lake: what happened.
        instruments: clocks and ids.
        ttl: seconds after which another replica may take over from one that fell silent.
    """

    def __init__(
        self, changes: Changes, traffic: Traffic, lake: LakeReader, instruments: Instruments, *, ttl: float = 10.0
    ) -> None:
        self._changes = changes
        self._traffic = traffic
        self._lake = lake
        self._instruments = instruments
        self._ttl = ttl
        self._holder = instruments.new_id()
        self._held: dict[str, tuple[Lease, float]] = {}
        self._last_looks: dict[str, object] = {}

    def run(self, stop: threading.Event, interval: float = 1.0) -> None:
        """Pass after pass until ``stop`` is set; a pass that fails is logged and tried again."""
        while not stop.is_set():
            try:
                self.tick()
            except VedetteError as error:
                log.warning("a pass failed, trying again: %s", error)
            stop.wait(interval)
        try:
            self.release()
        except VedetteError as error:
            log.warning("leases were not given back and will run out: %s", error)

    def tick(self) -> int:
        """Make one pass over all active rollouts this replica holds; give how many it changed."""
        with self._changes.reading() as connection:
            active = rollouts.active(connection)
        self._hold(active)
        self._last_looks = {it.id: self._last_looks[it.id] for it in active if it.id in self._last_looks}
        return sum(self._pass(stored) for stored in active if lease_name(stored) in self._held)

    def release(self) -> None:
        """Give every lease back, with the time watched so far, so that another replica need not wait."""
        self._renew(list(self._held))
        self._let_go(set(self._held))

    def _pass(self, stored: StoredRollout) -> bool:
        try:
            return self._move(stored)
        except LeaseLost:
            self._held.pop(lease_name(stored), None)
        except Conflict as error:
            log.info("rollout %s moved meanwhile: %s", stored.id, error)
        except Unavailable:
            raise  # the store itself: no other rollout would fare better
        except Exception:  # one rollout that breaks, in whatever way, must not stop the others from being watched
            log.exception("rollout %s could not be moved, trying again", stored.id)
        return False

    def _move(self, stored: StoredRollout) -> bool:
        lease, since = self._held[lease_name(stored)]
        now = self._instruments.now()
        watched = lease.held + min(self._instruments.monotonic() - since, self._ttl)
        with self._changes.reading() as connection:
            if rollouts.get(connection, stored.id).revision != stored.revision:
                return False
            look = take_look(connection, self._lake, self._traffic, stored, now)
        step = advance(stored.spec, stored.status, look, Moment(utc=now, watched=watched))
        seen = self._changed(stored, look, step, Moment(utc=now, watched=watched))
        if step.status != stored.status:
            with self._changes.begin(ACTOR) as change:
                if seen:
                    rollouts.add_look(change.connection, seen)
                commit(change, self._traffic, stored, step.status, step.decision, watched=watched, lease=lease)
        elif seen:
            with self._changes.store.transaction() as connection:
                leases.fence(connection, lease)
                rollouts.add_look(connection, seen)
        if seen:
            self._last_looks[stored.id] = seen.observations
        return step.status != stored.status

    def _changed(self, stored: StoredRollout, look: Look, step: Advance, now: Moment) -> StoredLook | None:
        """Give the look to store, if it saw anything the last one had not."""
        if not look.exposures:
            return None
        status = stored.status
        seen = RecordedLook(
            at=now.utc,
            watched=now.watched,
            weight=status.weight,
            observations=look.observations,
            exposures=look.exposures,
        )
        observations = {"metrics": dump(seen)["observations"], "exposures": dump(seen)["exposures"]}
        if stored.id not in self._last_looks:
            with self._changes.reading() as connection:
                last = rollouts.looks(connection, stored.id, limit=1, newest_first=True).items
            self._last_looks[stored.id] = last[0].observations if last else None
        if observations == self._last_looks[stored.id]:
            return None
        return StoredLook(
            rollout=stored.id,
            attempt=status.attempt,
            step=status.step,
            at=now.utc,
            watched=now.watched,
            weight=status.weight,
            observations=observations,
            verdicts=tuple(verdict.figures() for verdict in step.verdicts),
        )

    def _hold(self, active: Sequence[StoredRollout]) -> None:
        """Renew the leases that are a third used, let go of those not needed, and take those that are free."""
        names = {lease_name(stored) for stored in active}
        self._let_go(self._held.keys() - names)
        now = self._instruments.monotonic()
        self._renew([name for name, (_, since) in self._held.items() if now - since > self._ttl / 3])
        wanted = names - self._held.keys()
        if wanted:
            with self._changes.reading() as connection:
                wanted -= {lease.name for lease in leases.current(connection)}
        if wanted:
            with self._changes.store.transaction() as connection:
                gained = leases.acquire(connection, sorted(wanted), self._holder, ttl=self._ttl)
            self._held |= {lease.name: (lease, self._instruments.monotonic()) for lease in gained}
            self._last_looks.clear()  # another replica may have looked since

    def _let_go(self, names: Collection[str]) -> None:
        """Give leases back, so that whoever needs them next need not wait for them to run out."""
        if not names:
            return
        with self._changes.store.transaction() as connection:
            leases.release(connection, [self._held.pop(name)[0] for name in names])

    def _renew(self, names: Sequence[str]) -> None:
        if not names:
            return
        now = self._instruments.monotonic()
        with self._changes.store.transaction() as connection:
            kept = leases.renew(connection, {self._held[n][0]: now - self._held[n][1] for n in names})
        for name in names:
            del self._held[name]
        self._held |= {lease.name: (lease, now) for lease in kept}
