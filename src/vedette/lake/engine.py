"""The lake's database: a SQLite file of its own, or the schema ``lake`` of a PostgreSQL, chosen by URL.

There is one writer at a time, by ``BEGIN IMMEDIATE`` on SQLite and by an advisory lock on PostgreSQL. So writers read,
decide and write without races, never deadlock, and the same statements serve both engines.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from vedette.database.engine import Database

_WRITER_LOCK = 0x7665_6465_7474_65  # "vedette" in ASCII: the advisory lock of the lake's one writer


class LakeDatabase(Database):
    """The lake's database; ``schema`` is the one its tables are in, None on SQLite."""

    def __init__(self, url: str, *, patience: float) -> None:
        # Rows go to the driver as tuples, many at a time; "format" is how psycopg takes those.
        postgres = {} if url.startswith("sqlite") else {"paramstyle": "format"}
        super().__init__(url, patience=patience, what="lake", file="outcomes.db", **postgres)
        self.schema = None if self.is_sqlite else "lake"

    @property
    def folder(self) -> Path | None:
        """Where segments are unless told otherwise: beside a SQLite file; a server has no such place."""
        if not self.is_sqlite:
            return None
        return Path(str(self.url.database).removeprefix("file:")).with_suffix(".segments")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open the one transaction that may write now; it is durable once the block is left.

        Raises:
            Unavailable: the database does not answer, is full, or another writer held it for too long.
            Corrupt: it answers, but its file is damaged.
        """
        with self.transaction() as connection:
            if self.schema:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
            yield connection
