"""Sums taken by polars, of its own frames, lazy ones without ever holding their rows (the streaming engine)."""

from collections.abc import Mapping
from functools import reduce
from operator import add

import polars as pl

from vedette.connectors.frames_sums import (
    Faults,
    GroupSums,
    Pivots,
    Question,
    read_sums,
    require,
    require_numbers,
)
from vedette.kernel.errors import InvalidInput


class PolarsTable:
    """A lazy frame as a table: every pass runs its plan again, over the needed columns only."""

    __slots__ = ("_frame", "_schema")

    def __init__(self, frame: pl.LazyFrame, schema: pl.Schema) -> None:
        self._frame = frame
        self._schema = schema

    def sums(self, question: Question, pivots: Pivots | None) -> list[GroupSums]:
        """Sum in one pass (see `frames_sums.Table`)."""
        groups = [f"g{place}" for place in range(len(question.groups))]
        values = [f"c{place}" for place in range(len(question.columns))]
        rows = self._read(question)
        counts = [pl.len(), _together(values).count().alias("whole"), _together(values).count().alias("units")]
        lost = pl.lit(0).first().alias("lost")
        if question.missing == "drop":
            rows = rows.with_columns(pl.when(_together(values).is_not_null()).then(pl.col(values)))
        if question.cluster is not None:
            rows = _clusters(rows, groups, values)
            values = [*values, f"c{len(values)}"]
            counts = [pl.col("seen").sum(), pl.col("whole").sum(), _together(values).count().alias("units")]
            lost = pl.col("cluster").is_null().sum().alias("lost")
        if pivots is None:
            origin = zip(values, question.origin, strict=True)
            rows = rows.with_columns(pl.col(value) - pivot for value, pivot in origin if pivot)
        else:
            rows = _about(pivots, rows, groups, values)
        sums = [pl.col(value).sum() for value in values]
        sums += [
            (pl.col(values[left]) * pl.col(values[right])).sum().alias(f"{left} {right}")
            for left, right in question.products
        ]
        found = _collected(rows.group_by(groups).agg(*counts, lost, *sums).select(pl.col(groups), pl.exclude(groups)))
        return read_sums(found.rows(), question)

    def faults(self, question: Question) -> Mapping[str, Faults]:
        """Count missing and infinite values in one pass (see `frames_sums.Table`)."""
        values = [pl.col(f"c{place}") for place in range(len(question.columns))]
        counts = [
            count.alias(f"{what} {place}")
            for place, value in enumerate(values)
            for what, count in (
                ("missing", value.fill_nan(None).is_null().sum()),
                ("infinite", value.is_infinite().sum()),
            )
        ]
        rows, *found = _collected(self._read(question).select(pl.len(), *counts)).row(0)
        return {
            column: Faults(rows=rows, missing=found[2 * place], infinite=found[2 * place + 1])
            for place, column in enumerate(question.columns)
        }

    def _read(self, question: Question) -> pl.LazyFrame:
        """Each row's group as text, its cluster, and its values as doubles."""
        groups = [self._label(column).alias(f"g{place}") for place, column in enumerate(question.groups)]
        clusters = [] if question.cluster is None else [pl.col(question.cluster).alias("cluster")]
        values = [pl.col(column).cast(pl.Float64).alias(f"c{place}") for place, column in enumerate(question.columns)]
        if question.missing != "refuse":
            values = [value.fill_nan(None) for value in values]
        if question.missing == "zero":
            values = [value.fill_null(0.0) for value in values]
        return self._frame.select(*groups, *clusters, *values)

    def _label(self, column: str) -> pl.Expr:
        value = pl.col(column)
        return (value.fill_nan(None) if self._schema[column].is_float() else value).cast(pl.String)


def from_polars(frame: pl.DataFrame | pl.LazyFrame, question: Question) -> PolarsTable:
    """Give the table that a polars frame is.

    Raises:
        InvalidInput: It cannot be read, or lacks a column or holds something else in it.
    """
    lazy = frame.lazy()
    try:
        schema = lazy.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(f"this frame cannot be read: {str(error).splitlines()[0]}") from error
    require(question.needed, schema)
    numbers = {name for name, kind in schema.items() if kind.is_numeric() or kind in {pl.Boolean(), pl.Null()}}
    require_numbers(question.columns, {name: str(kind) for name, kind in schema.items()}, numbers)
    return PolarsTable(lazy, schema)


def _collected(plan: pl.LazyFrame) -> pl.DataFrame:
    try:
        return plan.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InvalidInput(f"this frame cannot be read: {str(error).splitlines()[0]}") from error


def _together(values: list[str]) -> pl.Expr:
    """Null where any of the values is."""
    return reduce(add, map(pl.col, values))


def _clusters(rows: pl.LazyFrame, groups: list[str], values: list[str]) -> pl.LazyFrame:
    """One row a cluster; a cluster none of whose rows is whole has no values, so that it is not counted."""
    whole = _together(values).count()
    clusters = rows.group_by([*groups, "cluster"]).agg(
        *(pl.col(value).sum() for value in values), whole.alias("whole"), pl.len().alias("seen")
    )
    counted = [pl.col(value) for value in values] + [pl.col("whole").cast(pl.Float64).alias(f"c{len(values)}")]
    return clusters.with_columns(
        pl.when(pl.col("whole") > 0).then(value).alias(value.meta.output_name()) for value in counted
    )


def _about(pivots: Pivots, rows: pl.LazyFrame, groups: list[str], values: list[str]) -> pl.LazyFrame:
    """The values less the pivots of their group."""
    listed = {name: [group[place] for group in pivots] for place, name in enumerate(groups)}
    names = [f"p{place}" for place in range(len(values))]
    means = {name: [float(pivot[place]) for pivot in pivots.values()] for place, name in enumerate(names)}
    frame = pl.LazyFrame(
        {**listed, **means}, schema={**dict.fromkeys(groups, pl.String), **dict.fromkeys(names, pl.Float64)}
    )
    joined = rows.join(frame, on=groups)
    return joined.with_columns(pl.col(value) - pl.col(name) for value, name in zip(values, names, strict=True))
