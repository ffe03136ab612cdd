"""Joint moments of tables, taken where the tables are: files, data frames, arrays, queries.

Analysis needs a count, means and cross-products of each arm, so that is all that leaves the engine that holds the rows:
DuckDB reads files, pandas frames, pyarrow tables, arrays and its own relations; polars sums its own frames. Both take
one pass and keep the digits (`frames_sums`). No library is imported unless one of its tables is given.
"""

import glob
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from vedette.connectors.frames_sums import Question, Table, moments_of, require
from vedette.evidence.joint import JointMoments, Missing
from vedette.kernel.errors import InvalidInput, NotFound

_KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
}
_COMPRESSED = frozenset({".gz", ".zst"})


@overload
def joint_moments_from(
    source: object,
    *,
    by: str,
    columns: Sequence[str],
    strata: None = None,
    cluster: str | None = None,
    missing: Missing = "refuse",
) -> dict[str, JointMoments]: ...


@overload
def joint_moments_from(
    source: object,
    *,
    by: str,
    columns: Sequence[str],
    strata: str,
    cluster: str | None = None,
    missing: Missing = "refuse",
) -> dict[tuple[str, str], JointMoments]: ...


def joint_moments_from(
    source: object,
    *,
    by: str,
    columns: Sequence[str],
    strata: str | None = None,
    cluster: str | None = None,
    missing: Missing = "refuse",
) -> dict[str, JointMoments] | dict[tuple[str, str], JointMoments]:
    """Joint moments of some columns of a table, for each arm (and stratum), in one pass over the rows where they are.

    A column whose mean is more than some thirty standard deviations away from 0 costs a second pass, so that no digit
    is lost. Numbers of every width, decimals and booleans are read as doubles.

    Args:
        source: A path of Parquet, CSV or JSON-lines files (``**`` and ``*`` as shells read them), or several paths; a
            pandas or polars data frame, a polars lazy frame, a pyarrow table or dataset, a DuckDB relation, or arrays
            of one length by name. A filter or a computed column is made there, before.
        by: The column that names the arm of each row.
        columns: The numeric columns, in the order in which the moments are to hold them.
        strata: A column that names the stratum of each row; then a key is ``(arm, stratum)``.
        cluster: A column that names what was randomised (a user, a tenant) where rows are less than that (a request).
            The unit then is the cluster: its rows' values are summed first, and the moments have one more column,
            ``rows``, the count of its rows. A cluster that is in two arms is one unit in each.
        missing: What to do with rows that lack a value (NULL or NaN): refuse them all, leave them out, or read what is
            missing as 0.

    Returns:
        Moments by arm, or by arm and stratum, sorted; the keys are the values as text, ``true`` and ``false`` for
        booleans.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The source cannot be read or has no rows; a column is not there, or not numeric; rows have no
            arm, stratum or cluster; a value is infinite; values are missing and refused; or no row of an arm is left.
    """
    question = _question(by, [columns], strata, cluster, missing)
    [found] = moments_of(_opened(source, question), question)
    if strata is None:
        return {arm: moments for (arm,), moments in found.items()}
    return {(arm, stratum): moments for (arm, stratum), moments in found.items()}


def joint_moments_of_blocks(
    source: object,
    *,
    by: str,
    blocks: Mapping[str, Sequence[str]],
    cluster: str | None = None,
    missing: Missing = "refuse",
) -> dict[str, dict[str, JointMoments]]:
    """Joint moments of several blocks of columns by arm, in the same one pass, without products across blocks.

    Forty columns have 820 products; twenty metrics with a covariate each need sixty. A column may be in several blocks
    and is summed once. A row that lacks a value of any block lacks it for all, so all blocks are of the same rows.

    Args:
        source: As for `joint_moments_from`; so are `by`, `cluster` and `missing`.
        by: The column that names the arm of each row.
        blocks: Columns by name of the block: those of one metric, or of metrics that share a covariate.
        cluster: A column that names what was randomised; every block then has the column ``rows``.
        missing: What to do with rows that lack a value.

    Returns:
        Moments by block, then by arm.

    Raises:
        NotFound: There is no such file.
        InvalidInput: As for `joint_moments_from`.
    """
    question = _question(by, list(blocks.values()), None, cluster, missing)
    found = moments_of(_opened(source, question), question)
    return {
        block: {arm: moments for (arm,), moments in arms.items()} for block, arms in zip(blocks, found, strict=True)
    }


def _question(
    by: str, blocks: Sequence[Sequence[str]], strata: str | None, cluster: str | None, missing: Missing
) -> Question:
    for columns in blocks or [()]:
        if isinstance(columns, str) or not columns:
            raise InvalidInput("joint moments need at least one column", hint="give a list of names, as ['revenue']")
        if len(set(columns)) < len(columns):
            raise InvalidInput("a column is named twice", hint=f"got {', '.join(columns)}")
        if cluster is not None and "rows" in columns:
            raise InvalidInput(
                "'rows' is the count of a cluster's rows, added by itself", hint="leave it out, or rename it"
            )
    if missing not in {"refuse", "drop", "zero"}:
        raise InvalidInput(f"missing={missing!r} is no way to treat missing values", hint="refuse, drop or zero")
    groups = (by,) if strata is None else (by, strata)
    return Question(blocks=tuple(map(tuple, blocks)), groups=groups, cluster=cluster, missing=missing)


def _opened(source: object, question: Question) -> Table:
    if isinstance(source, str | Path):
        return _files([source], question)
    if isinstance(source, list | tuple) and all(isinstance(path, str | Path) for path in source):
        return _files(source, question)
    for there, opened in _LIBRARIES:
        if there(source):
            return opened(source, question)
    if isinstance(source, Mapping):
        return _arrays(source, question)
    raise InvalidInput(
        f"{type(source).__module__}.{type(source).__qualname__} is no table that can be read",
        hint="give a path, a pandas or polars frame, a pyarrow table, a DuckDB relation, or arrays by name",
    )


def _of(library: str, *names: str) -> Callable[[object], bool]:
    """Whether something is of a class of a library, which is imported already if it is."""

    def there(source: object) -> bool:
        module = sys.modules.get(library)
        return any(isinstance(source, getattr(module, name, ())) for name in names)

    return there


def _files(paths: Iterable[str | Path], question: Question) -> Table:
    from vedette.connectors.frames_duckdb import from_files

    found = [file for path in paths for file in matching_files(path)]
    if not found:
        raise InvalidInput("there are no paths")
    kinds = {kind_of_file(file) for file in found}
    if len(kinds) > 1:
        raise InvalidInput(f"files of different kinds cannot be read as one table: {', '.join(sorted(kinds))}")
    # Each is there by this name; what is special to a pattern in it is not one.
    return from_files([glob.escape(file) for file in found], kinds.pop(), question)


def matching_files(path: str | Path) -> list[str]:
    """Give the files a path stands for, ``*`` and ``**`` read as shells do.

    Raises:
        NotFound: There is none.
        InvalidInput: It is a directory, or an address of another machine.
    """
    if Path(path).is_file():
        return [str(path)]
    if Path(path).is_dir():
        raise InvalidInput(f"{path} is a directory", hint=f"say which files of it, as '{path}/*.parquet'")
    if "://" in str(path):
        raise InvalidInput(f"{path} is no path on this machine", hint="read it with DuckDB or polars, and give me that")
    files = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
    found = sorted(file for file in files if Path(file).is_file())
    if not found:
        raise NotFound(f"there is no file {path}", hint=f"looked from {Path.cwd()}")
    return found


def kind_of_file(file: str) -> str:
    """Give what a file is read as, by its name: parquet, csv or json.

    Raises:
        InvalidInput: It is of no kind that can be read.
    """
    endings = [ending.lower() for ending in Path(file).suffixes]
    ending = next((ending for ending in reversed(endings) if ending not in _COMPRESSED), "")
    if ending not in _KINDS:
        raise InvalidInput(f"{file} is of no kind that can be read", hint=f"its name must end in {', '.join(_KINDS)}")
    return _KINDS[ending]


def _relation(source: Any, question: Question) -> Table:  # noqa: ANN401 - a DuckDB relation
    from vedette.connectors.frames_duckdb import from_relation

    return from_relation(source, question)


def _polars(source: Any, question: Question) -> Table:  # noqa: ANN401 - a polars frame
    from vedette.connectors.frames_polars import from_polars

    return from_polars(source, question)


def _pandas(source: Any, question: Question) -> Table:  # noqa: ANN401 - a pandas frame
    from vedette.connectors.frames_duckdb import from_memory

    require(question.needed, list(source.columns))
    needed = source[list(question.needed)]
    if needed.shape[1] > len(question.needed):
        raise InvalidInput("the frame has several columns of one name", hint="rename them")
    return from_memory(needed, question)


def _arrow(source: Any, question: Question) -> Table:  # noqa: ANN401 - a pyarrow table or dataset
    from vedette.connectors.frames_duckdb import from_memory

    require(question.needed, source.schema.names)
    return from_memory(source, question)


def _arrays(source: Mapping[Any, Any], question: Question) -> Table:
    from vedette.connectors.frames_duckdb import from_memory

    require(question.needed, list(source))
    arrays = {name: _array(name, source[name]) for name in question.needed}
    if len({array.size for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name}: {array.size}" for name, array in arrays.items())
        raise InvalidInput(f"columns differ in length ({sizes})", hint="one entry a row in each column")
    return from_memory(arrays, question)


def _array(name: str, values: Any) -> np.ndarray[Any, np.dtype[Any]]:  # noqa: ANN401 - whatever numpy reads
    array = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
    if array.ndim != 1:
        raise InvalidInput(f"column {name!r} has {array.ndim} dimensions", hint="one entry a row")
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    return array if array.dtype.kind in "biufO" else array.astype(object)


_LIBRARIES: tuple[tuple[Callable[[object], bool], Callable[[Any, Question], Table]], ...] = (
    (_of("duckdb", "DuckDBPyRelation"), _relation),
    (_of("polars", "DataFrame", "LazyFrame"), _polars),
    (_of("pandas", "DataFrame"), _pandas),
    (_of("pyarrow", "Table", "RecordBatch"), _arrow),
    (_of("pyarrow.dataset", "Dataset"), _arrow),
)
