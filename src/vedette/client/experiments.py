"""Experiments of a server: the same methods as `vedette.control.experiments.MultiVariantTestManager`."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from vedette.client.wire import Wire, named
from vedette.experiments.machine import Phase
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.documents import dump
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve, record
from vedette.store.experiments import ExperimentDecision, ExperimentLook, StoredExperiment
from vedette.store.pages import Page
from vedette.store.rollouts import StoredRollout

if TYPE_CHECKING:
    from vedette.control.experiment_insight import ExperimentExplanation, UnitAssignment
    from vedette.control.experiment_scores import ScoresTaken
    from vedette.experiments.cuts import Breakdown, Interaction
    from vedette.experiments.planning import ExperimentPlan, Question
    from vedette.experiments.report import ExperimentReport

Variants = ExperimentSpec | Sequence[str | Mapping[str, Any] | Variant]
Splits = Sequence[float] | Mapping[str, float]

_BATCH = 500_000  # bytes of scores a request carries; a server takes a million


class Experiments:
    """Experiments of all domains of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create_test(
        self,
        domain_id: str,
        variants: Variants,
        traffic_splits: Splits | None = None,
        *,
        name: str = "",
        actor: str = "",
        dry_run: bool = False,
        request_id: str = "",
        **design: Any,  # noqa: ANN401 - the other fields of an ExperimentSpec, each of its own type
    ) -> StoredExperiment:
        """Draft an experiment on ``domain_id``; see `vedette.MultiVariantTestManager.create_test`."""
        if isinstance(variants, ExperimentSpec):
            if traffic_splits is not None or design:
                raise InvalidInput("a whole spec says its splits and its design itself", hint="give one or the other")
            if variants.domain != domain_id:
                raise InvalidInput(f"the spec is of domain {variants.domain!r}, not {domain_id!r}")
            spec = dump(variants)
        else:
            spec = _plain({**design, "domain": domain_id, "variants": variants, "trafficSplits": traffic_splits})
        return self._wire.send(
            StoredExperiment,
            "POST",
            "/experiments",
            {"name": name, "spec": spec},
            actor=actor,
            request_id=request_id,
            dryRun=dry_run,
        )

    def get(self, ref: str) -> StoredExperiment:
        """Give an experiment by its id or its name."""
        return self._wire.get(StoredExperiment, f"/experiments/{named(ref)}")

    def page(
        self, *, domain: str | None = None, phase: Phase | None = None, after: str | None = None, limit: int = 50
    ) -> Page[StoredExperiment]:
        """List experiments, the newest first; of one domain or in one phase when asked."""
        return self._wire.page(StoredExperiment, "/experiments", domain=domain, phase=phase, after=after, limit=limit)

    def start(
        self,
        ref: str,
        coverage: float | str | None = None,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Expose the experiment to ``coverage`` percent of its layer (what the spec says unless given)."""
        return self._do(ref, "start", actor, expected, request_id, coverage=coverage, why=why)

    def ramp(
        self,
        ref: str,
        coverage: float | str,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Raise the coverage to so many percent of the layer; nobody who takes part moves."""
        return self._do(ref, "ramp", actor, expected, request_id, coverage=coverage, why=why)

    def stop_arm(
        self,
        ref: str,
        arm: str,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Take one arm out at once: its units are served as the domain is; the last treatment ends it all."""
        return self._do(ref, "stop-arm", actor, expected, request_id, arm=arm, why=why)

    def stop(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredExperiment:
        """End the experiment: it exposes nobody any more, and does not start again."""
        return self._do(ref, "stop", actor, expected, request_id, why=why)

    def decide(
        self,
        ref: str,
        winner: str = "",
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Say what follows: that ``winner`` won, or (empty) that nobody did; one that still runs is stopped first."""
        return self._do(ref, "decide", actor, expected, request_id, winner=winner, why=why)

    def archive(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredExperiment:
        """Put an experiment away for good; its record stays."""
        return self._do(ref, "archive", actor, expected, request_id, why=why)

    def promote(self, ref: str, *, actor: str = "", why: str = "", request_id: str = "") -> StoredRollout:
        """Start the rollout of the version of the winner that was decided on."""
        path = f"/experiments/{named(ref)}/promote"
        return self._wire.send(StoredRollout, "POST", path, {"why": why}, actor=actor, request_id=request_id)

    def record_scores(
        self, ref: str, rows: Iterable[Mapping[str, Any]], *, actor: str = "", request_id: str = ""
    ) -> "ScoresTaken":
        """Take in scores of an offline experiment; see `vedette.MultiVariantTestManager.record_scores`.

        Many rows are sent in several requests, each prompt (and each cluster of them) whole in one. When one of them is
        refused those before it were kept; sent again, their prompts are left out as scored before.
        """
        from vedette.control.experiment_scores import ScoresTaken

        taken: ScoresTaken | None = None
        for batch in _batches(rows):
            path = f"/experiments/{named(ref)}/scores"
            new = self._wire.send(ScoresTaken, "POST", path, batch, actor=actor, request_id=request_id)
            taken = new if taken is None else _together(taken, new)
        assert taken is not None  # noqa: S101 - there is a batch, if an empty one
        return taken

    def results(self, ref: str) -> "ExperimentReport":
        """Say what an experiment has found so far, from everything that was recorded until now."""
        from vedette.experiments.report import ExperimentReport

        return self._wire.get(ExperimentReport, f"/experiments/{named(ref)}/results")

    def looks(
        self, ref: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
    ) -> Page[ExperimentLook]:
        """List the looks that were kept, in order."""
        return self._wire.page(
            ExperimentLook, f"/experiments/{named(ref)}/looks", after=after, limit=limit, newestFirst=newest_first
        )

    def decisions(
        self, ref: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
    ) -> Page[ExperimentDecision]:
        """List what was decided about an experiment, in order."""
        path = f"/experiments/{named(ref)}/decisions"
        return self._wire.page(ExperimentDecision, path, after=after, limit=limit, newestFirst=newest_first)

    def explain(self, ref: str, unit: str = "", attributes: Mapping[str, str] | None = None) -> "ExperimentExplanation":
        """Say where an experiment is and why, what a look at this moment decides, and what a unit sees."""
        from vedette.control.experiment_insight import ExperimentExplanation

        path = f"/experiments/{named(ref)}/explanation"
        return self._wire.get(ExperimentExplanation, path, unit=unit or None, attribute=_pairs(attributes))

    def assignment(self, ref: str, unit: str, attributes: Mapping[str, str] | None = None) -> "UnitAssignment":
        """Say which arm a unit has, by the traffic plan in force, and why it has none if it has none."""
        from vedette.control.experiment_insight import UnitAssignment

        path = f"/experiments/{named(ref)}/assignment"
        return self._wire.get(UnitAssignment, path, unit=unit, attribute=_pairs(attributes))

    def breakdown(self, ref: str, dimension: str) -> "Breakdown":
        """Analyse an experiment for each value of one of its dimensions, corrected for looking at many of them."""
        from vedette.experiments.cuts import Breakdown

        return self._wire.get(Breakdown, f"/experiments/{named(ref)}/breakdown", dimension=dimension)

    def interactions(self, ref: str, other: str | None = None) -> "tuple[Interaction, ...]":
        """Test whether an experiment's effects depend on the arm its units have in overlapping experiments."""
        from vedette.experiments.cuts import Interaction

        @record
        class Found:
            items: tuple[Interaction, ...]

        return self._wire.get(Found, f"/experiments/{named(ref)}/interactions", other=other).items

    def plan(
        self,
        spec: ExperimentSpec,
        *,
        mde: float,
        baseline: float | None = None,
        sd: float | None = None,
        power: float = 0.8,
        question: "Question" = "winner",
        units_per_day: float | None = None,
        design_effect: float = 1.0,
    ) -> "ExperimentPlan":
        """Say, before starting, how many units it takes and how long, to see an effect of ``mde``."""
        from vedette.experiments.planning import ExperimentPlan

        figures = {"mde": mde, "baseline": baseline, "sd": sd, "power": power}
        more = {"question": question, "unitsPerDay": units_per_day, "designEffect": design_effect}
        return self._wire.ask(ExperimentPlan, "/experiments/plan", _plain({"spec": spec, **figures, **more}))

    def _do(
        self, ref: str, verb: str, actor: str, expected: int | None, request_id: str, **body: object
    ) -> StoredExperiment:
        path = f"/experiments/{named(ref)}/{verb}"
        return self._wire.send(
            StoredExperiment, "POST", path, body, actor=actor, expected=expected, request_id=request_id
        )


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    """Write what people say of an experiment as JSON data; the server reads it."""
    if is_dataclass(value):
        return dump(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(f"{value} is no number that can be sent", hint="give a finite one, or leave it out")
    return value


def _pairs(attributes: Mapping[str, str] | None) -> list[str] | None:
    return [f"{name}={value}" for name, value in attributes.items()] if attributes else None


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Pack rows into lists of a size that servers take, those of one cluster or prompt together; at least one list."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        said = {name: _score(value) for name, value in row.items()}
        cluster, prompt = (str(said.get(name) or "") for name in ("cluster", "prompt"))
        said |= {name: str(said[name]) for name in ("cluster", "prompt", "variant") if said.get(name) is not None}
        groups.setdefault((cluster, "" if cluster else prompt), []).append(said)
    batch: list[Any] = []
    size = 0
    for group in groups.values():
        weight = len(json.dumps(group))
        if batch and size + weight > _BATCH:
            yield batch
            batch, size = [], 0
        batch += group
        size += weight
    yield batch


def _score(value: Any) -> Any:  # noqa: ANN401 - rows hold whatever their makers put there
    """Write a cell as JSON data: numpy's numbers as Python's, and a measure that was not observed (NaN) as null."""
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and math.isnan(plain) else _plain(plain)


def _together(before: "ScoresTaken", after: "ScoresTaken") -> "ScoresTaken":
    """Say what became of two uploads as if they had been one."""
    return evolve(
        after,
        prompts=before.prompts + after.prompts,
        incomplete=before.incomplete + after.incomplete,
        seen_before=before.seen_before + after.seen_before,
        repeated=before.repeated + after.repeated,
        verdict=after.verdict or before.verdict,
    )
