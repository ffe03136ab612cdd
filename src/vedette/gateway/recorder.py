"""Writes down what became of each assigned request, before its answer has ended."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from vedette.catalog.budget import price_of
from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway.metrics import Metrics
from vedette.gateway.tracing import Tracer
from vedette.kernel.errors import VedetteError
from vedette.lake.record import Record
from vedette.routing.assign import Exposed
from vedette.routing.choose import Choice
from vedette.routing.plan import TrafficPlan

_log = logging.getLogger("vedette.gateway")


class OutcomeJournal(Protocol):
    """Where outcomes are kept until they are shipped."""

    def append(self, outcome: Record) -> None:
        """Keep it through the death of this process."""
        ...

    def close(self) -> None:
        """Let go of it; whoever ships finds what is in it."""
        ...


class Recorder:
    """Makes outcomes, keeps them and counts them."""

    def __init__(self, journal: OutcomeJournal, metrics: Metrics) -> None:
        self._journal: OutcomeJournal = journal
        self._metrics = metrics
        self.book: Callable[[TrafficPlan, Mapping[str, float]], None] = _book_nothing
        self.tracer: Tracer | None = None
        self.fresh = False  # whether anything was kept since the journal was last replaced

    def replace(self, journal: OutcomeJournal) -> OutcomeJournal:
        """Go on in another journal; gives the one before, which gets no more."""
        before, self._journal, self.fresh = self._journal, journal, False
        return before

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def record(
        self,
        request_id: str,
        plan: TrafficPlan,
        choice: Choice,
        exposed: Exposed,
        *,
        served: str,
        status: OutcomeStatus,
        seconds: float,
        measures: Mapping[str, float],
    ) -> None:
        """Keep one outcome. A journal that fails costs the outcome, loudly, and never the client's answer.

        A version that an experiment decided says nothing about a rollout, so its plan revision is 0, which is no
        rollout's.
        """
        if plan.config.prices or plan.config.budgets:
            measures = self._booked(plan, served, measures)
        if self.tracer is not None:
            self.tracer.end(request_id, plan, choice, served=served, status=status, measures=measures)
        self._metrics.of(plan.domain, choice.version).observe(
            status, seconds, error=measures.get("error") == 1, fallback=measures.get("fallback") == 1
        )
        if exposed.names:
            self._metrics.expose(plan.domain, exposed.names)
        # By position, in the record's order: names would cost as much again.
        self._keep(
            Record(
                request_id,
                plan.domain,
                datetime.now(UTC),
                choice.version,
                served,
                0 if choice.arm == "experiment" else plan.revision,
                choice.bucket,
                status,
                measures,
                exposed.exposures,
                exposed.dimensions,
                choice.pseudonym,
            )
        )

    def record_shadow(
        self, request_id: str, plan: TrafficPlan, version: str, status: OutcomeStatus, measures: Mapping[str, float]
    ) -> None:
        """Keep the outcome of a copy whose answer nobody saw: it is no evidence, so it has no unit and no plan.

        It costs all the same.
        """
        if plan.config.prices or plan.config.budgets:
            measures = self._booked(plan, version, measures)
        now = datetime.now(UTC)
        self._keep(Record(request_id, plan.domain, now, version, version, 0, -1, status, measures, (), {}))

    def _booked(self, plan: TrafficPlan, served: str, measures: Mapping[str, float]) -> Mapping[str, float]:
        measures = _priced(plan, served, measures)
        self.book(plan, measures)
        return measures

    def _keep(self, outcome: Record) -> None:
        self.fresh = True
        try:
            self._journal.append(outcome)
        except VedetteError as error:
            self._metrics.outcomes_lost += 1
            lost = self._metrics.outcomes_lost
            _log.error("outcome %s of %s is lost, %d so far: %s", outcome.id, outcome.domain, lost, error)


def _priced(plan: TrafficPlan, served: str, measures: Mapping[str, float]) -> Mapping[str, float]:
    """Add what an answer has cost, by the price of the version that gave it; nothing where that is not known."""
    price = price_of(plan.config.prices or {}, served)
    if price is None or "tokens_in" not in measures:
        return measures
    read = measures["tokens_in"] + measures.get("tokens_wasted", 0.0)
    return {**measures, "cost": price.of(read, measures.get("tokens_out", 0.0))}


def _book_nothing(plan: TrafficPlan, measures: Mapping[str, float]) -> None:
    """Keep no account."""
