"""All domains at a glance: which need a hand and why, and how their traffic goes."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Literal

from vedette.catalog.lifecycle import DomainState
from vedette.control.foundation import Foundation
from vedette.experiments.machine import Phase as ExperimentPhase
from vedette.kernel.records import record
from vedette.lake.evidence import LakeReader
from vedette.lake.flows import Flow
from vedette.rollouts.attention import ExperimentState, Level, RolloutState, Standing, standing
from vedette.rollouts.machine import ACTIVE, Phase
from vedette.store import fleet
from vedette.store.fleet import FleetDomain

Sort = Literal["attention", "name", "traffic", "errors", "latency", "changed"]
MINUTES = 30
"""How far back the figures of traffic go."""
RECENT = 5
"""Over how many minutes the figures of now are taken."""


@record
class FleetRow:
    """One domain: where it stands, and of its traffic the last minutes, one entry each, oldest first.

    Entries are requests a minute, the share of errors and the mean latency in ms, None where there was no traffic.
    """

    domain: FleetDomain
    standing: Standing
    requests: tuple[float, ...]
    errors: tuple[float | None, ...]
    latency: tuple[float | None, ...]
    requests_now: float
    errors_now: float | None
    latency_now: float | None


@record
class FleetPage:
    """One page of the fleet as it was asked for: how many there are in all, by chip, and the rows of this page."""

    rows: tuple[FleetRow, ...]
    found: int
    counts: Mapping[str, int]
    labels: tuple[str, ...]
    page: int
    pages: int


CHIPS: Mapping[str, str] = {
    "all": "All",
    "attention": "Needs a hand",
    "rollout": "Rolling out",
    "experiment": "Experimenting",
    "steady": "Steady",
    "idle": "Serves nothing",
}
"""The filters, and what they are called."""


class Fleet:
    """All domains; made from any `ControlPlane`."""

    def __init__(self, plane: Foundation) -> None:
        self._changes = plane.changes
        self._instruments = plane.instruments
        self._lake: LakeReader = plane.lake

    def page(
        self,
        *,
        show: str = "all",
        search: str = "",
        label: str = "",
        sort: Sort = "attention",
        page: int = 1,
        size: int = 50,
    ) -> FleetPage:
        """Give one page of the domains that fit.

        Args:
            show: one of `CHIPS`; anything else is ``all``.
            search: words, all of which stand in a domain's name, title, stable version or rollout.
            label: ``name=value`` a domain must have.
            sort: what comes first; the greatest or the most urgent, and names from a to z.
            page: from 1; beyond the last it is the last.
            size: rows a page.
        """
        now = self._instruments.now()
        with self._changes.reading() as connection:
            everything = fleet.fleet(connection)
        known = [(it, stand(it, now)) for it in everything if _fits(it, search, label)]
        counts = {chip: sum(_shown(chip, it, how) for it, how in known) for chip in CHIPS}
        chosen = [(it, how) for it, how in known if _shown(show, it, how)]
        wanted = [it.id for it, _ in chosen] if sort in {"traffic", "errors", "latency"} else []
        flows = self._recent(now, wanted)
        chosen.sort(key=lambda pair: _key(sort, pair[0], pair[1], flows.get(pair[0].id)))
        pages = max(1, -(-len(chosen) // size))
        page = min(max(page, 1), pages)
        rows = chosen[(page - 1) * size : page * size]
        return FleetPage(
            rows=self._with_traffic(rows, now),
            found=len(chosen),
            counts=counts,
            labels=tuple(sorted({f"{name}={value}" for it in everything for name, value in it.labels.items()})[:50]),
            page=page,
            pages=pages,
        )

    def some(self, domains: Collection[str]) -> tuple[FleetDomain, ...]:
        """Give some domains as the fleet knows them."""
        with self._changes.reading() as connection:
            return fleet.fleet(connection, only=domains)

    def find(self, part: str, *, limit: int = 8) -> tuple[tuple[str, str, str], ...]:
        """Find domains, rollouts and experiments by a part of their name: kind, name, and what to say beside it."""
        with self._changes.reading() as connection:
            return tuple(fleet.names(connection, part.strip().lower(), limit=limit))

    def _recent(self, now: datetime, domains: Collection[str]) -> Mapping[str, Flow]:
        since = now - timedelta(minutes=RECENT)
        return self._lake.flows(since, now + timedelta(minutes=1), domains)

    def _with_traffic(self, rows: Collection[tuple[FleetDomain, Standing]], now: datetime) -> tuple[FleetRow, ...]:
        since = now - timedelta(minutes=MINUTES - 1)
        minutes = self._lake.flows_by_minute(since, now + timedelta(minutes=1), {it.id for it, _ in rows})
        first = int(since.timestamp()) // 60
        made = []
        for it, how in rows:
            flows = [minutes.get((it.id, first + place), Flow()) for place in range(MINUTES)]
            recent = Flow()
            for flow in flows[-RECENT:]:
                recent = recent + flow
            made.append(
                FleetRow(
                    domain=it,
                    standing=how,
                    requests=tuple(flow.requests for flow in flows),
                    errors=tuple(flow.error_rate for flow in flows),
                    latency=tuple(flow.latency for flow in flows),
                    requests_now=recent.requests / RECENT,
                    errors_now=recent.error_rate,
                    latency_now=recent.latency,
                )
            )
        return tuple(made)


def stand(it: FleetDomain, now: datetime) -> Standing:
    """Say where a domain stands."""
    rollout = None
    if it.rollout is not None:
        rollout = RolloutState(
            phase=Phase(it.rollout.phase),
            version=it.rollout.version,
            weight=it.rollout.weight,
            step=it.rollout.step,
            steps=it.rollout.steps,
            because=it.rollout.because,
            pauses=it.rollout.pauses,
            ended_at=it.rollout.ended_at,
        )
    experiments = [
        ExperimentState(name=one.name, phase=ExperimentPhase(one.phase), verdict=one.verdict) for one in it.experiments
    ]
    active = it.state is DomainState.ACTIVE
    return standing(active=active, stable=it.stable, rollout=rollout, experiments=experiments, now=now)


def _fits(it: FleetDomain, search: str, label: str) -> bool:
    if label:
        name, _, value = label.partition("=")
        if it.labels.get(name) != value:
            return False
    if not search:
        return True
    rollout = it.rollout.name + " " + it.rollout.version if it.rollout else ""
    text = f"{it.id} {it.title} {it.stable} {rollout}".lower()
    return all(word in text for word in search.lower().split())


def _shown(chip: str, it: FleetDomain, how: Standing) -> bool:
    match chip:
        case "attention":
            return how.level >= Level.LOOK
        case "rollout":
            return it.rollout is not None and it.rollout.phase in ACTIVE
        case "experiment":
            return any(one.phase == ExperimentPhase.RUNNING for one in it.experiments)
        case "steady":
            return how.level is Level.STEADY
        case "idle":
            return how.level is Level.IDLE
    return True


def _key(sort: Sort, it: FleetDomain, how: Standing, flow: Flow | None) -> tuple[float, str]:
    match sort:
        case "attention":
            return -how.level, it.id
        case "traffic":
            return -(flow.requests if flow else 0.0), it.id
        case "errors":
            return -((flow.error_rate if flow else None) or 0.0), it.id
        case "latency":
            return -((flow.latency if flow else None) or 0.0), it.id
        case "changed":
            return -it.updated_at.timestamp(), it.id
    return 0.0, it.id
