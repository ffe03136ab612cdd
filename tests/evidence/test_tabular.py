"""Rows of tables as outcomes: which column is what, and which id a row has that says none."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from vedette.evidence.instants import instant_of
from vedette.evidence.outcome import Outcome
from vedette.evidence.tabular import Said, layout
from vedette.kernel.errors import InvalidInput
from vedette.kernel.ids import milliseconds_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CELLS = {"at": "2026-11-20T12:00:00Z", "latency_ms": "12", "version": "7"}


def read(*rows: Mapping[str, str], domain: str = "payments", version: str = "v1") -> list[Outcome]:
    """The outcomes of one file's rows."""
    met: Counter[bytes] = Counter()

    def occurrence(digest: bytes) -> int:
        met[digest] += 1
        return met[digest] - 1

    it = layout(list(rows[0]), {"latency_ms", "version", "n"}, Said(domain=domain, version=version), NOW)
    return [it.outcome(cells, occurrence) for cells in rows]


def test_the_id_of_a_row_is_what_it_says():
    """It is the same in any file and any order, another one for another domain, version, cell or occurrence."""
    first, second = read(CELLS, CELLS)
    other = CELLS | {"latency_ms": "13"}
    assert [it.id for it in read(other, dict(reversed(CELLS.items())), CELLS)][1:] == [first.id, second.id]
    (legal,), (canary,), (slower,) = read(CELLS, domain="legal"), read(CELLS, version="v2"), read(other)
    assert len({it.id for it in (first, second, legal, canary, slower)}) == 5
    assert milliseconds_of(first.id) == first.at.timestamp() * 1000


def test_a_number_that_says_something_else_is_no_measure():
    """A column of versions stays one, though the version was said beside the file."""
    (found,) = read(CELLS)
    assert found.measures == {"latency_ms": 12.0, "error": 0.0}
    assert found.assigned == "v1"


@pytest.mark.parametrize(
    "said",
    ["1795262400", 1795262400.0, "1795262400000", 1795262400000000, 1795262400 * 10**9, "2026-11-21T13:00:00+01:00"],
)
def test_a_time_is_read_whatever_unit_it_is_in(said):
    """Seconds, milliseconds, microseconds and nanoseconds are told apart by their size."""
    assert instant_of(said) == datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize("said", [True, "", "soon", "2026-11-21T12:00:00", "-5", "0001-01-01T00:00:00+14:00", "9" * 30])
def test_what_is_no_time_is_refused(said):
    """A time without a zone is none, nor is one of before there was anything to measure."""
    with pytest.raises(InvalidInput):
        instant_of(said)
