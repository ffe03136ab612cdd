"""Migrations make exactly the tables the code speaks of, all or nothing, from many processes, and never backwards."""

import subprocess
import sys
from contextlib import closing

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from vedette.catalog.key import KeySpec
from vedette.kernel.errors import Refused, Unavailable
from vedette.kernel.records import evolve
from vedette.store import keys, migrations, tables
from vedette.store.engine import Store, schema_of


@pytest.fixture
def empty(empty_url):
    """An open store on a database without any table."""
    with closing(Store(empty_url)) as store:
        yield store


def _tables(store: Store) -> set[str]:
    with store.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_migrations_make_the_tables_of_the_code(empty):
    """After all migrations the database differs in nothing from what the code says its tables are."""
    empty.migrate()
    with empty.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        assert schema_of(connection) == tables.SCHEMA


def test_code_knows_the_newest_migration():
    """The schema the code names is the one end of the migrations' history."""
    assert ScriptDirectory.from_config(migrations.configuration()).get_heads() == [tables.SCHEMA]


def test_migrating_again_changes_nothing(store):
    """A database that is up to date is left alone, with what it holds."""
    with store.transaction() as connection:
        connection.execute(text("INSERT INTO counters VALUES ('kept', 7)"))
    store.migrate()
    with store.transaction() as connection:
        migrations.upgrade(connection)
        assert connection.execute(text("SELECT value FROM counters")).scalar_one() == 7


def test_four_processes_at_once_all_succeed(empty_url, empty):
    """Four processes that start on an empty database at the same moment all succeed, and the tables are there once."""
    script = "import sys; from vedette.store.engine import Store; s = Store(sys.argv[1]); s.migrate(); s.close()"
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", script, empty_url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [(process.returncode, error) for process, error in zip(processes, said, strict=True)] == [(0, "")] * 4
    assert _tables(empty) == {*tables.metadata.tables, "alembic_version"}


def test_newer_database_is_refused(store):
    """A database a newer vedette wrote is refused, untouched, with the way out."""
    with store.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match=r"9999.*upgrade vedette"):
        store.migrate()
    with store.reading() as connection:
        assert schema_of(connection) == "9999"


def test_keys_of_before_they_could_change_are_kept(empty):
    """A key that was made before keys had revisions and ends is at revision 1, has no end, and can be changed."""
    config = migrations.configuration()
    with empty.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        made = "'{}', 'd', 'p', '2026-11-23 12:00:00+00:00', 'ann', NULL, ''"
        connection.execute(text(f"INSERT INTO caller_keys VALUES ('0123456789ab', 'old', {made})"))  # noqa: S608 - fixed
    empty.migrate()
    with empty.transaction() as connection:
        old = keys.get(connection, "old")
        assert (old.revision, old.spec) == (1, KeySpec())
        keys.replace(connection, evolve(old, spec=KeySpec(note="n"), revision=2), expected_revision=1)
        assert keys.get(connection, "old").spec.note == "n"


_FAILS = f"""
from alembic import op

revision, down_revision = "9999", "{tables.SCHEMA}"

def upgrade():
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("DROP TABLE absent")
"""


def test_failing_migration_leaves_nothing(empty, monkeypatch, tmp_path):
    """When a migration fails half-way no table of it stays, nor of those before it in the same run."""
    (tmp_path / "9999_fails.py").write_text(_FAILS)
    sound = migrations.configuration()
    broken = migrations.configuration()
    broken.set_main_option("version_locations", f"{sound.get_main_option('script_location')}/versions:{tmp_path}")
    monkeypatch.setattr(migrations, "configuration", lambda: broken)
    with pytest.raises(Unavailable, match="absent"):
        empty.migrate()
    assert _tables(empty) == set()
    monkeypatch.setattr(migrations, "configuration", lambda: sound)
    empty.migrate()
    assert "domains" in _tables(empty)
