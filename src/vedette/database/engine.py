"""A database by its URL: SQLite in one file, or PostgreSQL; transactions that fail in plain words.

SQLite runs in WAL mode with ``synchronous=FULL`` and every writing transaction begins with ``BEGIN IMMEDIATE``, so a
writer never fails half-way because another one was faster. One process that is stopped inside a transaction keeps all
others from writing, as long as it stands: for several replicas use PostgreSQL, whose server cuts such a one off.
PostgreSQL runs in READ COMMITTED; what must not race is guarded by revisions, row locks and unique indexes.
"""

import importlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from vedette.database import address, pooler
from vedette.database.failures import told
from vedette.kernel.errors import InvalidInput, Unavailable

_POSTGRES_NEEDED = 14
_READ_ONLY = "25006"
_PAUSE = 0.01  # seconds between two tries to switch a file to WAL
PATIENCE = 10.0
"""Seconds a write waits for another one, unless told otherwise."""


class Database:
    """The database behind a URL (``sqlite:///folder/file.db`` or ``postgresql://user@host/name``).

    Making one opens nothing but checks that the driver is there and sound; the first transaction connects.

    Args:
        url: where the database is.
        patience: seconds a write waits for another one before it gives up.
        what: what it is called when it fails.
        file: what its SQLite file is usually called, for hints.
        options: more for SQLAlchemy's `create_engine`.

    Raises:
        InvalidInput: the URL names no database this code speaks to.
        Unavailable: the driver is missing, or the SQLite linked here is one that can damage its files.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float,
        what: str,
        file: str,
        **options: Any,  # noqa: ANN401 - `create_engine` says what they are
    ) -> None:
        self.url = address.read(url, what, file)
        self.shown = address.shown(self.url)
        self.where = f"{what} {self.shown}"
        make = _sqlite if self.is_sqlite else _postgres
        self._writing = make(self.url, patience, options)
        self._reading = self._writing.execution_options(
            vedette_reading=True,
            **({} if self.is_sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}),
        )

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def servers(self) -> int:
        """How many servers the URL names."""
        return address.servers(self.url)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a writing transaction: committed when the block ends, undone when it raises.

        Raises:
            Unavailable: the database does not answer, is full, read-only or locked for too long; nothing was written.
                Where the server died while it committed, nobody knows, and the error says so.
            Conflict: it clashed with another transaction; nothing was written and the caller may try again.
        """
        committing = False
        try:
            with self._writing.begin() as connection:
                yield connection
                committing = True
        except SQLAlchemyError as error:
            raise told(error, self.where, committing=committing) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment of the database and can write nothing.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            with self._reading.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise told(error, self.where) from error

    def close(self) -> None:
        """Close all connections; it can still be used, and opens new ones."""
        self._writing.dispose()


def sqlite_is_sound(version: tuple[int, int, int]) -> bool:
    """Say whether a SQLite is free of the bug that can damage a WAL database several processes use.

    Fixed in 3.51.3, and in 3.50.7 and 3.44.6 of the older lines (https://sqlite.org/wal.html#walresetbug).
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def sqlite_driver() -> ModuleType:
    """Give the driver of a SQLite that is free of it: pysqlite3's, or Python's own.

    Raises:
        Unavailable: neither is.
    """
    found = []
    for name in ("pysqlite3.dbapi2", "sqlite3"):
        try:
            driver = importlib.import_module(name)
        except ImportError:
            continue
        if sqlite_is_sound(driver.sqlite_version_info):
            return driver
        found.append(driver.sqlite_version)
    raise Unavailable(
        f"SQLite {' and '.join(found)} can damage a database that several processes write",
        hint="pip install pysqlite3 (it brings a newer SQLite), or use a postgresql:// URL",
    )


def _sqlite(url: URL, patience: float, options: Mapping[str, Any]) -> Engine:
    driver = sqlite_driver()
    folder = Path(str(url.database).removeprefix("file:")).parent  # SQLite's own URIs begin so
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the folder {folder}: {error.strerror}", hint="choose another one") from error
    engine = create_engine(url, module=driver, pool_timeout=patience, connect_args={"timeout": patience}, **options)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
        connection.isolation_level = None  # the driver begins nothing by itself
        _switch_to_wal(connection, driver, patience)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        reading = connection.get_execution_options().get("vedette_reading", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reading else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _switch_to_wal(connection: Any, driver: ModuleType, patience: float) -> None:  # noqa: ANN401 - a driver's connection
    """Switch a file to WAL; SQLite waits for nobody there, so the first ones to open a new file wait for each other."""
    last = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except driver.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _postgres(url: URL, patience: float, options: Mapping[str, Any]) -> Engine:
    servers = address.servers(url)
    # A replica stopped inside a transaction is cut off before those who wait for it lose their patience.
    waits = {"lock_timeout": patience, "idle_in_transaction_session_timeout": 0.8 * patience}
    limits = {} if "options" in url.query else {name: round(1000 * seconds) for name, seconds in waits.items()}
    silence = max(2, round(patience))
    arguments: dict[str, object] = {
        "connect_timeout": max(2, round(patience / servers)),  # for each of them
        "application_name": "vedette",
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
        # A machine that is gone says nothing at all; without these, hours pass before its connections count as dead.
        "tcp_user_timeout": 1000 * silence,
        "keepalives_idle": silence,
        "keepalives_interval": max(1, silence // 4),
        "keepalives_count": 4,
    }
    if servers > 1:
        arguments["target_session_attrs"] = "read-write"
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    try:
        engine = create_engine(url, pool_timeout=patience, pool_pre_ping=True, connect_args=arguments, **options)
        _check_options(url)
    except ArgumentError as error:
        raise InvalidInput("that is no database URL", hint="write postgresql://user:password@host:5432/name") from error
    except ImportError as error:
        raise Unavailable("the PostgreSQL driver is not installed", hint="pip install 'vedette[postgres]'") from error

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
        version = connection.info.server_version
        if version < _POSTGRES_NEEDED * 10_000:
            raise Unavailable(
                f"PostgreSQL {version // 10_000} is too old",
                hint=f"vedette needs PostgreSQL {_POSTGRES_NEEDED} or newer",
            )

    pooler.heed(engine, limits)

    @event.listens_for(engine, "handle_error")
    def _failed(context: ExceptionContext) -> None:
        # What takes no writes any more is no primary: the next transaction looks for the one there is now.
        state = getattr(context.original_exception, "sqlstate", None)
        reading = context.connection and context.connection.get_execution_options().get("vedette_reading", False)
        if state == _READ_ONLY and not reading:
            context.is_disconnect = True

    @event.listens_for(engine, "checkin")
    def _returned(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's, of whichever database
        # After a read, SQLAlchemy would ask for READ WRITE by name, which overrules a database that was made read-only.
        if connection is not None:
            connection.read_only = None

    return engine


def _check_options(url: URL) -> None:
    """Refuse a URL with options the driver does not know, before anything is connected."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    if unknown := sorted(url.query.keys() - known):
        raise InvalidInput(
            f"{unknown[0]!r} is no option of a PostgreSQL URL", hint="options are those of libpq, such as sslmode"
        )
