"""Taking in scores of offline experiments: variants that answered one set of prompts, with no traffic."""

from collections.abc import Iterable, Mapping
from typing import Any

from vedette.control.change import Changes
from vedette.control.experiment_admission import check, find
from vedette.control.experiment_commit import commit
from vedette.control.experiment_look import kept, last_told, metrics_of, scored, units_of_pairs
from vedette.control.traffic import Traffic
from vedette.experiments import commands
from vedette.experiments.advance import follow_up, look_at_pairs
from vedette.experiments.machine import Phase
from vedette.experiments.scores import score
from vedette.experiments.verdict import Verdict
from vedette.kernel.errors import Refused
from vedette.kernel.records import record
from vedette.store import experiments
from vedette.store.experiments import StoredExperiment, StoredScores


@record
class ScoresTaken:
    """What became of an upload of scores.

    ``prompts`` are counted now, ``total`` with those of earlier uploads. Left out are prompts that not all variants
    answered in all measures (``incomplete``), those scored before (``seen_before``), and rows that repeat a prompt and
    variant (``repeated``). ``verdict`` is what all scores together say; None before the first complete prompt.
    """

    experiment: StoredExperiment
    prompts: int
    total: int
    incomplete: int
    seen_before: int
    repeated: int
    verdict: Verdict | None


def record_scores(
    changes: Changes,
    traffic: Traffic,
    ref: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    actor: str,
    request_id: str = "",
) -> ScoresTaken:
    """Keep the scores of complete prompts, start the experiment with the first ones, and look at all there are.

    An upload that brings nothing new changes nothing.

    Raises:
        InvalidInput: a row is wrong; nothing was kept.
        Refused: the experiment is not offline, or neither a draft nor running.
        StaleRevision: somebody else's scores came at the same moment; nothing was kept.
    """
    with changes.reading() as connection:
        it = find(connection, ref)
        _refuse(it)
        metrics = metrics_of(connection, it)
        earlier = experiments.scores(connection, it.id)
    known = [mark for upload in earlier for mark in upload.digests]
    found = score(rows, [variant.name for variant in it.spec.variants], metrics, known)
    verdict = None
    if found.digests:
        with changes.begin(actor, request_id) as change:
            experiments.add_scores(
                change.connection,
                StoredScores(
                    experiment=it.id,
                    at=change.at,
                    actor=change.actor,
                    prompts=len(found.digests),
                    left_out=found.incomplete + found.seen_before,
                    digests=found.digests,
                    moments=found.moments,
                ),
            )
            change.record(
                "experiment.score",
                domain=it.domain,
                resource=f"experiment/{it.id}",
                name=it.name,
                prompts=len(found.digests),
                incomplete=found.incomplete,
                seen_before=found.seen_before,
            )
            if it.status.phase is Phase.DRAFT:
                check(change.connection, it)
                status, decision = commands.start(it.spec, it.status, (), 0, change.at)
                it = commit(change, traffic, it, status, decision)
            moments = scored(change.connection, it)
            analysis = look_at_pairs(it.spec, metrics, it.status, moments)
            step = follow_up(it.spec, it.status, analysis, change.at)
            told = last_told(change.connection, it)
            look = kept(it, analysis, units_of_pairs(it, moments), told, at=change.at, anyway=step.status != it.status)
            # Committed whether or not it changed: two uploads at once must not both count a prompt they share.
            it = commit(change, traffic, it, step.status, step.decision, look=look)
            verdict = analysis.verdict
    return ScoresTaken(
        experiment=it,
        prompts=len(found.digests),
        total=len(known) + len(found.digests),
        incomplete=found.incomplete,
        seen_before=found.seen_before,
        repeated=found.repeated,
        verdict=verdict,
    )


def _refuse(it: StoredExperiment) -> None:
    if not it.spec.offline:
        raise Refused(
            f"experiment {it.name!r} runs on live traffic, whose outcomes are recorded by gateways",
            hint="draft one with offline: true to judge variants on a set of prompts",
        )
    if it.status.phase not in {Phase.DRAFT, Phase.RUNNING}:
        raise Refused(f"experiment {it.name!r} is {it.status.phase} and takes no more scores", hint="draft a new one")
