"""Insert, or change the row that has the key already: one spelling for both databases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(
    connection: Connection,
    table: Table,
    values: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str] = (),
    replace: Sequence[str] = (),
    change: Mapping[str, Any] | None = None,
    where: Callable[[Any], ColumnElement[bool]] | None = None,
) -> Any:  # noqa: ANN401 - either dialect's Insert
    """Build an insert that, where ``key`` (the primary key unless named) is taken, changes that row instead.

    ``replace`` names columns that take the new row's value, ``change`` gives others an expression over the table;
    with neither, a row that is there stays as it is. The change happens only where ``where``, given the new row, holds.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values)
    index = list(key) or [column.name for column in table.primary_key]
    changes = {name: statement.excluded[name] for name in replace} | dict(change or {})
    if not changes:
        return statement.on_conflict_do_nothing(index_elements=index)
    return statement.on_conflict_do_update(
        index_elements=index, set_=changes, where=where and where(statement.excluded)
    )
