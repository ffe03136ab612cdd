"""An experiment whose rows are in a file: what was asked, what the file holds, and the answer, with no server."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vedette.cli.metric_words import ROWS, MetricWords, read_metric, read_monitoring, with_covariates
from vedette.cli.numbers import read_weights
from vedette.connectors.columns import ArmCounts, RowFile
from vedette.connectors.frames import joint_moments_from
from vedette.evidence.joint import JointMoments, Missing, joint_moments, together
from vedette.evidence.summary import FloatArray
from vedette.experiments.analysis import Analysis, Progress
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Measured, Quantile, Ratio
from vedette.experiments.monitoring import Fixed, GroupSequential
from vedette.experiments.observed import Observed, of_traffic, of_units
from vedette.experiments.report import ExperimentReport, report
from vedette.experiments.spec import Comparisons
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.stats.cautions import CAUTIONS, Caution
from vedette.stats.estimates import share_variance
from vedette.stats.multiplicity import Method, Multiplicity
from vedette.stats.order import clustered_quantile, quantile_estimate
from vedette.stats.srm import Split, fixed_check, sequential_check

MOST_ARMS = 100
_CONTROLS = ("control", "base", "baseline", "stable", "a", "A")
_MISSING_DIFFERS = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked on the command line, as it was said."""

    by: str
    metrics: Sequence[str]
    control: str = ""
    weights: str = ""
    unknown_split: bool = False
    covariates: Mapping[str, str]
    strata: str = ""
    cluster: str = ""
    monitoring: str = "fixed"
    earlier_looks: Sequence[float] = ()
    comparisons: Comparisons = "control"
    correction: Method = "holm"
    alpha: float = 0.05
    missing: Missing = "refuse"


@record
class FileAnswer:
    """The answer of a file.

    Attributes:
        file: What was read.
        control: The arm the others are compared with.
        report: All that was found.
        notes: How the file was read.
        cautions: What the warnings in the report mean and what to do.
    """

    file: str
    control: str
    report: ExperimentReport
    notes: tuple[str, ...]
    cautions: dict[Caution, str]


def judge_file(path: str, asked: Asked) -> tuple[FileAnswer, Analysis]:
    """Read a file and say what it shows.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read, or does not hold what was asked for; the message says what it holds.
    """
    table = RowFile(path, labels=(asked.by, asked.cluster, asked.strata))
    table.require(*(name for name in (asked.by, asked.cluster, asked.strata) if name))
    words = with_covariates([read_metric(said, table.columns) for said in asked.metrics], asked.covariates)
    if asked.strata and asked.cluster:
        raise InvalidInput("strata and clusters cannot be asked for together", hint="leave one of them out")
    columns = tuple(dict.fromkeys(name for it in words for name in it.columns()))
    summed = tuple(dict.fromkeys(name for it in words if not it.quantile for name in it.columns()))
    counts = table.arms(asked.by, columns, asked.cluster, needed=summed)
    control = _control(asked, counts, path)
    arms = (control, *(arm for arm in counts if arm != control))
    binary = frozenset.intersection(*(it.binary for it in counts.values()))
    metrics = tuple(it.measured(binary=it.column in binary, clustered=bool(asked.cluster)) for it in words)
    experiment = Experiment(
        variants=arms,
        metrics=metrics,
        weights=None if asked.unknown_split else read_weights(asked.weights, arms) if asked.weights else (),
        comparisons=asked.comparisons,
        alpha=asked.alpha,
        monitoring=read_monitoring(asked.monitoring),
        multiplicity=Multiplicity(method=asked.correction),
    )
    _whole(counts, asked, path)
    observed = _observe(table, asked, experiment, {arm: counts[arm] for arm in arms}, summed, binary)
    analysis = experiment.judge(observed, progress=_progress(experiment, asked))
    found = report(analysis, dict(observed.units))
    warned = [row.warnings for row in found.comparisons] + [row.warnings for row in found.estimates]
    cautions = dict.fromkeys(caution for warnings in warned for caution in warnings)
    answer = FileAnswer(
        file=path,
        control=control,
        report=found,
        notes=tuple(_notes(asked, experiment, words, counts, binary)),
        cautions={caution: CAUTIONS[caution] for caution in cautions},
    )
    return answer, analysis


def _control(asked: Asked, counts: Mapping[str, ArmCounts], path: str) -> str:
    if len(counts) < 2:
        raise InvalidInput(
            f"{path} holds one arm only, {next(iter(counts))!r} in {asked.by!r}",
            hint="give the file with the rows of all arms, or name their column with --by",
        )
    if len(counts) > MOST_ARMS:
        raise InvalidInput(
            f"{asked.by!r} has {len(counts):,} different values, which can hardly be arms",
            hint="name the column of arms",
        )
    if asked.control and asked.control not in counts:
        raise InvalidInput(f"there is no arm {asked.control!r}", hint=f"the arms are {', '.join(counts)}")
    return asked.control or next((name for name in _CONTROLS if name in counts), next(iter(counts)))


def _whole(counts: Mapping[str, ArmCounts], asked: Asked, path: str) -> None:
    """Refuse what cannot be analysed for want of values, saying where they are missing."""
    for arm, it in counts.items():
        for column, known in it.known.items():
            if known == 0:
                raise InvalidInput(
                    f"{column!r} has no value in any of the {it.rows:,} rows of {arm}",
                    hint="check that it is recorded there, or leave that metric out",
                )
            if known < it.rows and asked.missing == "refuse":
                raise InvalidInput(
                    f"{column!r} of {path} lacks {it.rows - known:,} of {it.rows:,} values in {arm}",
                    hint="--missing zero if nothing there means 0, --missing drop to leave those rows out",
                )


def _observe(
    table: RowFile,
    asked: Asked,
    experiment: Experiment,
    counts: Mapping[str, ArmCounts],
    summed: Sequence[str],
    binary: frozenset[str],
) -> Observed:
    """Take the moments in one pass, the values of quantiles beside them, and check the split of what was assigned."""
    strata, moments = _moments(table, asked, experiment.variants, summed)
    if not summed:  # quantiles only
        moments = {arm: joint_moments({ROWS: np.ones(it.rows)}) for arm, it in counts.items()}
    values, effects = _quantiles(table, asked, experiment)
    units = {arm: float(it.units) for arm, it in counts.items()}
    split = None
    if experiment.weights:
        promised = Split(tuple(units.values()), tuple(experiment.weights))
        split = fixed_check(promised) if isinstance(experiment.monitoring, Fixed) else sequential_check([promised])
    care = _cautions(asked, experiment.metrics, counts)
    if asked.cluster:
        return of_traffic(
            experiment.metrics,
            moments,
            requests=units,
            clock=units,
            split=split,
            histograms=values,
            design_effects=effects,
            shares=_shares(experiment.metrics, moments, binary),
            cautions=care,
        )
    observed = of_units(experiment.metrics, moments, strata=strata, values=values)
    known = observed.cautions or {}
    care = {key: (*known.get(key, ()), *care.get(key, ())) for key in {**known, **care}}
    return replace(observed, units=units, split=split, cautions=care)


def _shares(
    metrics: Sequence[Measured], moments: Mapping[str, JointMoments], binary: frozenset[str]
) -> dict[str, FloatArray]:
    """Give the least variance of each share of rows, as if they were independent."""
    found = {}
    for metric in metrics:
        if (
            isinstance(metric, Ratio)
            and metric.denominator == ROWS
            and metric.column in binary
            and not metric.covariate
        ):
            sums = [(it.of(metric.column), it.of(ROWS)) for it in moments.values()]
            found[metric.name] = share_variance(
                np.array([top.mean * top.n for top, _ in sums]), np.array([rows.mean * rows.n for _, rows in sums])
            )
    return found


def _moments(
    table: RowFile, asked: Asked, arms: Sequence[str], summed: Sequence[str]
) -> tuple[dict[str, dict[str, JointMoments]] | None, dict[str, JointMoments]]:
    """Give the moments by stratum and arm, where strata are asked for, and by arm."""
    if not summed:
        return None, {}
    if not asked.strata:
        plain = joint_moments_from(
            table.relation, by=asked.by, columns=summed, cluster=asked.cluster or None, missing=asked.missing
        )
        return None, {arm: plain[arm] for arm in arms}
    both = joint_moments_from(table.relation, by=asked.by, columns=summed, strata=asked.strata, missing=asked.missing)
    strata: dict[str, dict[str, JointMoments]] = {}
    for (arm, stratum), part in both.items():
        strata.setdefault(stratum, {})[arm] = part
    return strata, {arm: together([part for (of, _), part in both.items() if of == arm]) for arm in arms}


def _quantiles(
    table: RowFile, asked: Asked, experiment: Experiment
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Give the values of the columns quantiles are taken of, and by how much clusters widen their variance."""
    values: dict[str, dict[str, FloatArray]] = {}
    effects: dict[str, dict[str, float]] = {}
    for metric in experiment.metrics:
        if not isinstance(metric, Quantile):
            continue
        missing_as = 0.0 if asked.missing == "zero" else None
        by_arm = table.values(asked.by, metric.column, asked.cluster, missing_as=missing_as)
        values[metric.column] = {arm: found for arm, (found, _) in by_arm.items()}
        if asked.cluster:
            own = effects.setdefault(metric.column, {})
            for arm, (found, clusters) in by_arm.items():
                plain = quantile_estimate(found, metric.quantile)
                robust = clustered_quantile(found, clusters, metric.quantile)
                wider = robust.variance / plain.variance
                own[arm] = max(own.get(arm, 1.0), wider if math.isfinite(wider) else plain.n / robust.n)
    return values, effects


def _cautions(
    asked: Asked, metrics: Sequence[Measured], counts: Mapping[str, ArmCounts]
) -> dict[tuple[str, str], tuple[Caution, ...]]:
    """Say of each metric and arm whether values are missing, and whether more are in one arm than in another."""
    if asked.missing == "refuse":
        return {}
    found: dict[tuple[str, str], tuple[Caution, ...]] = {}
    for metric in metrics:
        named = [name for name in metric.quantity().columns() if name != ROWS]
        absent = {arm: max(it.rows - it.known[name] for name in named) for arm, it in counts.items()}
        if not any(absent.values()):
            continue
        rows = tuple(float(it.rows) for it in counts.values())
        differs = fixed_check(Split(tuple(map(float, absent.values())), rows)).p_value < _MISSING_DIFFERS
        said = (Caution.PARTLY_OBSERVED, Caution.MISSING_DIFFERS) if differs else (Caution.PARTLY_OBSERVED,)
        found |= {(metric.name, arm): said for arm in counts}
    return found


def _progress(experiment: Experiment, asked: Asked) -> Progress | None:
    """Give the looks that were taken before, as parts of the planned units."""
    plan = experiment.monitoring
    if not asked.earlier_looks:
        return None
    if not isinstance(plan, GroupSequential):
        raise InvalidInput("earlier looks matter to a sequential design only", hint="--monitoring sequential:UNITS")
    if list(asked.earlier_looks) != sorted(set(asked.earlier_looks)) or asked.earlier_looks[0] <= 0:
        raise InvalidInput("earlier looks are numbers of units, each larger than the one before", hint="5000,10000")
    return Progress(looks=tuple(units / plan.units for units in asked.earlier_looks))


def _notes(
    asked: Asked,
    experiment: Experiment,
    words: Sequence[MetricWords],
    counts: Mapping[str, ArmCounts],
    binary: frozenset[str],
) -> Iterator[str]:
    """Say how the file was read and the metrics understood."""
    shares = [it.called for it in words if it.column in binary and not it.denominator and not it.quantile]
    if shares:
        yield f"{', '.join(shares)}: only 0 and 1, so a proportion."
    lower = [metric.name for metric in experiment.metrics if metric.better == "lower"]
    if lower:
        yield f"Lower is better in {', '.join(lower)}; say :higher or :lower after a metric to choose."
    if asked.cluster:
        rows = sum(it.rows for it in counts.values())
        units = sum(it.units for it in counts.values())
        yield f"{rows:,} rows of {units:,} units ({asked.cluster}): means are per row, and units are what varies."
    left = {arm: it.rows - it.whole for arm, it in counts.items()}
    if any(left.values()):
        did = "read as 0 where missing" if asked.missing == "zero" else "left out, as they lack a value"
        yield f"Rows {did}: {', '.join(f'{arm} {count:,} of {counts[arm].rows:,}' for arm, count in left.items())}."
    if not asked.unknown_split and not asked.weights:
        yield "The split is taken to be meant equal; say --weights, or --unknown-split if it is not known."
    if isinstance(experiment.monitoring, Fixed):
        yield "Judged as the one analysis that was planned; if you look again and again, say --monitoring anytime."
    elif isinstance(experiment.monitoring, GroupSequential) and not asked.earlier_looks:
        yield "Judged as the first look of the design; say --earlier-looks with the units at those before."
