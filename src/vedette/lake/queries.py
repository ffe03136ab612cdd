r"""What is asked of stored outcomes, as SQL that every engine understands; what they spell differently is in `Dialect`.

All of it reads one relation, `{outcomes}`: a row an outcome, a column ``m_NAME`` for each measure. Exposures are the
JSON text ``[["experiment","arm",epoch], …]``, dimensions the text ``{"name":"value", …}``: inside JSON a quote is
always escaped, so ``["tone",`` can only be the beginning of an exposure. Engines that keep each of such texts once
(Parquet's dictionaries) match them once.

A cut is counted in two steps: `cut` picks and names the rows, `moments` and `bins` add up what it gave. Where a name is
given to what has it already, the column is said with its table: engines differ in which of the two a bare name means.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from vedette.evidence.outcome import OutcomeStatus
from vedette.lake.columns import UNIT, json_text
from vedette.lake.dialect import Dialect, escaped

FIELDS = (
    "id",
    "domain",
    "at_micros",
    "assigned",
    "served",
    "plan_revision",
    "bucket",
    "cluster",
    "status",
    "exposures",
    "dimensions",
)

MEASURED = frozenset(  # by gateways; of a request whose client left, only what was said later counts
    {
        "error",
        "fallback",
        "rejected",
        "partial",
        "override_failed",
        "latency_ms",
        "ttft_ms",
        "tokens_in",
        "tokens_out",
    }
)

_STRING = r'"(?:[^"\\]|\\.)*"'


def measure_column(measure: str) -> str:
    """Give the name of a measure's column."""
    return f"m_{measure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Outcomes of a domain, the newest first: of one version, from ``since`` to before ``until``, after a place.

    With ``units`` pseudonyms of units are asked for too, which DuckDB in this process alone has; with ``unit`` only
    outcomes of that one.
    """

    domain: str
    version: str = ""
    since: int | None = None
    until: int | None = None
    after: tuple[int, str] | None = None
    limit: int = 100
    units: bool = False
    unit: str = ""

    def where(self, dialect: Dialect) -> str:
        """Write which outcomes are asked for."""
        where = [f"domain = {dialect.text(self.domain)}"]
        if self.version:
            where.append(f"assigned = {dialect.text(self.version)}")
        if self.since is not None:
            where.append(f"at_micros >= {self.since}")
        if self.until is not None:
            where.append(f"at_micros < {self.until}")
        if self.unit:
            where.append(f"{UNIT} = {dialect.text(self.unit)}")
        if self.after:
            at, outcome_id = self.after
            where.append(f"at_micros <= {at} AND (at_micros < {at} OR id < {dialect.text(outcome_id)})")
        return " AND ".join(where)

    def sql(self, dialect: Dialect, outcomes: str, measures: Iterable[str]) -> str:
        """Write the query."""
        fields = [*FIELDS, UNIT] if self.units else FIELDS
        columns = [*fields, *(dialect.quoted(measure_column(name)) for name in measures)]
        return (
            f"SELECT {', '.join(columns)} FROM {outcomes} WHERE {self.where(dialect)}"
            f" ORDER BY at_micros DESC, id DESC LIMIT {self.limit}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Outcomes that all of some experiments had, by their arms and perhaps by a dimension.

    Attributes:
        domain: Domain.
        experiments: Ids of experiments.
        dimension: Name of a dimension; "" for none.
        since: Microseconds from which on outcomes count.
        until: Microseconds before which they count.
        limit: How many count at most, the newest ones; None for all.
        values: How many values of the dimension are told apart, those seen last.
        others: What all others are called.
    """

    domain: str
    experiments: Sequence[str]
    dimension: str = ""
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    values: int = 100
    others: str = ""

    @property
    def keys(self) -> list[str]:
        """Columns whose values are a group: an arm and epoch of each experiment, as JSON, and the value."""
        return [*(f"arm_{place}" for place in range(len(self.experiments))), *(["value"] if self.dimension else [])]

    def where(self, dialect: Dialect) -> str:
        """Write which outcomes are counted, but for the limit."""
        where = [f"domain = {dialect.text(self.domain)}"]
        if self.since is not None:
            where.append(f"at_micros >= {self.since}")
        if self.until is not None:
            where.append(f"at_micros < {self.until}")
        where += [f"position({dialect.text(_begin(each))} IN exposures) > 0" for each in self.experiments]
        return " AND ".join(where)

    def cut(self, dialect: Dialect, outcomes: str, measures: Sequence[str]) -> str:
        """Write the query that gives the rows: keys, cluster and measures."""
        columns = []
        for place, experiment in enumerate(self.experiments):
            captured = dialect.capture("exposures", escaped(_begin(experiment)) + f"({_STRING},[0-9]+)")
            columns.append(f"{captured} AS arm_{place}")
        if self.dimension:
            captured = dialect.capture("dimensions", f"[{{,]{escaped(json_text(self.dimension))}:({_STRING})")
            columns.append(f"{captured} AS value")
        columns.append("cluster")
        columns += [f"{_counted(dialect, name)} AS {dialect.quoted(measure_column(name))}" for name in measures]
        ordered = self.limit is not None or self.dimension
        if ordered:
            columns.append("row_number() OVER (ORDER BY at_micros DESC, id DESC) AS place")
        picked = f"SELECT {', '.join(columns)} FROM {outcomes} AS outcome WHERE {self.where(dialect)}"
        if self.limit is not None:
            picked = f"SELECT * FROM ({picked}) AS numbered WHERE place <= {self.limit}"
        return self._few_values(dialect, picked, measures) if self.dimension else picked

    def moments(self, dialect: Dialect, cut: str, measures: Iterable[str]) -> str:
        """Write the query that gives, of each group and cluster, the rows and each measure's n, mean and centred."""
        keys = ", ".join([*self.keys, "cluster"])
        sums = ["count(*) AS n"]
        for place, name in enumerate(measures):
            value = dialect.quoted(measure_column(name))
            sums.append(
                f"count({value}) AS n_{place}, avg({value}) AS mean_{place}"
                f", {dialect.sum_of_squares(value)} AS centred_{place}"
            )
        return f"SELECT {keys}, {', '.join(sums)} FROM {cut} GROUP BY {keys}"

    def bins(self, dialect: Dialect, cut: str, measure: str) -> str:
        """Write the query that gives, of each group, how many values of a measure are in each histogram bin."""
        keys, value = ", ".join(self.keys), dialect.quoted(measure_column(measure))
        return (
            f"SELECT {keys}, bin, count(*) AS n FROM (SELECT {keys}, {dialect.bin(value)} AS bin FROM {cut}"
            f" WHERE {value} IS NOT NULL) AS binned GROUP BY {keys}, bin"
        )

    def _few_values(self, dialect: Dialect, picked: str, measures: Iterable[str]) -> str:
        """Tell the values apart that were seen last, and call the others by one name."""
        arms = [key for key in self.keys if key != "value"]
        columns = [*arms, "cluster", *(dialect.quoted(measure_column(name)) for name in measures)]
        return (
            f"WITH picked AS ({picked}), newest AS (SELECT value AS its_value, min(place) AS its_place FROM picked"
            f" GROUP BY value ORDER BY its_place LIMIT {self.values})"
            f" SELECT {', '.join(columns)}, CASE WHEN newest.its_place IS NULL THEN {dialect.text(self.others)}"
            f" ELSE picked.value END AS value FROM picked LEFT JOIN newest ON picked.value = newest.its_value"
        )


def judged(dialect: Dialect, relation: str, measures: Iterable[str], late: Collection[str]) -> str:
    """Write a relation of outcomes with late judgements joined; what an outcome measured itself stands.

    These are the relation ``late``: an outcome's ``late_id``, and a column ``late_NAME`` for each such measure.
    """
    columns = [f"measured.{name} AS {name}" for name in FIELDS]
    for name in measures:
        quoted = dialect.quoted(measure_column(name))
        held = f"measured.{quoted}"
        if name in late:
            held = f"coalesce({held}, late.{dialect.quoted(f'late_{name}')})"
        columns.append(f"{held} AS {quoted}")
    return f"SELECT {', '.join(columns)} FROM ({relation}) AS measured LEFT JOIN late ON measured.id = late.late_id"


def _begin(experiment: str) -> str:
    """Give what the exposures of an outcome hold that had an experiment."""
    return f"[{json_text(experiment)},"


def _counted(dialect: Dialect, measure: str) -> str:
    """Write a measure as it is counted: what was measured before a client left is not."""
    value = f"outcome.{dialect.quoted(measure_column(measure))}"
    if measure not in MEASURED:
        return value
    return f"CASE WHEN status = {dialect.text(OutcomeStatus.CLIENT_CLOSED.value)} THEN NULL ELSE {value} END"
