"""Many rows into a table at once, straight in the driver: binding by name costs more than the insert itself."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table


def insert_rows(connection: Connection, table: Table, rows: Iterable[tuple[object, ...]]) -> None:
    """Insert rows, whose values stand in the order of the table's columns."""
    execute_many(connection, str(table.insert().compile(dialect=connection.dialect)), rows)


def execute_many(connection: Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Execute a statement for many rows."""
    if parameters := list(rows):
        connection.exec_driver_sql(statement, parameters)
