"""Outcomes and late judgements as rows of a table: which column says what, and how a row is read.

Columns are found by the names people give them; whoever names them otherwise says so. What is not said has a meaning
that cannot mislead a decision: an outcome without a plan revision is of none (0), so no rollout is judged by it, and
one without a unit has no bucket.
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from typing import Any

from vedette.evidence.instants import instant_of
from vedette.evidence.outcome import Exposure, Feedback, Outcome, OutcomeStatus
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import BUCKETS, bucket_of, seed_of
from vedette.kernel.ids import NAME, uuid7

Cells = Mapping[str, Any]
Occurrence = Callable[[bytes], int]
"""Says how often a digest has come up before, in one file."""

KNOWN: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "outcome_id", "request_id"),
    "domain": ("domain",),
    "at": ("at", "timestamp", "time", "ts", "created_at"),
    "assigned": ("assigned", "version", "model_version"),
    "served": ("served",),
    "status": ("status",),
    "unit": ("unit",),
    "bucket": ("bucket",),
    "plan_revision": ("plan_revision", "planrevision"),
}
"""What a row may say, and the names of columns that are taken for it, whatever their case."""

_NESTED = frozenset({"measures", "dimensions", "exposures"})  # as the API writes an outcome
_NO_MEASURES = frozenset({"requests", *(name for names in KNOWN.values() for name in names)})
_STATUSES = {each.value: each for each in OutcomeStatus}
_TRUTH = {"true": 1.0, "false": 0.0}
_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said of a table beside the table.

    Attributes:
        columns: The column of what a row says (see `KNOWN`), where its name does not tell.
        measures: The column of each measure; none: every column of numbers that says nothing else is a measure.
        dimensions: The column of each dimension.
        domain: The domain of every row; empty: a column says it.
        version: The version that every row was assigned; empty: a column says it.
        zone: The zone of times that name none; None: those are refused.
        judgements: Rows are late judgements: an id and measures. None: they are if nothing else is there.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)
    domain: str = ""
    version: str = ""
    zone: tzinfo | None = None
    judgements: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the rows of one table are read.

    Attributes:
        said: What was said of it.
        columns: The column of what a row says, of what it does say.
        measures: The column of each measure; None: whatever is a number in a row, and says nothing else.
        judgements: Whether rows are late judgements.
        unused: Columns that are read as nothing.
        now: When it is read; what is of later than a day after is refused.
    """

    said: Said
    columns: Mapping[str, str]
    measures: Mapping[str, str] | None
    judgements: bool
    unused: tuple[str, ...]
    now: datetime

    def outcome(self, cells: Cells, occurrence: Occurrence) -> Outcome:
        """Read an outcome.

        Without an id it gets one made of what the row says, of the domain and version said beside it, and of how many
        rows before it say the same: the same rows have the same ids, in whichever file they stand.

        Raises:
            InvalidInput: A cell is missing, or holds something else; the message names column and value.
        """
        domain = self._text(cells, "domain", self.said.domain)
        assigned = self._text(cells, "assigned", self.said.version)
        at = self._at(cells)
        measures = self._measures(cells)
        status = self._status(cells, measures)
        if status is not OutcomeStatus.CLIENT_CLOSED:
            measures.setdefault("error", float(status is OutcomeStatus.ERROR))
        return Outcome(
            id=self._said(cells, "id") or self._derived(cells, at, occurrence),
            domain=domain,
            at=at,
            assigned=assigned,
            served=self._said(cells, "served") or assigned,
            plan_revision=self._whole(cells, "plan_revision", 0),
            bucket=self._bucket(cells, domain),
            status=status,
            measures=measures,
            exposures=_exposures(cells),
            dimensions=self._dimensions(cells),
            unit=self._said(cells, "unit"),
        )

    def feedback(self, cells: Cells) -> Feedback:
        """Read a late judgement.

        Raises:
            InvalidInput: The row names no outcome, judges nothing, or a cell holds something else.
        """
        outcome_id = self._text(cells, "id", "")
        measures = self._measures(cells)
        if not measures:
            raise InvalidInput(f"the judgement of {outcome_id!r} has no measure", hint="leave the row out, or fill it")
        return Feedback(outcome_id=outcome_id, measures=measures)

    def _said(self, cells: Cells, what: str) -> str:
        """Give a cell as text; empty where there is none."""
        return _plain(cells.get(self.columns.get(what, "")))

    def _text(self, cells: Cells, what: str, otherwise: str) -> str:
        text = self._said(cells, what) or otherwise
        if not text:
            names = " or ".join(KNOWN[what])
            if what not in self.columns:
                raise InvalidInput(f"nothing says its {what}", hint=f"a column {names} does, or one that is named")
            raise InvalidInput(f"column {self.columns[what]!r} is empty", hint=f"it says the {what}")
        return text

    def _at(self, cells: Cells) -> datetime:
        column = self.columns.get("at", "")
        value = cells.get(column)
        if value is None or value == "":
            self._text(cells, "at", "")
        try:
            at = instant_of(value, self.said.zone)
        except InvalidInput as error:
            raise InvalidInput(f"column {column!r} holds {_shown(value)}: {error.message}", hint=error.hint) from error
        if at > self.now + _AHEAD:
            raise InvalidInput(
                f"column {column!r} holds {_shown(value)}, which is {at:%Y-%m-%d %H:%M} UTC and has not come yet",
                hint="numbers are seconds, milliseconds, microseconds or nanoseconds since 1970",
            )
        return at

    def _status(self, cells: Cells, measures: Mapping[str, float]) -> OutcomeStatus:
        said = self._said(cells, "status").lower()
        if not said:
            return OutcomeStatus.ERROR if measures.get("error", 0.0) > 0 else OutcomeStatus.OK
        if said in _STATUSES:
            return _STATUSES[said]
        if len(said) == 3 and said.isdecimal() and said[0] in "12345":
            return _of_http(int(said))
        raise InvalidInput(
            f"column {self.columns['status']!r} holds {_shown(said)}, which is no status",
            hint=f"{', '.join(_STATUSES)}, or HTTP's number",
        )

    def _bucket(self, cells: Cells, domain: str) -> int:
        unit = self._said(cells, "unit")
        if unit:
            return bucket_of_unit(domain, unit)
        bucket = self._whole(cells, "bucket", -1)
        if not -1 <= bucket < BUCKETS:
            raise InvalidInput(
                f"column {self.columns['bucket']!r} holds {bucket}, which is no bucket", hint="0 to 1023, or nothing"
            )
        return bucket

    def _whole(self, cells: Cells, what: str, otherwise: int) -> int:
        said = self._said(cells, what)
        if not said:
            return otherwise
        try:
            number = float(said)
        except ValueError:
            number = math.nan
        if not number.is_integer():
            raise InvalidInput(f"column {self.columns[what]!r} holds {_shown(said)}, which is no whole number")
        return int(number)

    def _measures(self, cells: Cells) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.measures is not None:
            for name, column in self.measures.items():
                if not _missing(value := cells.get(column)):
                    found[name] = _number(column, value)
        else:
            used = {*self.columns.values(), *self.said.dimensions.values(), *_NESTED}
            for column, value in cells.items():
                if not isinstance(value, (int, float)) or _missing(value) or column in used:
                    continue
                if name := measure_of(column):
                    found[name] = _number(column, value)
        nested = cells.get("measures")
        if isinstance(nested, Mapping):
            found |= {
                str(name): _number(f"measures.{name}", value) for name, value in nested.items() if not _missing(value)
            }
        return found

    def _dimensions(self, cells: Cells) -> dict[str, str]:
        nested = cells.get("dimensions")
        found = {str(name): _plain(value) for name, value in nested.items()} if isinstance(nested, Mapping) else {}
        found |= {name: _plain(cells.get(column)) for name, column in self.said.dimensions.items()}
        return {name: value for name, value in found.items() if value}

    def _derived(self, cells: Cells, at: datetime, occurrence: Occurrence) -> str:
        content = sorted((name, text) for name, value in cells.items() if (text := _plain(value)))
        said = sha256(json.dumps([self.said.domain, self.said.version, content]).encode()).digest()
        made = sha256(said + occurrence(said).to_bytes(8)).digest()
        return uuid7(int(at.timestamp() * 1000), made[:10])


def layout(columns: Sequence[str], numeric: Collection[str] | None, said: Said, now: datetime) -> Layout:
    """Say how a table is read.

    Args:
        columns: Its columns.
        numeric: Those that hold numbers; None where each row says so itself.
        said: What was said of it.
        now: When it is read.

    Raises:
        InvalidInput: A column that was named is not there, or what every row must say is said by none.
    """
    named = {**said.columns, **{f"measure {name}": column for name, column in said.measures.items()}}
    named |= {f"dimension {name}": column for name, column in said.dimensions.items()}
    _require(named, columns, open_ended=numeric is None)
    found = {**_found(columns, set(named.values()), said), **said.columns}
    only_judged = {"id"} == found.keys() and not said.domain and not said.version and not said.dimensions
    judgements = only_judged if said.judgements is None else said.judgements
    _require_said(found, said, columns, judgements=judgements)
    used = {*found.values(), *said.dimensions.values(), *_NESTED}
    measures: Mapping[str, str] | None = said.measures
    if not said.measures:
        offered = None if numeric is None else [name for name in columns if name in numeric and name not in used]
        measures = None if offered is None else {measure_of(name): name for name in offered if measure_of(name)}
    if judgements and measures is not None and not measures and "measures" not in columns:
        raise InvalidInput("no column holds a judgement", hint="name one: --measure score='Their Score'")
    taken = used | set((measures or {}).values())
    unused = () if measures is None else tuple(name for name in columns if name not in taken)
    return Layout(said=said, columns=found, measures=measures, judgements=judgements, unused=unused, now=now)


def bucket_of_unit(domain: str, unit: str) -> int:
    """Give the bucket of a unit in a domain, which is the one gateways put it into."""
    return bucket_of(seed_of(f"domain/{domain}"), unit)


def measure_of(column: str) -> str:
    """Give the measure a column is by its name; empty for one that cannot name one, or that names something else."""
    name = column.strip().lower()
    return name if NAME.fullmatch(name) and name not in _NO_MEASURES else ""


def _found(columns: Iterable[str], named: Collection[str], said: Said) -> dict[str, str]:
    by_name = {column.strip().lower(): column for column in columns if column not in named}
    given = {"domain": bool(said.domain), "assigned": bool(said.version)}
    return {
        what: next(by_name[name] for name in names if name in by_name)
        for what, names in KNOWN.items()
        if any(name in by_name for name in names) and not given.get(what)
    }


def _require(named: Mapping[str, str], columns: Collection[str], *, open_ended: bool) -> None:
    for what, column in named.items():
        if column not in columns and not open_ended:
            raise InvalidInput(
                f"there is no column {column!r} for {what}", hint=f"the columns are {', '.join(columns)}"
            )


def _require_said(found: Mapping[str, str], said: Said, columns: Sequence[str], *, judgements: bool) -> None:
    given = {"domain": said.domain, "assigned": said.version}
    flags = {"domain": " or --domain NAME", "assigned": " or --assigned VERSION"}
    for what in ("id",) if judgements else ("at", "domain", "assigned"):
        if what not in found and not given.get(what):
            raise InvalidInput(
                f"no column says {what}, of {', '.join(columns) or 'none'}",
                hint=f"call it {' or '.join(KNOWN[what])}, or say --map {what}=COLUMN{flags.get(what, '')}",
            )


def _exposures(cells: Cells) -> tuple[Exposure, ...]:
    nested = cells.get("exposures")
    return load(tuple[Exposure, ...], nested) if isinstance(nested, (list, tuple)) else ()


def _number(column: str, value: object) -> float:
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            number = _TRUTH[text] if text in _TRUTH else float(text)
        except ValueError:
            number = math.nan
    else:
        try:
            number = float(value)  # type: ignore[arg-type]  # what is no number is refused right here
        except (TypeError, ValueError, OverflowError):
            number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(
            f"column {column!r} holds {_shown(value)}, which is no number", hint="nothing is an empty cell"
        )
    return number


def _missing(value: object) -> bool:
    """Say whether a cell holds nothing; data frames say so by NaN."""
    if isinstance(value, str):
        return value.strip().lower() in {"", "nan"}
    return value is None or (isinstance(value, float) and math.isnan(value))


def _of_http(status: int) -> OutcomeStatus:
    if status == 499:
        return OutcomeStatus.CLIENT_CLOSED
    return OutcomeStatus.ERROR if status >= 400 else OutcomeStatus.OK


def _plain(value: object) -> str:
    """Give a cell as text: whole numbers as such, whatever type a file gave them."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    return str(value).strip()


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
