"""The control database: what every transaction of the control plane is made on."""

import json

from sqlalchemy import Connection, inspect

from vedette.database.engine import PATIENCE, Database
from vedette.governance.audit import plain
from vedette.store import people_tables  # noqa: F401 - they belong to the metadata of the store
from vedette.store.tables import SCHEMA


class Store(Database):
    """The control database behind ``url`` (``sqlite:///folder/control.db`` or ``postgresql://user@host/name``).

    Args:
        url: where the database is.
        patience: seconds a write waits for another one before it gives up.

    Raises:
        InvalidInput: the URL names no database this code speaks to.
        Unavailable: the driver is missing, or the SQLite linked here is one that can damage its files.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        super().__init__(url, patience=patience, what="database", file="control.db", json_serializer=_json)

    def migrate(self) -> None:
        """Bring the tables to what this code needs; safe from several processes at once.

        Raises:
            Refused: the database was written by a newer vedette.
            Unavailable: the database does not answer.
        """
        with self.reading() as connection:
            if schema_of(connection) == SCHEMA:
                return
        from vedette.store.migrations import upgrade  # Alembic takes its time to import, and is seldom needed

        with self.transaction() as connection:
            upgrade(connection)


def schema_of(connection: Connection) -> str | None:
    """Say which migration a database stands at, or None when it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def _json(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
