"""Files read a row at a time: what they may look like, and what is said of those that cannot be read."""

import gzip
from hashlib import sha256

import pytest

from vedette.connectors.occurrences import Occurrences
from vedette.connectors.rows import RowReader
from vedette.kernel.errors import InvalidInput, NotFound


def test_csv_is_read_as_it_is_written_anywhere(tmp_path):
    """Packed, with any usual delimiter, a byte order mark, quotes and lines within quotes; rows know their line."""
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress('\ufeffat; note;n\r\n1;"a;b\nc";\r\n\r\n2;;7\r\n'.encode()))
    with RowReader(str(path)) as reader:
        assert (reader.columns, reader.numeric) == (("at", "note", "n"), frozenset({"at", "n"}))
        assert [(row.place, dict(row.cells)) for row in reader] == [
            ("line 2", {"at": "1", "note": "a;b\nc", "n": ""}),
            ("line 5", {"at": "2", "note": "", "n": "7"}),
        ]


def test_a_column_of_numbers_stays_one_with_a_slip_in_it(tmp_path):
    """Most cells decide, so a slip is refused where it stands and no measure is lost without a word."""
    path = tmp_path / "rows.csv"
    path.write_text("n,text,none\n1,x,\n2,3,\noops,y,\n")
    with RowReader(str(path)) as reader:
        assert reader.numeric == frozenset({"n"})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"at,n\n\xff,1\n", "cannot be read"),
        ("a.csv.gz", gzip.compress(b"at,n\n" + bytes(range(48, 58)) * 99, mtime=0)[:40], "cannot be read"),
        ("a.csv.gz", b"at,n\n", "cannot be read"),
        ("a.csv.zst", b"", "compressed with zstd"),
        ("a.parquet", b"PAR1", "cannot be read as Parquet"),
        ("a.jsonl", b"\n", "is empty"),
        ("a.txt", b"", "no kind that can be read"),
    ],
)
def test_a_file_that_is_broken_is_refused_in_words(tmp_path, name, content, said):
    """Nothing is read out of what is cut off, in no known form, or not what its name says."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=said), RowReader(str(tmp_path / name)) as reader:
        list(reader)


def test_a_line_that_is_no_document_is_one_bad_row(tmp_path):
    """The lines beside it are read."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n{"n"\n[2]\n{"n": 3}\n')
    with RowReader(str(path)) as reader:
        assert [(row.place, row.cells.get("n"), bool(row.wrong)) for row in reader] == [
            ("line 1", 1, False),
            ("line 2", None, True),
            ("line 3", None, True),
            ("line 4", 3, False),
        ]
    with pytest.raises(NotFound):
        RowReader(str(tmp_path / "none.csv"))


def test_occurrences_are_counted_exactly():
    """Each digest has its own count, from 0."""
    digests = [sha256(str(number % 700).encode()).digest() for number in range(2000)]
    with Occurrences() as occurrence:
        assert [occurrence(digest) for digest in digests] == [number // 700 for number in range(2000)]
