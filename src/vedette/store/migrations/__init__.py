"""The history of the tables, as Alembic migrations that ship with the package.

The documents in JSON columns belong to the schema too: records refuse fields they do not know, so a release that drops
or renames a field of a stored record, or adds one without a default, brings a migration that rewrites the rows.
"""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from vedette.kernel.errors import Refused

_LOCK = 0x7665_6465_7474_65  # "vedette": the advisory lock of those who migrate
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps its context in a global


def configuration() -> Config:
    """Give Alembic's settings; there is no alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, inside the caller's transaction and one process at a time.

    SQLite's transaction holds the write lock already; PostgreSQL's takes an advisory lock for its duration.

    Raises:
        Refused: the database is newer than this code.
    """
    config = configuration()
    with _ONE_AT_A_TIME:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # a long migration elsewhere is worth the wait
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise Refused(
                f"the database is at schema {current}, this code knows up to {max(known)}",
                hint="upgrade vedette here; a newer database is never taken back",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
