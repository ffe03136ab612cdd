"""What experiments found, for reading: the half of `MultiVariantTestManager` that changes nothing."""

from collections.abc import Mapping

from vedette.control import experiment_insight as insight
from vedette.control import experiment_look as look
from vedette.control.experiment_admission import find
from vedette.control.experiment_insight import ExperimentExplanation, UnitAssignment
from vedette.control.foundation import Foundation
from vedette.experiments import advance, planning
from vedette.experiments.cuts import Breakdown, Interaction
from vedette.experiments.machine import Phase
from vedette.experiments.planning import ExperimentPlan, Question
from vedette.experiments.report import ExperimentReport
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.records import evolve
from vedette.lake.evidence import LakeReader
from vedette.store import domains, experiments
from vedette.store.experiments import ExperimentDecision, ExperimentLook, StoredExperiment
from vedette.store.pages import Page


class ExperimentResults:
    """What the experiments of all domains found, and why each is where it is."""

    def __init__(self, plane: Foundation) -> None:
        self._changes = plane.changes
        self._traffic = plane.traffic
        self._instruments = plane.instruments
        self._lake: LakeReader = plane.lake

    def get(self, ref: str) -> StoredExperiment:
        """Give an experiment by its id or its name.

        Raises:
            NotFound: there is none.
        """
        with self._changes.reading() as connection:
            return find(connection, ref)

    def page(
        self, *, domain: str | None = None, phase: Phase | None = None, after: str | None = None, limit: int = 50
    ) -> Page[StoredExperiment]:
        """List experiments, the newest first; of one domain or in one phase when asked."""
        with self._changes.reading() as connection:
            phases = (phase,) if phase else ()
            return experiments.page(connection, domain=domain, phases=phases, after=after, limit=limit)

    def results(self, ref: str) -> ExperimentReport:
        """Say what an experiment has found so far, from everything that was recorded until now.

        Raises:
            Refused: it has not started.
            Unavailable: the outcomes cannot be read.
        """
        with self._changes.reading() as connection:
            return insight.results(connection, self._lake, find(connection, ref))

    def looks(
        self, ref: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
    ) -> Page[ExperimentLook]:
        """List the looks that were kept: one whenever 5 % more had been seen or the verdict changed, in order."""
        with self._changes.reading() as connection:
            found = find(connection, ref)
            return experiments.looks(connection, found.id, after=after, limit=limit, newest_first=newest_first)

    def decisions(
        self, ref: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
    ) -> Page[ExperimentDecision]:
        """List what was decided about an experiment, in order."""
        with self._changes.reading() as connection:
            found = find(connection, ref)
            return experiments.decisions(connection, found.id, after=after, limit=limit, newest_first=newest_first)

    def explain(self, ref: str, unit: str = "", attributes: Mapping[str, str] | None = None) -> ExperimentExplanation:
        """Say where an experiment is and why, what a look at this moment decides, and what a unit sees; writes nothing.

        The last kept look is made again from what was recorded with it, and whether it comes out the same is said.
        """
        with self._changes.reading() as connection:
            it = find(connection, ref)
            said = insight.explain(connection, self._lake, self._traffic, it, self._instruments.now())
        return evolve(said, assignment=self.assignment(ref, unit, attributes)) if unit else said

    def assignment(self, ref: str, unit: str, attributes: Mapping[str, str] | None = None) -> UnitAssignment:
        """Say which arm a unit has, by the traffic plan in force, and why it has none if it has none.

        Args:
            ref: the experiment.
            unit: the unit, as the domain finds it in a request.
            attributes: what targeting looks at: request headers in lower case, and ``user``.
        """
        with self._changes.reading() as connection:
            it = find(connection, ref)
        return insight.assignment(self._traffic.plan(it.domain), it, unit, attributes or {})

    def breakdown(self, ref: str, dimension: str) -> Breakdown:
        """Analyse an experiment for each value of one of its dimensions, corrected for looking at many of them.

        Raises:
            InvalidInput: the spec does not name the dimension, so it was not recorded.
            Refused: the experiment has not started, or is offline.
            Unavailable: the outcomes cannot be read.
        """
        with self._changes.reading() as connection:
            return insight.breakdown(connection, self._lake, find(connection, ref), dimension)

    def interactions(self, ref: str, other: str | None = None) -> tuple[Interaction, ...]:
        """Test whether an experiment's effects depend on the arm its units have in overlapping experiments.

        Args:
            ref: the experiment.
            other: one other experiment; every one that runs in another layer of the domain unless given.

        Raises:
            InvalidInput: the other is of another domain, of the same layer, or the same one.
            Refused: one of them has not started, or is offline.
            Unavailable: the outcomes cannot be read.
        """
        with self._changes.reading() as connection:
            it = find(connection, ref)
            chosen = find(connection, other) if other else None
            return insight.interactions(connection, self._lake, it, chosen)

    def plan(
        self,
        spec: ExperimentSpec,
        *,
        mde: float,
        baseline: float | None = None,
        sd: float | None = None,
        power: float = 0.8,
        question: Question = "winner",
        units_per_day: float | None = None,
        design_effect: float = 1.0,
    ) -> ExperimentPlan:
        """Say, before starting, how many requests it takes and how long, to find an effect on the primary metric.

        What is not given is read from the domain's last day: the baseline and spread of the metric, and the traffic.

        Args:
            spec: the experiment to be.
            mde: the smallest effect worth finding, as a fraction of the baseline (0.05 is 5 %).
            baseline: the primary metric as it is.
            sd: standard deviation over requests, of a metric that is no rate.
            power: the chance to find it.
            question: whether one arm beats all others (``winner``), or which arms beat the control (``control``).
            units_per_day: requests of the domain a day.
            design_effect: by what clusters (users with many requests) multiply the variance.

        Raises:
            InvalidInput: a figure is out of range, the last day does not tell what was not given, or the primary
                metric is a quantile.
            NotFound: no such domain or metric.
        """
        with self._changes.reading() as connection:
            config = domains.get(connection, spec.domain).config
        primary = config.metric(next(use.metric for use in spec.metrics if use.role == "primary"))
        now = self._instruments.now()
        seen = insight.usual(self._lake, spec.domain, primary, now, baseline, sd, units_per_day)
        return planning.plan(
            advance.question(spec, look.measured(config, spec)),
            mde=mde,
            baseline=seen.baseline,
            sd=seen.sd,
            power=power,
            question=question,
            kind=insight.KINDS[primary.kind],
            variance_factor=design_effect,
            units_per_day=seen.units_per_day,
            coverage=spec.coverage / 100,
        )
