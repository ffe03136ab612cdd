"""A batch of outcomes by column: how it is spooled, added up and written to segments.

Texts that repeat (domains, versions, exposures …) are kept once, with a code for each row; a measure keeps the rows
that have it and their values. Exposures and dimensions stay the JSON texts they are stored as, for most of their rows
are alike, and whoever reads them compares each text once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct, json, msgpack
from numpy.typing import NDArray

from vedette.evidence.outcome import Exposure, Outcome, OutcomeStatus
from vedette.evidence.summary import FloatArray
from vedette.kernel.hashing import bucket_of, seed_of
from vedette.lake.clock import microseconds, moment

Rows = NDArray[np.intp]
Measures = Mapping[str, tuple[Rows, FloatArray]]
"""By measure: the rows that have it, in order, and their values."""

TEXTS = ("domain", "assigned", "served", "status", "exposures", "dimensions")
UNIT = "unit"
"""The text of pseudonyms of units; columns in which no row has one are without it."""

_CLUSTER = seed_of("cluster")
_EXPOSURES = json.Decoder(list[tuple[str, str, int]])
_DIMENSIONS = json.Decoder(dict[str, str])


class Coded(NamedTuple):
    """Texts that repeat: each of them once, and the place of every row's; "" for none."""

    values: list[str]
    codes: Rows

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Coded":
        """Give each text its code."""
        places: dict[str, int] = {}
        codes = [places.setdefault(text, len(places)) for text in texts]
        return cls(list(places), np.array(codes, np.intp))

    def expanded(self) -> NDArray[np.object_]:
        """Give the text of every row."""
        return np.array(self.values, object)[self.codes]


class _Stored(Struct, array_like=True):
    """The stored form: numbers are little-endian."""

    ids: list[str]
    at: bytes
    texts: dict[str, tuple[list[str], bytes]]
    plan_revision: bytes
    bucket: bytes
    cluster: bytes
    measures: dict[str, tuple[bytes, bytes]]


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(_Stored).decode


@dataclass(frozen=True, slots=True)
class Columns:
    """Outcomes by column, all of one length.

    Attributes:
        ids: Ids.
        at: Microseconds since 1970.
        texts: Of each of `TEXTS`, the codes; exposures and dimensions as JSON, "" for none. `UNIT` where there are any.
        plan_revision: Plan revisions.
        bucket: Buckets, -1 for none.
        cluster: The bucket in which experiments count a row: its unit's, or, for one without a unit, one by its id.
        measures: Measures.
    """

    ids: list[str]
    at: NDArray[np.int64]
    texts: Mapping[str, Coded]
    plan_revision: NDArray[np.int64]
    bucket: NDArray[np.int64]
    cluster: NDArray[np.int64]
    measures: Measures

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Columns":
        """Lay outcomes out by column."""
        texts = {name: Coded.of(map(text, outcomes)) for name, text in _TEXT.items()}
        if any(outcome.unit for outcome in outcomes):
            texts[UNIT] = Coded.of(outcome.unit for outcome in outcomes)
        return cls(
            ids=[outcome.id for outcome in outcomes],
            at=np.array([microseconds(outcome.at) for outcome in outcomes], np.int64),
            texts=texts,
            plan_revision=np.array([outcome.plan_revision for outcome in outcomes], np.int64),
            bucket=np.array([outcome.bucket for outcome in outcomes], np.int64),
            cluster=np.array([_cluster_of(outcome) for outcome in outcomes], np.int64),
            measures=by_measure(outcome.measures for outcome in outcomes),
        )

    @classmethod
    def decoded(cls, stored: bytes) -> "Columns":
        """Read what `encoded` wrote."""
        found = _decode(stored)
        return cls(
            ids=found.ids,
            at=np.frombuffer(found.at, "<i8"),
            texts={name: Coded(values, _wide(codes, "<u2")) for name, (values, codes) in found.texts.items()},
            plan_revision=_wide(found.plan_revision, "<i4"),
            bucket=_wide(found.bucket, "<i2"),
            cluster=_wide(found.cluster, "<i2"),
            measures={
                name: (_wide(rows, "<u2"), np.frombuffer(values, "<f8"))
                for name, (rows, values) in found.measures.items()
            },
        )

    def encoded(self) -> bytes:
        """Write the columns; a batch has fewer rows than two bytes count."""
        return _encode(
            _Stored(
                ids=self.ids,
                at=self.at.astype("<i8").tobytes(),
                texts={name: (values, codes.astype("<u2").tobytes()) for name, (values, codes) in self.texts.items()},
                plan_revision=self.plan_revision.astype("<i4").tobytes(),
                bucket=self.bucket.astype("<i2").tobytes(),
                cluster=self.cluster.astype("<i2").tobytes(),
                measures={
                    name: (rows.astype("<u2").tobytes(), values.astype("<f8").tobytes())
                    for name, (rows, values) in self.measures.items()
                },
            )
        )

    def __len__(self) -> int:
        return len(self.ids)

    def outcomes(self, wanted: Iterable[int] | None = None) -> list[Outcome]:
        """Give the outcomes of some rows, or of all."""
        rows = list(range(len(self)) if wanted is None else wanted)
        measures: dict[int, dict[str, float]] = {row: {} for row in rows}
        for name, (held, values) in self.measures.items():
            for row, value in zip(held.tolist(), values.tolist(), strict=True):
                if row in measures:
                    measures[row][name] = value
        texts = {name: (values, codes.tolist()) for name, (values, codes) in self.texts.items()}
        return [
            outcome_of(
                {
                    "id": self.ids[row],
                    "at_micros": int(self.at[row]),
                    "plan_revision": int(self.plan_revision[row]),
                    "bucket": int(self.bucket[row]),
                    **{name: values[codes[row]] for name, (values, codes) in texts.items()},
                },
                measures[row],
            )
            for row in rows
        ]


def outcome_of(row: Mapping[str, Any], measures: Mapping[str, float]) -> Outcome:
    """Read an outcome from its row and its measures."""
    return Outcome(
        id=row["id"],
        domain=row["domain"],
        at=moment(row["at_micros"]),
        assigned=row["assigned"],
        served=row["served"],
        plan_revision=row["plan_revision"],
        bucket=row["bucket"],
        status=OutcomeStatus(row["status"]),
        measures=measures,
        exposures=tuple(
            Exposure(experiment=experiment, arm=arm, epoch=epoch)
            for experiment, arm, epoch in exposures_of(row["exposures"])
        ),
        dimensions=_DIMENSIONS.decode(row["dimensions"]) if row["dimensions"] else {},
        unit=row.get(UNIT) or "",
    )


def exposures_of(text: str) -> list[tuple[str, str, int]]:
    """Read experiment, arm and epoch of each exposure."""
    return _EXPOSURES.decode(text) if text else []


def by_measure(rows: Iterable[Mapping[str, float]]) -> dict[str, tuple[Rows, FloatArray]]:
    """Lay the measures of rows out by measure."""
    alike: dict[tuple[str, ...], tuple[list[int], list[list[float]]]] = {}  # nearly all rows have the same measures
    for row, measures in enumerate(rows):
        names = tuple(measures)
        held, values = alike.get(names) or alike.setdefault(names, ([], []))
        held.append(row)
        values.append(list(measures.values()))
    found: dict[str, tuple[Rows, FloatArray]] = {}
    for names, (held, values) in alike.items():
        table = np.array(values, np.float64).reshape(len(held), len(names)).T
        found = joined(found, {name: (np.array(held), column) for name, column in zip(names, table, strict=True)})
    return found


def joined(one: Measures, other: Measures) -> dict[str, tuple[Rows, FloatArray]]:
    """Give the measures of both, of which no row has the same one twice."""
    found = dict(one)
    for name, (rows, values) in other.items():
        if name in found:
            all_rows = np.concatenate((found[name][0], rows))
            order = np.argsort(all_rows)
            found[name] = all_rows[order], np.concatenate((found[name][1], values))[order]
        else:
            found[name] = rows, values
    return found


def json_text(value: object) -> str:
    """Write a value as the JSON text that is stored and searched for."""
    return json.encode(value).decode()


def _exposures(outcome: Outcome) -> str:
    if not outcome.exposures:
        return ""
    return json_text([(each.experiment, each.arm, each.epoch) for each in outcome.exposures])


def _dimensions(outcome: Outcome) -> str:
    return json_text(outcome.dimensions) if outcome.dimensions else ""


_TEXT: Mapping[str, Callable[[Outcome], str]] = {
    "domain": attrgetter("domain"),
    "assigned": attrgetter("assigned"),
    "served": attrgetter("served"),
    "status": lambda outcome: outcome.status.value,
    "exposures": _exposures,
    "dimensions": _dimensions,
}


def _cluster_of(outcome: Outcome) -> int:
    if outcome.bucket >= 0 or not outcome.exposures:
        return outcome.bucket
    return bucket_of(_CLUSTER, outcome.id)


def _wide(stored: bytes, form: str) -> NDArray[np.int64]:
    return np.frombuffer(stored, form).astype(np.int64)
