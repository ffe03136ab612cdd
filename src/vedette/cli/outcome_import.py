"""From files to outcomes: rows are read, checked and brought batch by batch, and whoever breaks off can begin again."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from vedette.cli.output import console
from vedette.connectors.occurrences import Occurrences
from vedette.connectors.rows import Cells, Format, Row, RowReader
from vedette.evidence.outcome import Feedback, Outcome
from vedette.evidence.tabular import Layout, Said, layout
from vedette.kernel.errors import InvalidInput, NotFound, VedetteError
from vedette.kernel.records import record
from vedette.lake.admission import check_feedback, check_outcome
from vedette.lake.retention import Retention

if TYPE_CHECKING:
    from vedette.cli.session import Services

_SHOWN = 5
_AGAIN = "what stands before is stored: repair it and run the same again, or pass --skip-bad"


@record
class Imported:
    """What became of the rows of some files.

    Attributes:
        of: What the rows are.
        rows: How many there were.
        stored: How many were new.
        duplicate: How many were there already, by their id, or judged already by the same measures.
        waiting: Judgements of outcomes that are not there: they wait for a day.
        skipped: Rows that could not be read.
        aged: Outcomes older than outcomes are kept: their sums are, they themselves are not.
        dry_run: Whether nothing was brought.
    """

    of: Literal["outcomes", "judgements"] = "outcomes"
    rows: int = 0
    stored: int = 0
    duplicate: int = 0
    waiting: int = 0
    skipped: int = 0
    aged: int = 0
    dry_run: bool = False


@dataclass(slots=True, kw_only=True)
class Import:
    """One run of the import.

    Attributes:
        services: Where outcomes are brought, and which domains there are.
        said: How rows are read.
        size: How many are brought at once.
        lenient: Whether rows that cannot be read are passed over.
        dry_run: Whether everything is read and nothing is brought.
        tell: Says something to people.
    """

    services: "Services"
    said: Said
    size: int
    lenient: bool
    dry_run: bool
    tell: Callable[[str], None]
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _of: Literal["outcomes", "judgements"] = "outcomes"
    _counts: Counter[str] = field(default_factory=Counter)
    _domains: dict[str, NotFound | None] = field(default_factory=dict)

    def run(self, paths: Sequence[str], form: Format | None) -> Imported:
        """Bring the rows of files, one after the other.

        Raises:
            InvalidInput: A file or a row cannot be read; what stands before it was brought.
            NotFound: There is no such file, or a row names a domain there is not.
        """
        if self.said.domain:
            self.services.domains.get(self.said.domain)
        for path in paths:
            with RowReader(path, form) as reader, _progress(reader) as advance, Occurrences() as occurrences:
                self._bring(reader, occurrences, advance)
        return Imported(of=self._of, dry_run=self.dry_run, **self._counts)

    def _bring(self, reader: RowReader, occurrences: Occurrences, advance: Callable[[int], None]) -> None:
        layouts = _Layouts(reader, self.said, self.now)
        self._of = "judgements" if layouts.first.judgements else "outcomes"
        self._say_how(reader, layouts.first)
        batch: list[tuple[str, Outcome | Feedback]] = []
        for row in reader:
            self._counts["rows"] += 1
            try:
                batch.append((row.place, self._read(row, layouts, occurrences)))
            except VedetteError as error:
                if not self.lenient:
                    self._flush(reader.name, batch)
                    raise self._placed(error, f"{reader.name}, {row.place}") from error
                self._pass_over(f"{reader.name}, {row.place}: {error}")
            if len(batch) == self.size:
                self._flush(reader.name, batch)
                advance(self.size)
                batch = []
        self._flush(reader.name, batch)
        advance(len(batch))

    def _read(self, row: Row, layouts: "_Layouts", occurrences: Occurrences) -> Outcome | Feedback:
        if row.wrong:
            raise InvalidInput(row.wrong)
        its = layouts.of(row.cells)
        if its.judgements:
            judgement = its.feedback(row.cells)
            check_feedback(judgement)
            return judgement
        outcome = its.outcome(row.cells, occurrences)
        check_outcome(outcome)
        self._check_domain(outcome.domain)
        if outcome.at < self.now - Retention().outcomes:
            self._counts["aged"] += 1
        return outcome

    def _check_domain(self, name: str) -> None:
        if name not in self._domains:
            try:
                self.services.domains.get(name)
            except NotFound as error:
                self._domains[name] = error
            else:
                self._domains[name] = None
        if gone := self._domains[name]:
            raise NotFound(gone.message, hint=gone.hint or f"vedette domain create {name}")

    def _flush(self, source: str, batch: Sequence[tuple[str, Outcome | Feedback]]) -> None:
        if not batch or self.dry_run:
            return
        outcomes = [item for _, item in batch if isinstance(item, Outcome)]
        judgements = [item for _, item in batch if isinstance(item, Feedback)]
        try:
            if outcomes:
                shipped = self.services.outcomes.record(outcomes, remember=True)
                self._counts.update(stored=shipped.stored, duplicate=shipped.duplicate)
            if judgements:
                judged = self.services.outcomes.judge(judgements)
                waiting = len(judgements) - judged.accepted - judged.duplicate
                self._counts.update(stored=judged.accepted, duplicate=judged.duplicate, waiting=waiting)
        except VedetteError as error:
            raise self._placed(error, f"{source}, {batch[0][0]} to {batch[-1][0]}") from error

    def _pass_over(self, what: str) -> None:
        self._counts["skipped"] += 1
        if self._counts["skipped"] <= _SHOWN:
            self.tell(f"skipped: {what}")
        elif self._counts["skipped"] == _SHOWN + 1:
            self.tell("skipped: … (more are counted, not shown)")

    def _placed(self, error: VedetteError, place: str) -> VedetteError:
        """Say where something went wrong, and how to go on."""
        error.message = f"{place}: {error.message}"
        if not self.dry_run:
            error.hint = f"{error.hint}; {_AGAIN}" if error.hint else _AGAIN
        return error

    def _say_how(self, reader: RowReader, its: Layout) -> None:
        if self.dry_run:
            said = [f"{what} from {column!r}" for what, column in its.columns.items()]
            if its.measures is None:
                said.append("measures from every number besides")
            elif its.measures:
                said.append(f"measures {', '.join(its.measures)}")
            self.tell(f"{reader.name}: {'; '.join(said)}")
        if its.unused:
            named = ", ".join(map(repr, its.unused))
            self.tell(f"{reader.name}: not read: {named} (--measure or --dimension NAME=COLUMN keeps one)")


class _Layouts:
    """How the rows of one file are read: in one way, but for JSON lines, each of which has the names it has."""

    def __init__(self, reader: RowReader, said: Said, now: datetime) -> None:
        self._reader, self._now = reader, now
        try:
            self.first = layout(reader.columns, reader.numeric, said, now)
        except InvalidInput as error:
            error.message = f"{reader.name}: {error.message}"
            raise
        self._said = replace(said, judgements=self.first.judgements)
        self._known: dict[tuple[str, ...], Layout] = {}

    def of(self, cells: Cells) -> Layout:
        """Give the layout of a row."""
        if self._reader.numeric is not None:
            return self.first
        names = tuple(cells)
        found = self._known.get(names)
        if found is None:
            found = self._known[names] = layout(names, None, self._said, self._now)
        return found


@contextmanager
def _progress(reader: RowReader) -> Iterator[Callable[[int], None]]:
    """Show how far an import is, to whoever watches a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(error=True), transient=True) as progress:
        task = progress.add_task(reader.name, total=reader.total)
        yield lambda rows: progress.advance(task, rows)


def sentence(found: Imported) -> str:
    """Say what became of the rows in a line."""
    parts = [f"{found.rows:,} {'row' if found.rows == 1 else 'rows'} of {found.of}"]
    if found.dry_run:
        parts.append(f"{found.rows - found.skipped:,} can be read (nothing was stored: this was a dry run)")
    else:
        parts.append(f"{found.stored:,} new, {found.duplicate:,} already there")
    counts: Mapping[str, int] = {"waiting for their outcome": found.waiting, "skipped": found.skipped}
    parts += [f"{count:,} {what}" for what, count in counts.items() if count]
    return f"{parts[0]}: {', '.join(parts[1:])}"
