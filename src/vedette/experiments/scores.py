"""Scores of an offline experiment: rows of prompt, variant and measures become joint moments of complete prompts.

Every variant answers the same prompts, so a prompt counts when all of them answered it in all measures; half a pair
says nothing about a difference. Prompts that belong together (one document, one conversation) are one row, with the
sums of their measures and how many prompts those are of, as live traffic has it of its clusters: the spread between
rows is the cluster-robust one. A prompt that belongs to nothing is a row by itself.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vedette.evidence.joint import JointMoments, joint_moments
from vedette.evidence.summary import FloatArray
from vedette.experiments.metrics import Measured, counted
from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import digest

DIGEST = 16
"""Characters of a prompt's digest: 64 bits tell a million prompts apart but for a chance of 3e-8."""

_COUNT = counted("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What became of some rows.

    Attributes:
        moments: Joint moments, a row a cluster, columns ``arm:measure`` and ``arm:measure#`` (how many prompts).
        digests: Of the prompts that are in them, in order.
        incomplete: Prompts left out because a variant or a measure is missing.
        seen_before: Prompts left out because they were scored before.
        repeated: Rows left out because a row of the same prompt and variant came before; the first one counts.
    """

    moments: JointMoments
    digests: tuple[str, ...]
    incomplete: int
    seen_before: int
    repeated: int


def score(
    rows: Iterable[Mapping[str, Any]],
    arms: Sequence[str],
    metrics: Sequence[Measured],
    known: Collection[str] = (),
) -> Scored:
    """Gather rows into joint moments of the prompts that all arms answered.

    Args:
        rows: One a prompt and variant: ``prompt``, ``variant``, measures by name, and ``cluster`` where there is one. A
            measure that is absent, None or NaN was not observed. A cluster's prompts come in one go.
        arms: The variants.
        metrics: What is measured.
        known: Digests of prompts that were scored before.

    Raises:
        InvalidInput: A row lacks prompt or variant, names an unknown variant or two clusters for a prompt, or a
            measure is no finite number.
    """
    columns = tuple(dict.fromkeys(name for metric in metrics for name in metric.quantity().columns()))
    measures = tuple(dict.fromkeys(name.removesuffix(_COUNT) for name in columns))
    answers: dict[str, dict[str, tuple[float, ...]]] = {}
    clusters: dict[str, str] = {}
    repeated = 0
    for number, row in enumerate(rows, start=1):
        prompt, arm = _name(row, "prompt", number), _name(row, "variant", number)
        if arm not in arms:
            raise InvalidInput(f"row {number} is of {arm!r}, which is no variant", hint=f"variants: {', '.join(arms)}")
        cluster = _name(row, "cluster", number) if row.get("cluster") not in {None, ""} else ""
        if clusters.setdefault(prompt, cluster) != cluster:
            raise InvalidInput(f"row {number} puts its prompt into another cluster than an earlier row did")
        if arm in answers.setdefault(prompt, {}):
            repeated += 1
            continue
        answers[prompt][arm] = tuple(_value(row, name, number) for name in measures)
    before = set(known)
    taken, digests, incomplete, seen_before = [], [], 0, 0
    for prompt, by_arm in answers.items():
        mark = digest(prompt)[-DIGEST:]
        if len(by_arm) < len(arms) or any(math.isnan(value) for values in by_arm.values() for value in values):
            incomplete += 1
        elif mark in before:
            seen_before += 1
        else:
            taken.append(prompt)
            digests.append(mark)
    return Scored(
        moments=_moments(taken, answers, clusters, arms, measures, columns),
        digests=tuple(digests),
        incomplete=incomplete,
        seen_before=seen_before,
        repeated=repeated,
    )


def _moments(
    prompts: Sequence[str],
    answers: Mapping[str, Mapping[str, tuple[float, ...]]],
    clusters: Mapping[str, str],
    arms: Sequence[str],
    measures: Sequence[str],
    columns: Sequence[str],
) -> JointMoments:
    """Sum up prompts by cluster; every prompt without one is a cluster by itself."""
    place: dict[tuple[str, str], int] = {}
    of = [place.setdefault((clusters[it], "" if clusters[it] else it), len(place)) for it in prompts]
    index = np.array(of, np.intp)
    counts = np.bincount(index, minlength=len(place)).astype(np.float64)
    table: dict[str, FloatArray] = {}
    for arm in arms:
        for column in columns:
            if column.endswith(_COUNT):
                table[f"{arm}:{column}"] = counts
                continue
            at = measures.index(column)
            values = np.array([answers[prompt][arm][at] for prompt in prompts], np.float64)
            table[f"{arm}:{column}"] = np.bincount(index, weights=values, minlength=len(place)).astype(np.float64)
    return joint_moments(table)


def _name(row: Mapping[str, Any], field: str, number: int) -> str:
    said = row.get(field)
    if said is None or said == "":
        raise InvalidInput(f"row {number} names no {field}", hint="every row has prompt, variant, and its measures")
    return str(said)


def _value(row: Mapping[str, Any], measure: str, number: int) -> float:
    said = row.get(measure)
    if said is None or said == "":
        return math.nan
    try:
        value = float(said)
    except (TypeError, ValueError):
        value = math.inf
    if math.isinf(value):
        raise InvalidInput(f"row {number} says {measure}={said!r}, which is no finite number", hint="0.87, 1, or true")
    return value
