"""Gathering one look at an experiment: from the store where it is, from the lake or its scores what happened."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from vedette.catalog.domain import DomainConfig
from vedette.control.passes import Unread
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.joint import JointMoments, together
from vedette.experiments.advance import look_at, look_at_pairs, progress_of
from vedette.experiments.analysis import Analysis
from vedette.experiments.machine import ExperimentStatus, Phase
from vedette.experiments.metrics import Measured
from vedette.experiments.recorded import recorded
from vedette.experiments.report import report
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.verdict import Verdict
from vedette.kernel.errors import Corrupt, Refused, Unavailable
from vedette.lake.evidence import LakeReader
from vedette.store import domains, experiments
from vedette.store.experiments import ExperimentLook, StoredExperiment

GROWTH = 1.05
"""A look is kept when so many times the units of the last kept one were seen: kept looks grow with the logarithm."""

Told = tuple[float, str, str, tuple[str, ...]]
"""What a kept look told: units, verdict, winner, and the arms nobody beats."""


def lease_name(stored: StoredExperiment) -> str:
    """Name the lease under which an experiment is watched and moved."""
    return f"experiment/{stored.id}"


def measured(config: DomainConfig, spec: ExperimentSpec) -> tuple[Measured, ...]:
    """Give the metrics of a spec as the domain declares them.

    Raises:
        NotFound: the domain does not declare one of them any more.
    """
    return tuple(use.measured(config.metric(use.metric)) for use in spec.metrics)


def metrics_of(connection: Connection, stored: StoredExperiment) -> tuple[Measured, ...]:
    """Give the metrics of an experiment as its domain declares them now."""
    return measured(domains.get(connection, stored.domain).config, stored.spec)


def evidence_of(lake: LakeReader, stored: StoredExperiment, unread: Unread) -> ExperimentEvidence | None:
    """Give what the arms of an experiment did; None where that cannot be read, and ``unread`` is told why."""
    try:
        return lake.experiment(stored.domain, stored.id)
    except (Unavailable, Corrupt) as error:
        unread(error)
        return None


def analyse(connection: Connection, lake: LakeReader, stored: StoredExperiment) -> tuple[Analysis, dict[str, float]]:
    """Analyse an experiment from everything that is known of it, and count units by arm, those taken out too.

    Raises:
        Refused: it has not started.
        Unavailable: the outcomes cannot be read.
    """
    if stored.status.started_at is None:
        raise Refused(f"experiment {stored.name!r} has not started", hint=f"vedette experiment start {stored.name}")
    metrics = metrics_of(connection, stored)
    if stored.spec.offline:
        rows = scored(connection, stored)
        return look_at_pairs(stored.spec, metrics, stored.status, rows), units_of_pairs(stored, rows)
    evidence = lake.experiment(stored.domain, stored.id)
    return look_at(stored.spec, metrics, stored.status, evidence), units_of(stored, evidence)


def scored(connection: Connection, stored: StoredExperiment) -> JointMoments:
    """Give the joint moments of all scores of an offline experiment that has some."""
    return together(upload.moments for upload in experiments.scores(connection, stored.id))


def units_of(stored: StoredExperiment, evidence: ExperimentEvidence) -> dict[str, float]:
    """Count the requests of every arm over all epochs, those of arms that were taken out too."""
    return {
        variant.name: float(sum(arms.get(variant.name, 0) for arms in evidence.requests.values()))
        for variant in stored.spec.variants
    }


def units_of_pairs(stored: StoredExperiment, rows: JointMoments) -> dict[str, float]:
    """Count the units of every arm, where all arms have the same ones."""
    return {variant.name: rows.n for variant in stored.spec.variants}


def kept(
    stored: StoredExperiment,
    analysis: Analysis,
    units: Mapping[str, float],
    last: Told | None,
    *,
    at: datetime,
    anyway: bool = False,
) -> ExperimentLook | None:
    """Give the look to keep, if it told more than the last kept one; ``anyway`` keeps it if anything was seen.

    ``stored`` is the experiment as it was before the look.
    """
    told = telling(sum(units.values()), analysis.verdict)
    if not told[0] or (last is not None and not anyway and told[1:] == last[1:] and told[0] < GROWTH * last[0]):
        return None
    return ExperimentLook(
        experiment=stored.id,
        at=at,
        epoch=stored.status.epoch,
        units=told[0],
        verdict=analysis.verdict.status,
        report=report(analysis, dict(units)),
        seen=recorded(analysis, progress_of(stored.status)),
    )


def telling(units: float, verdict: Verdict) -> Told:
    """Sum up what a look tells."""
    return units, verdict.status, verdict.winner, verdict.tied


def last_told(connection: Connection, stored: StoredExperiment) -> Told | None:
    """Give what the last kept look told; None where none was kept."""
    found = experiments.looks(connection, stored.id, limit=1, newest_first=True).items
    return telling(found[0].units, found[0].report.verdict) if found else None


def is_watched(stored: StoredExperiment) -> bool:
    """Say whether the reconciler has anything to do for an experiment: it has live traffic, or awaits a rollout."""
    status: ExperimentStatus = stored.status
    return bool(status.awaiting_rollout) or (status.phase is Phase.RUNNING and not stored.spec.offline)
