"""Models judged on the same items, in a file with a row for each answer: pivoted, compared item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vedette.cli.metric_words import MetricWords, read_metric
from vedette.connectors.columns import RowFile
from vedette.experiments.analysis import Analysis
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Measured, Ratio, counted
from vedette.experiments.report import ExperimentReport, report
from vedette.experiments.scores import Scored, score
from vedette.experiments.spec import Comparisons
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.stats.cautions import CAUTIONS, Caution
from vedette.stats.clusters import MINIMUM_CLUSTERS
from vedette.stats.multiplicity import Method, Multiplicity
from vedette.stats.paired import mcnemar

MOST_MODELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsAsked:
    """What was asked on the command line, as it was said."""

    item: str
    by: str
    metrics: Sequence[str]
    cluster: str = ""
    control: str = ""
    comparisons: Comparisons = "control"
    correction: Method = "holm"
    alpha: float = 0.05


@record
class TwoModels:
    """How often two models were right on the same items; the interval is Tango's, the p-value of its own test."""

    metric: str
    treatment: str
    reference: str
    both: int
    treatment_only: int
    reference_only: int
    neither: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


@record
class PairsAnswer:
    """The answer of a file of judged items.

    Attributes:
        file: What was read.
        control: The model the others are compared with.
        items: Items that every model answered in every metric.
        incomplete: Items left out, as an answer is missing.
        clusters: How many groups the items came in; as many as items where none were named.
        report: All that was found.
        right_and_wrong: Of metrics of 0 and 1, the tables behind it (not where items come in clusters).
        notes: How the file was read.
        cautions: What the warnings mean and what to do.
    """

    file: str
    control: str
    items: int
    incomplete: int
    clusters: int
    report: ExperimentReport
    right_and_wrong: tuple[TwoModels, ...]
    notes: tuple[str, ...]
    cautions: dict[Caution, str]


def judge_pairs(path: str, asked: PairsAsked) -> tuple[PairsAnswer, Analysis]:
    """Read a file and say which model is better on the same items.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read, or does not hold what was asked for.
    """
    labels = {"prompt": asked.item, "variant": asked.by, **({"cluster": asked.cluster} if asked.cluster else {})}
    table = RowFile(path, labels=tuple(labels.values()))
    table.require(*labels.values())
    words = [read_metric(said, table.columns) for said in asked.metrics]
    if other := next((it for it in words if it.denominator or it.quantile), None):
        raise InvalidInput(
            f"{other.called} cannot be compared item by item", hint="name a column: its mean over the items is compared"
        )
    rows = table.rows(labels, {it.column: it.column for it in words})
    models = sorted({row["variant"] for row in rows if row["variant"] is not None})
    if not 2 <= len(models) <= MOST_MODELS:
        raise InvalidInput(
            f"{asked.by!r} names {len(models):,} models", hint="2 to 100 can be compared: name their column with --by"
        )
    if asked.control and asked.control not in models:
        raise InvalidInput(f"there is no model {asked.control!r}", hint=f"the models are {', '.join(models)}")
    control = asked.control or models[0]
    models = [control, *(model for model in models if model != control)]
    metrics = tuple(_measured(it) for it in words)
    scored = score(rows, models, metrics)
    items = len(scored.digests)
    if not items:
        raise InvalidInput(
            f"no item of {path} was answered by all of {', '.join(models)}",
            hint=f"{scored.incomplete:,} are incomplete; check {asked.item!r}, and that every metric has values",
        )
    experiment = Experiment(
        variants=models,
        metrics=metrics,
        control=control,
        weights=None,
        comparisons=asked.comparisons,
        alpha=asked.alpha,
        multiplicity=Multiplicity(method=asked.correction),
        min_units=int(MINIMUM_CLUSTERS),
    )
    analysis = experiment.analyze_pairs(scored.moments)
    found = report(analysis, dict(analysis.observed.units))
    warned = [row.warnings for row in found.comparisons] + [row.warnings for row in found.estimates]
    cautions = dict.fromkeys(caution for warnings in warned for caution in warnings)
    answer = PairsAnswer(
        file=path,
        control=control,
        items=items,
        incomplete=scored.incomplete,
        clusters=int(scored.moments.n),
        report=found,
        right_and_wrong=() if asked.cluster else tuple(_tables(analysis, rows, words, models, asked.alpha)),
        notes=_notes(asked, scored, items),
        cautions={caution: CAUTIONS[caution] for caution in cautions},
    )
    return answer, analysis


def _measured(it: MetricWords) -> Measured:
    """A mean over items, as the sum over the count, so that items may come in clusters of any size."""
    return Ratio(it.column, counted(it.column), name=it.called, role=it.role, better=it.better, margin=it.margin)


def _tables(
    analysis: Analysis,
    rows: Sequence[Mapping[str, object]],
    words: Sequence[MetricWords],
    models: Sequence[str],
    alpha: float,
) -> list[TwoModels]:
    """Cross two models' answers on the complete items, for metrics of 0 and 1."""
    answers: dict[object, dict[object, tuple[object, ...]]] = {}
    for row in rows:
        answers.setdefault(row["prompt"], {}).setdefault(row["variant"], tuple(row[it.column] for it in words))
    whole = [
        it
        for it in answers.values()
        if len(it) == len(models) and all(value == value and value is not None for of in it.values() for value in of)  # noqa: PLR0124 - only NaN differs from itself
    ]
    found = []
    for place, it in enumerate(words):
        values = {model: np.array([answer[model][place] for answer in whole], np.float64) for model in models}
        if not all(np.isin(of, (0.0, 1.0)).all() for of in values.values()):
            continue
        for pair in analysis.comparisons:
            if pair.metric != it.called:
                continue
            first, second = values[pair.treatment] == 1.0, values[pair.reference] == 1.0
            counts = [int((first & second).sum()), int((first & ~second).sum())]
            counts += [int((~first & second).sum()), int((~first & ~second).sum())]
            judged = mcnemar([counts[:2], counts[2:]], alpha=alpha)
            found.append(
                TwoModels(
                    metric=it.called,
                    treatment=pair.treatment,
                    reference=pair.reference,
                    both=counts[0],
                    treatment_only=counts[1],
                    reference_only=counts[2],
                    neither=counts[3],
                    difference=judged.estimate,
                    low=judged.low,
                    high=judged.high,
                    p_value=judged.p_value,
                )
            )
    return found


def _notes(asked: PairsAsked, scored: Scored, items: int) -> tuple[str, ...]:
    said = [f"{items:,} items were answered by every model in every metric; {scored.incomplete:,} others are left out."]
    if scored.repeated:
        said.append(f"{scored.repeated:,} later answers of a model to the same item are left out.")
    if asked.cluster:
        said.append(f"They come in {int(scored.moments.n):,} groups by {asked.cluster}, the units that vary.")
    return tuple(said)
