"""A process that dies between any two writes of an experiment, and the next one that goes on: the end is the same."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select
from tests.control.faults import NOON, PASS, Clock, Died, Fuse, die, heir, lapse, undelivered

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.plane import ControlPlane, open_plane
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.experiments.machine import Phase
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.documents import dump, load
from vedette.routing.assign import CompiledExperiments
from vedette.routing.plan import TrafficPlan
from vedette.store.tables import audit_head, experiment_looks, outbox

_FEWEST_DEATHS = 60
_WEBHOOK = "http://nobody.example/"
_USERS = 900
_STATE = select(
    select(audit_head.c.sequence).scalar_subquery(),
    select(func.count()).select_from(experiment_looks).scalar_subquery(),
    select(func.count(outbox.c.done_at)).scalar_subquery(),
)
"""How far the experiment is: by audit entries, kept looks and effects performed."""


@pytest.fixture
def plane(store_url):
    """A plane on a fresh database, on SQLite and then on PostgreSQL."""
    with open_plane(store_url, instruments=Clock()) as opened:
        yield opened


def _prepare(plane: ControlPlane, domain: str) -> None:
    metrics = [{"name": "accuracy", "kind": "rate", "measure": "correct", "better": "higher"}]
    plane.domains.create(domain, load(DomainSpec, {"config": {"metrics": metrics}}), actor="ada")
    for version in ("v1", "v2", "v3"):
        backend = {"kind": "openai", "url": "http://localhost:1/v1", "model": version}
        plane.versions.register(domain, version, load(VersionSpec, {"backend": backend}), actor="ada")
    plane.versions.install(domain, "v1", actor="ada")


def _spec(domain: str) -> ExperimentSpec:
    return load(
        ExperimentSpec,
        {
            "domain": domain,
            "variants": [
                {"name": "v1"},
                {"name": "v2", "override": {"version": "v2"}},
                {"name": "v3", "override": {"version": "v3"}},
            ],
            "metrics": [{"metric": "accuracy", "role": "primary"}, {"metric": "errors", "role": "guardrail"}],
            "coverage": 60,
            "onWinner": "promote",
            "webhooks": [_WEBHOOK],
        },
    )


def _begin(plane: ControlPlane, domain: str) -> None:
    """Draft, start and ramp up, as often as one likes."""
    it = plane.experiments.apply(domain, _spec(domain), actor="ada")
    if it.status.phase is Phase.DRAFT:
        it = plane.experiments.start(domain, 30, actor="ada")
    if it.status.phase is Phase.RUNNING and it.status.exposed == 300_000:
        plane.experiments.ramp(domain, 60, actor="ada")


@cache
def _answered(domain: str, plan_text: str) -> tuple[Outcome, ...]:
    """Be the users of a plan: v3 fails often, and v2 is right more often once v3 is gone."""
    plan = load(TrafficPlan, json.loads(plan_text))
    compiled = CompiledExperiments.of(plan)
    draw = np.random.default_rng(plan.revision)
    made = []
    for user in range(_USERS):
        chance = draw.random((2, 2))
        seen = compiled.expose(f"user-{user}") if compiled else None
        if seen is None or not seen.exposures:
            continue
        arm = seen.exposures[0].arm
        right = 0.9 if arm == "v2" and seen.exposures[0].epoch > 1 else 0.5
        for number in range(2):
            failed = arm == "v3" and chance[number, 0] < 0.4
            made.append(
                Outcome(
                    id=f"{domain}-{plan.revision}-{user}-{number}",
                    domain=domain,
                    at=NOON,
                    assigned=arm,
                    served=arm,
                    plan_revision=0,
                    bucket=user % 1024,
                    status=OutcomeStatus.ERROR if failed else OutcomeStatus.OK,
                    measures={"error": float(failed), "correct": float(chance[number, 1] < right)},
                    exposures=seen.exposures,
                )
            )
    return tuple(made)


def _answer(plane: ControlPlane, domain: str) -> None:
    """Ship the outcomes of a domain's plan, the same ones however often."""
    plan = plane.traffic.plan(domain)
    made = _answered(domain, json.dumps(dump(plan)))
    if made:
        plane.lake.ship(f"{domain}-{plan.revision}", made)


def _over(plane: ControlPlane, domain: str) -> bool:
    return bool(plane.experiments.get(domain).status.rollout) and not undelivered(plane)


def _script(plane: ControlPlane, domain: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give what happens, act by act, until the winner's rollout has begun and everybody was told."""
    yield "begin", partial(_begin, plane, domain)
    for _ in range(30):
        yield "answer", partial(_answer, plane, domain)
        yield "tick", plane.reconciler.tick
        yield "deliver", plane.courier.deliver
        assert isinstance(plane.instruments, Clock)
        plane.instruments.go(PASS)
        if _over(plane, domain):
            return
    raise AssertionError("the experiment came to no end")


def _story(plane: ControlPlane, posted, domain: str) -> dict[str, Any]:
    """Tell all that an experiment came to, without the names, ids and times that no two runs share."""
    it = plane.experiments.get(domain)
    effects = {effect: body for effect, body in posted if body.get("name") == domain}
    assert all(effects[effect] == body for effect, body in posted if body.get("name") == domain)
    plans = plane.traffic.history(domain, limit=100).items
    entries = plane.governance.entries(domain=domain, limit=1000).items
    return {
        "end": (it.status.phase, it.status.epoch, it.status.exposed, it.status.awaiting_rollout, it.revision),
        "arms": [stopped.arm for stopped in it.status.stopped_arms],
        "winner": it.status.conclusion and it.status.conclusion.winner,
        "rollouts": [(rollout.spec.version, rollout.id == it.status.rollout) for rollout in _rollouts(plane, domain)],
        "decisions": [
            (said.decision.action, said.decision.reasons[0].code, said.epoch, said.phase)
            for said in plane.experiments.decisions(domain, limit=100).items
        ],
        "looks": [look.verdict for look in plane.experiments.looks(domain, limit=100).items],
        "plans": [(stored.plan.revision, len(stored.plan.layers)) for stored in plans],
        "audit": [(entry.actor, entry.action) for entry in entries],
        "effects": [body["event"] for _, body in sorted(effects.items())],
    }


def _rollouts(plane: ControlPlane, domain: str):
    return plane.canary.page(domain=domain).items


def test_death_before_any_write_changes_nothing_of_the_end(plane, posted):
    """Killed before each write and commit of start, ramp, stop-arm, decide and promote, the experiment ends the same.

    Its winner gets exactly one rollout, however often and wherever processes died.
    """
    for domain in ("calm", "pay"):
        _prepare(plane, domain)
    for _, act in _script(plane, "calm"):
        act()
    deaths: Counter[tuple[object, ...]] = Counter()
    over = False
    with Fuse(die) as fuse:
        while not over:
            plane = heir(plane)
            lapse(plane)
            try:
                for name, act in _script(plane, "pay"):
                    with plane.store.reading() as connection:
                        place = name, *connection.execute(_STATE).one()
                    fuse.set(deaths[place] + 1)
                    act()
                    fuse.set(0)
                over = True
            except Died:
                fuse.set(0)
                deaths[place] += 1
    assert deaths.total() >= _FEWEST_DEATHS
    told = _story(plane, posted, "calm")
    assert _story(plane, posted, "pay") == told
    assert [action for action, *_ in told["decisions"]] == ["start", "ramp", "stop-arm", "promote", "promote"]
    assert told["rollouts"] == [("v2", True)]
    assert plane.governance.verify() == ()
    plane.close()
