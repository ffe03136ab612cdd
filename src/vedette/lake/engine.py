"""The lake's database: a SQLite file of its own, or the schema ``lake`` of a PostgreSQL, chosen by URL.

There is one writer at a time, by ``BEGIN IMMEDIATE`` on SQLite and by an advisory lock on PostgreSQL. So writers read,
decide and write without races, never deadlock, and the same statements serve both engines.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from vedette.kernel.errors import Corrupt, InvalidInput, Unavailable

_SPOKEN = "write sqlite:///folder/outcomes.db or postgresql://user:password@host:5432/name"
_WRITER_LOCK = 0x7665_6465_7474_65  # "vedette" in ASCII: the advisory lock of the lake's one writer


class Database:
    """Transactions on a SQLite file or a PostgreSQL schema; the first one connects.

    Args:
        url: ``sqlite:///folder/outcomes.db`` or ``postgresql://user:password@host:5432/name``.
        patience: Seconds a writer waits for another one before it gives up.

    Raises:
        InvalidInput: The URL names neither.
        Unavailable: The driver is missing, or the folder of the file cannot be made.
    """

    def __init__(self, url: str, patience: float) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise InvalidInput("that is no database URL", hint=_SPOKEN) from error
        self.where = f"the lake at {parsed.render_as_string(hide_password=True)}"
        kind = parsed.drivername.partition("+")[0]
        if kind == "sqlite" and parsed.database not in {None, "", ":memory:"}:
            self.schema, self._engine = None, _sqlite(parsed.set(drivername="sqlite+pysqlite"), patience)
        elif kind in {"postgresql", "postgres"}:
            self.schema, self._engine = "lake", _postgres(parsed.set(drivername="postgresql+psycopg"), patience)
        else:
            raise InvalidInput(f"{self.where} cannot be", hint=_SPOKEN)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the lake, however many queries it makes.

        Raises:
            Unavailable: The database does not answer, or was never migrated.
            Corrupt: It answers, but its file is damaged.
        """
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.schema else {}
        with self._translated(), self._engine.execution_options(**options).begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open the one transaction that may write now; it is durable once the block is left.

        Raises:
            Unavailable: The database does not answer, is full, or another writer held it for too long.
            Corrupt: It answers, but its file is damaged.
        """
        with self._translated(), self._engine.execution_options(vedette_writes=True).begin() as connection:
            if self.schema:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
            yield connection

    def close(self) -> None:
        """Close all connections; the next transaction opens new ones."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Tell what the database says in the words of `kernel.errors`."""
        try:
            yield
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error)
            if isinstance(error, DatabaseError) and ("malformed" in said or "not a database" in said):
                raise Corrupt(f"{self.where} is damaged: {said}", hint="restore it from a backup") from error
            raise Unavailable(f"{self.where} cannot be used: {said}") from error


def _driver() -> ModuleType:
    """Find a SQLite free of the WAL-reset bug, which can damage a file that several processes write.

    Fixed in 3.51.3, and in 3.50.7 and 3.44.6 of the older lines (https://sqlite.org/wal.html).
    """
    for name in ("pysqlite3.dbapi2", "sqlite3"):
        try:
            driver = importlib.import_module(name)
        except ImportError:
            continue
        version = driver.sqlite_version_info
        if version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45):
            return driver
    raise Unavailable("no SQLite here is safe for several writers", hint="pip install pysqlite3, or use PostgreSQL")


def _sqlite(url: URL, patience: float) -> Engine:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the folder {folder}: {error.strerror}") from error
    engine = create_engine(url, module=_driver(), connect_args={"timeout": patience})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("vedette_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: URL, patience: float) -> Engine:
    # A writer that is stopped inside its transaction must not stop the others for longer than this.
    limits = {"lock_timeout": patience, "idle_in_transaction_session_timeout": 3 * patience}
    arguments: dict[str, object] = {"connect_timeout": max(2, round(patience)), "application_name": "vedette-lake"}
    if "options" not in url.query:
        arguments["options"] = " ".join(f"-c {name}={round(1000 * seconds)}" for name, seconds in limits.items())
    try:
        return create_engine(url, pool_pre_ping=True, paramstyle="format", connect_args=arguments)
    except ImportError as error:
        raise Unavailable("the PostgreSQL driver is not installed", hint="pip install 'vedette[postgres]'") from error
