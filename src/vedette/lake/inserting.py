"""Many rows into a table at once, straight in the driver: binding by name costs more than the insert itself."""
# ruff: noqa: S608 - only names of our own tables and columns

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table

from vedette.lake.columns import json_text

Row = tuple[object, ...]


def insert_rows(
    connection: Connection,
    table: Table,
    rows: Iterable[Row],
    *,
    names: Sequence[str] = (),
    replace: bool = False,
    ignore: bool = False,
) -> int:
    """Insert rows, whose values stand in the order of the named columns, or of all.

    A row that has the same key already is replaced with `replace`, and stays with `ignore`; gives how many rows were
    written.
    """
    values = list(rows)
    if not values:
        return 0
    columns = [table.c[name] for name in names] or list(table.columns)
    quote = connection.dialect.identifier_preparer
    named = ", ".join(quote.format_column(column) for column in columns)
    into = f"INSERT INTO {quote.format_table(table)} ({named})"
    conflict = _replacing(table, columns) if replace else " ON CONFLICT DO NOTHING" if ignore else ""
    if connection.dialect.name == "postgresql":  # one statement: the server is asked once, not once a row
        arrays = unnested(connection, columns)
        return connection.exec_driver_sql(f"{into} SELECT * FROM {arrays}{conflict}", _by_column(values)).rowcount
    marks = ", ".join("?" * len(columns))
    return connection.exec_driver_sql(f"{into} VALUES ({marks}){conflict}", values).rowcount


def matching(connection: Connection, table: Table, keys: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Give the rows that have one of some primary keys."""
    if not keys:
        return []
    columns = list(table.primary_key.columns)
    quote = connection.dialect.identifier_preparer
    if connection.dialect.name == "postgresql":
        wanted = f"{unnested(connection, columns)} AS wanted({', '.join(column.name for column in columns)})"
        same = [f"wanted.{column.name} = held.{column.name}" for column in columns]
        parameters: tuple[object, ...] = _by_column(keys)
    else:
        wanted = "json_each(?) AS wanted"
        same = [f"wanted.value ->> {place} = held.{column.name}" for place, column in enumerate(columns)]
        parameters = (json_text(keys),)
    query = f"SELECT held.* FROM {wanted} JOIN {quote.format_table(table)} AS held ON {' AND '.join(same)}"
    return [tuple(row) for row in connection.exec_driver_sql(query, parameters)]


def unnested(connection: Connection, columns: Sequence[Column[object]]) -> str:
    """Write a relation of parameters, an array a column, for PostgreSQL."""
    types = (column.type.compile(dialect=connection.dialect) for column in columns)
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in types)})"


def _replacing(table: Table, columns: Sequence[Column[object]]) -> str:
    key = ", ".join(column.name for column in table.primary_key.columns)
    others = (column.name for column in columns if not column.primary_key)
    return f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}"


def _by_column(rows: Sequence[Row]) -> tuple[object, ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))
