"""The one loop: look at every active rollout and experiment this replica holds, ask what follows, commit it.

Level-triggered: nothing is remembered here that is not stored, but a cache of leases, and of what sources counted,
which they tell anew. Killing the process between any two writes and starting again comes to the same end. A pass that
changes nothing writes nothing (leases apart, which are the proof that somebody watches).
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

from vedette.control import experiment_look
from vedette.control.change import Changes
from vedette.control.commit import commit
from vedette.control.experiment_pass import ExperimentMover
from vedette.control.foundation import Ground
from vedette.control.holding import Holding
from vedette.control.instruments import Instruments
from vedette.control.look import lease_name, take_look
from vedette.control.passes import Failing, passing
from vedette.control.readings import Readings
from vedette.control.rollouts import CanaryDeployment
from vedette.control.traffic import Traffic
from vedette.kernel.clock import Moment
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, LeaseLost, Unavailable, VedetteError
from vedette.kernel.outage import Outage
from vedette.lake.evidence import LakeReader
from vedette.rollouts.advance import Advance, Look, advance
from vedette.rollouts.replay import RecordedLook
from vedette.store import experiments, leases, rollouts
from vedette.store.experiments import StoredExperiment
from vedette.store.rollouts import StoredLook, StoredRollout

log = logging.getLogger(__name__)

ACTOR = "vedette/reconciler"


class Reconciler:
    """Moves rollouts and experiments. Any number of replicas may run one; each object is moved by one at a time.

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
        self._holding = Holding(changes, instruments, ttl)
        self._last_looks: dict[str, object] = {}
        self._failing = Failing(instruments, log)
        self._readings = Readings(instruments)
        canary = CanaryDeployment(Ground(changes=changes, traffic=traffic, lake=lake, instruments=instruments))
        self._experiments = ExperimentMover(changes, traffic, lake, canary, instruments)

    def run(self, stop: threading.Event, interval: float = 1.0) -> None:
        """Pass after pass until ``stop`` is set; a pass that fails is tried again, and told (see `Outage`)."""
        outage = Outage("a pass of the reconciler")
        while not stop.is_set():
            with passing(outage, self._instruments, log):
                self.tick()
            stop.wait(interval)
        try:
            self.release()
        except VedetteError as error:
            log.warning("leases were not given back and will run out: %s", error)

    def tick(self) -> int:
        """Make one pass over all active rollouts and experiments this replica holds; give how many it changed."""
        with self._changes.reading() as connection:
            active = rollouts.active(connection)
            tests = [it for it in experiments.moving(connection) if experiment_look.is_watched(it)]
        names = {lease_name(it) for it in active} | {experiment_look.lease_name(it) for it in tests}
        if self._holding.hold(names):  # another replica may have looked since
            self._last_looks.clear()
            self._experiments.forget()
        self._last_looks = {it.id: self._last_looks[it.id] for it in active if it.id in self._last_looks}
        self._experiments.forget(but={it.id for it in tests})
        self._failing.keep({name for name in names if name in self._holding})
        self._readings.keep({it.id for it in active if lease_name(it) in self._holding})
        moves = [(f"rollout {it.id}", lease_name(it), partial(self._move, it)) for it in active]
        moves += [
            (f"experiment {it.id}", experiment_look.lease_name(it), partial(self._move_experiment, it)) for it in tests
        ]
        return sum(self._pass(what, lease, move) for what, lease, move in moves)

    def release(self) -> None:
        """Give every lease back, with the time watched so far, so that another replica need not wait."""
        self._readings.close()
        self._holding.release()

    def _pass(self, what: str, lease: str, move: Callable[[], bool]) -> bool:
        if lease not in self._holding:
            return False
        try:
            moved = move()
        except LeaseLost:
            self._holding.lost(lease)
        except Conflict as error:
            log.info("%s moved meanwhile: %s", what, error)
        except Unavailable:
            raise  # the store itself: nothing else would fare better
        except Exception as error:  # noqa: BLE001 - one that breaks, in whatever way, must not keep others from being moved
            self._failing.failed(lease, f"moving {what}", error)
        else:
            self._failing.succeeded(lease, f"moving {what}")
            return moved
        return False

    def _move_experiment(self, stored: StoredExperiment) -> bool:
        lease = self._holding.lease(experiment_look.lease_name(stored))
        with self._failing.reading(lease.name, f"reading the evidence of experiment {stored.id}") as unread:
            return self._experiments.move(stored, lease, unread)

    def _move(self, stored: StoredRollout) -> bool:
        lease, watched = self._holding.lease(lease_name(stored)), self._holding.watched(lease_name(stored))
        now = self._instruments.now()
        with self._changes.reading() as connection:
            if rollouts.get(connection, stored.id).revision != stored.revision:
                return False
            asked = partial(self._readings.of, now=now)
            with self._failing.reading(lease.name, f"reading the evidence of rollout {stored.id}") as unread:
                look = take_look(connection, self._lake, self._traffic, stored, now, asked, unread)
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
