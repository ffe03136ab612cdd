"""Understanding a rollout: what it would do now and why, what it cost, what another spec would have done."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vedette.control.look import lease_name, take_look
from vedette.control.passes import warned
from vedette.control.readings import Ask, Outside, Wanted
from vedette.control.traffic import Traffic
from vedette.evidence.metric import Metric
from vedette.evidence.summary import EMPTY
from vedette.kernel.clock import Moment
from vedette.kernel.decision import Decision
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve, record
from vedette.lake.evidence import LakeReader
from vedette.rollouts.advance import advance
from vedette.rollouts.gates import SplitCheck, Verdict, check_split, judge_all
from vedette.rollouts.machine import ACTIVE, Phase
from vedette.rollouts.observation import Exposure
from vedette.rollouts.replay import RecordedLook
from vedette.rollouts.spec import RolloutSpec
from vedette.store import leases, plans, rollout_history, rollouts
from vedette.store.rollouts import StoredDecision, StoredLook, StoredRollout


@record
class Explanation:
    """Why a rollout is where it is.

    ``now`` is what a look at this moment decides (nothing is written); ``verdicts`` and ``split`` are its evidence.
    ``last`` is the last stored decision, and ``rederived`` says whether the evidence stored with the last look gives
    exactly the verdicts stored with it (None before the first look, or when the spec was changed since).
    """

    rollout: str
    name: str
    domain: str
    version: str
    phase: Phase
    step: int
    weight: float
    confirmed: int
    now: Decision
    verdicts: tuple[Verdict, ...]
    split: SplitCheck | None
    last: StoredDecision | None
    rederived: bool | None


@record
class StepTime:
    """One step of one attempt as it went: its weight, how long it was watched, what the canary served."""

    attempt: int
    step: int
    weight: float
    since: datetime
    seconds: float
    canary_requests: float
    stable_requests: float


@record
class Analytics:
    """What a rollout took and cost.

    ``exposure_saved`` are the requests that a release to everyone at the start would have sent to the new version and
    that this rollout did not; ``weights`` is the canary's weight over time, in percent.
    """

    rollout: str
    phase: Phase
    seconds: float
    canary_requests: float
    total_requests: float
    exposure_saved: float
    steps: tuple[StepTime, ...]
    weights: tuple[tuple[datetime, float], ...]
    because: str


def explain(
    connection: Connection, lake: LakeReader, traffic: Traffic, stored: StoredRollout, now: datetime
) -> Explanation:
    """Look now, decide, write nothing; and check that the last stored verdicts follow from their stored evidence.

    Of a rollout at its end the last look is shown: what is stable may be another version now. Sources outside are not
    asked: what they said is in the last look that the reconciler stored.
    """
    looks = rollouts.looks(connection, stored.id, limit=1, newest_first=True).items
    look = take_look(connection, lake, traffic, stored, now, _recalled(stored, looks), warned)
    name = lease_name(stored)
    watched = leases.watched(connection, [name])[name]
    step = advance(stored.spec, stored.status, look, Moment(utc=now, watched=watched))
    decisions = rollouts.decisions(connection, stored.id, limit=1, newest_first=True).items
    if stored.status.phase not in ACTIVE:
        last = recorded(looks[0]) if looks else None
        look = evolve(look, observations=last.observations if last else {}, exposures=last.exposures if last else ())
    return Explanation(
        rollout=stored.id,
        name=stored.name,
        domain=stored.domain,
        version=stored.spec.version,
        phase=stored.status.phase,
        step=stored.status.step,
        weight=stored.status.weight,
        confirmed=look.confirmed,
        now=step.decision,
        verdicts=step.verdicts or judge_all(stored.spec, look.observations),
        split=step.split or check_split(look.exposures),
        last=decisions[0] if decisions else None,
        rederived=_rederived(stored.spec, looks[0]) if looks and looks[0].attempt == stored.status.attempt else None,
    )


def _recalled(stored: StoredRollout, looks: Sequence[StoredLook]) -> Ask:
    """Give what sources said at the last look of this attempt."""
    mine = [recorded(look).observations for look in looks if look.attempt == stored.status.attempt]

    def ask(wanted: Sequence[Wanted]) -> Outside:
        names = {it.metric for it in wanted}
        return Outside(observations={name: it for seen in mine for name, it in seen.items() if name in names})

    return ask


def recorded(look: StoredLook) -> RecordedLook:
    """Read a stored look as the record it was made from."""
    return load(
        RecordedLook,
        {
            "at": look.at,
            "watched": look.watched,
            "weight": look.weight,
            "observations": look.observations["metrics"],
            "exposures": look.observations["exposures"],
        },
    )


def all_looks(connection: Connection, rollout: str, attempt: int) -> tuple[RecordedLook, ...]:
    """Read every look of one attempt, in order."""
    found: list[StoredLook] = []
    after = None
    while True:
        page = rollouts.looks(connection, rollout, after=after, limit=1000)
        found += [look for look in page.items if look.attempt == attempt]
        if page.next is None:
            break
        after = page.next
    if not found:
        raise InvalidInput(
            f"attempt {attempt} of this rollout recorded no evidence",
            hint="only a rollout that had traffic can be replayed",
        )
    return tuple(recorded(look) for look in found)


def analyse(connection: Connection, stored: StoredRollout) -> Analytics:
    """Sum up a rollout from its plans, decisions and last looks."""
    exposures = _last_exposures(connection, stored.id)
    published = _plans(connection, stored.id)
    steps = []
    for index, (attempt, step, revision, weight, since) in enumerate(published):
        until = published[index + 1][4] if index + 1 < len(published) else stored.status.ended_at or since
        cells = [cell for cell in exposures.get(attempt, ()) if cell.revision == revision]
        steps.append(
            StepTime(
                attempt=attempt,
                step=step,
                weight=weight,
                since=since,
                seconds=max((until - since).total_seconds(), 0.0),
                canary_requests=sum(cell.canary for cell in cells),
                stable_requests=sum(cell.stable for cell in cells),
            )
        )
    canary = sum(step.canary_requests for step in steps)
    total = canary + sum(step.stable_requests for step in steps)
    weights = [(since, weight) for _, _, _, weight, since in published]
    if stored.status.ended_at:
        weights.append((stored.status.ended_at, stored.status.weight))
    return Analytics(
        rollout=stored.id,
        phase=stored.status.phase,
        seconds=sum(step.seconds for step in steps),
        canary_requests=canary,
        total_requests=total,
        exposure_saved=total - canary,
        steps=tuple(steps),
        weights=tuple(weights),
        because=stored.status.because,
    )


def traffic_of(lake: LakeReader, domain: str, metric: Metric, now: datetime) -> tuple[float, float]:
    """Give a domain's requests a minute, and the share of bad events by a rate metric, over its last day.

    Raises:
        InvalidInput: it had no traffic, or the metric was never bad or never measured.
    """
    minutes = lake.minutes(domain, now - timedelta(days=1), now + timedelta(minutes=1))
    requests = sum(minute.measures.get("requests", EMPTY).n for minute in minutes)
    events = EMPTY
    for minute in minutes:
        events = events + minute.measures.get(metric.measure, EMPTY)
    if requests == 0:
        raise InvalidInput(
            f"domain {domain!r} had no traffic in the last day", hint="give requests per minute and bad rate"
        )
    span = (minutes[-1].at - minutes[0].at).total_seconds() / 60 + 1
    bad = events.mean if metric.better == "lower" else 1 - events.mean
    if events.n == 0 or not 0 < bad < 1:
        raise InvalidInput(f"the last day shows no rate of {metric.name!r} to plan with", hint="give the bad rate")
    return requests / span, bad


def _plans(connection: Connection, rollout: str) -> list[tuple[int, int, int, float, datetime]]:
    """Give attempt, step, revision, weight (percent) and time of every plan of a rollout, in order."""
    found = []
    after = None
    while True:
        page = plans.history(connection, rollout=rollout, after=after, limit=1000)
        found += [(p.attempt, p.step, p.plan.revision, p.plan.weight / 10_000, p.created_at) for p in page.items]
        if page.next is None:
            return sorted(found, key=lambda plan: plan[2])
        after = page.next


def _last_exposures(connection: Connection, rollout: str) -> dict[int, Sequence[Exposure]]:
    """Give the traffic of every attempt, as its last look saw it."""
    return {look.attempt: recorded(look).exposures for look in rollout_history.last_looks(connection, rollout)}


def _rederived(spec: RolloutSpec, look: StoredLook) -> bool | None:
    verdicts = judge_all(spec, recorded(look).observations)
    stored = list(look.verdicts)
    if [verdict["metric"] for verdict in stored] != [verdict.metric for verdict in verdicts]:
        return None
    return [verdict.figures() for verdict in verdicts] == stored
