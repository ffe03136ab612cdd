"""The store opens only what it can trust, and says in plain words why a database cannot be used."""

import builtins
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, event, make_url, text
from tests.store.things import NOW, domain

from vedette.database import engine
from vedette.database.engine import sqlite_is_sound
from vedette.kernel.errors import Conflict, Corrupt, InvalidInput, Refused, Unavailable
from vedette.store import audit, domains
from vedette.store.engine import Store


def _titles(store: Store) -> dict[str, str]:
    with store.reading() as connection:
        return {one.id: one.title for one in domains.page(connection).items}


def _create(store: Store, name: str, title: str = "") -> None:
    with store.transaction() as connection:
        domains.create(connection, domain(name, title=title), actor="ada")


def _create_and_raise(connection: Connection, error: Exception) -> None:
    domains.create(connection, domain("pay"), actor="ada")
    raise error


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://host/db"]
)
def test_url_of_no_known_database_is_refused(url):
    """A URL that names no file and no PostgreSQL is refused, with the forms that are understood."""
    with pytest.raises(InvalidInput, match=r"sqlite:///folder/control\.db or postgresql://"):
        Store(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_one(scheme):
    """The common spellings of a PostgreSQL URL all mean the same driver, and making a store connects to nothing."""
    with closing(Store(f"{scheme}://nobody:secret@127.0.0.1:1/none")) as store:
        assert store.url.drivername == "postgresql+psycopg"
        assert "secret" not in store.where


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_sqlite_that_can_damage_its_files_is_known(version, sound):
    """Exactly the releases with the fix of the WAL-reset bug are trusted: 3.51.3 on, and the two back-ports."""
    assert sqlite_is_sound(version) is sound


def test_old_sqlite_is_refused_with_what_to_do(monkeypatch, tmp_path):
    """With nothing but an old SQLite at hand the store says which one, why, and what to install."""
    old = SimpleNamespace(sqlite_version_info=(3, 40, 1), sqlite_version="3.40.1")
    monkeypatch.setattr("importlib.import_module", lambda _: old)
    with pytest.raises(Unavailable, match=r"3\.40\.1.*pip install pysqlite3"):
        Store(f"sqlite:///{tmp_path}/control.db")


def test_missing_postgres_driver_is_told(monkeypatch):
    """Without the PostgreSQL driver the store says how to install it."""
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.startswith("psycopg"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.delitem(sys.modules, "psycopg")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unavailable, match=r"pip install 'vedette\[postgres\]'"):
        Store("postgresql://nobody@127.0.0.1:1/none")


def test_old_postgresql_is_refused(postgres_url, monkeypatch):
    """A PostgreSQL older than needed is refused at the first connection."""
    monkeypatch.setattr(engine, "_POSTGRES_NEEDED", 99)
    with closing(Store(postgres_url)) as store, pytest.raises(Unavailable, match="needs PostgreSQL 99"):
        _titles(store)


def test_sqlite_is_durable_and_keeps_its_references(sqlite_url):
    """SQLite runs with a write-ahead log, a full sync at each commit, and foreign keys."""
    with closing(Store(sqlite_url)) as store, store.reading() as connection:
        found = {p: connection.execute(text(f"PRAGMA {p}")).scalar_one() for p in ("journal_mode", "synchronous")}
        assert found == {"journal_mode": "wal", "synchronous": 2}
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        version = connection.execute(text("SELECT sqlite_version()")).scalar_one()
        major, minor, patch = map(int, version.split("."))
        assert sqlite_is_sound((major, minor, patch))


def test_failed_block_undoes_everything(store):
    """When the block raises, nothing it wrote is there, and its own error comes out unchanged."""
    reason = RuntimeError("changed my mind")
    with pytest.raises(RuntimeError) as caught, store.transaction() as connection:
        _create_and_raise(connection, reason)
    assert caught.value is reason
    assert _titles(store) == {}


def test_reading_sees_one_moment_and_writes_nothing(store, second):
    """A reading transaction sees no change made after it began, and refuses to write."""
    with store.reading() as connection:
        assert domains.page(connection).items == ()
        _create(second, "pay")
        assert domains.page(connection).items == ()
    assert list(_titles(store)) == ["pay"]
    with pytest.raises(Unavailable), store.reading() as connection:
        domains.create(connection, domain("law"), actor="ada")
    _create(store, "law")
    assert sorted(_titles(store)) == ["law", "pay"]


def test_two_writers_lose_nothing(store, second):
    """Writers on two connections, each reading before it writes, lose none of each other's changes."""
    _create(store, "pay", "0")

    def count(opened):
        done = 0
        while done < 20:
            try:
                with opened.transaction() as connection:
                    now = domains.get(connection, "pay")
                    changed = domain("pay", now.revision + 1, title=str(int(now.title) + 1))
                    domains.replace(connection, changed, expected_revision=now.revision, actor="ada")
            except Conflict:
                continue
            done += 1

    threads = [threading.Thread(target=count, args=(opened,)) for opened in (store, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _titles(store) == {"pay": "40"}


def test_locked_database_is_told(store_url):
    """A write that waits in vain for another one says so, and leaves the other undisturbed."""
    with closing(Store(store_url)) as slow, closing(Store(store_url, patience=0.2)) as hasty:
        with slow.transaction() as connection:
            audit.append(connection, at=NOW, actor="slow", action="look")
            with pytest.raises(Unavailable, match="try again"), hasty.transaction() as other:
                audit.append(other, at=NOW, actor="hasty", action="look")
        with hasty.reading() as connection:
            assert [entry.actor for entry in audit.stream(connection)] == ["slow"]


@pytest.mark.parametrize("title", ["nul \0", "half a \ud800 sign"])
def test_text_no_database_can_hold_is_refused(store, title):
    """Text that is not Unicode, or holds NUL, is refused as input on both databases, and nothing is stored."""
    with pytest.raises(InvalidInput):
        _create(store, "pay", title)
    with pytest.raises(InvalidInput), store.reading() as connection:
        domains.get(connection, title)
    assert _titles(store) == {}


def test_moment_without_zone_is_refused(store):
    """A moment that does not say its zone is never stored."""
    with pytest.raises(InvalidInput, match="zone"), store.transaction() as connection:
        domains.create(connection, domain("pay", created_at=NOW.replace(tzinfo=None)), actor="ada")


def test_unreachable_server_is_told():
    """When nothing listens, the store says what it tried, without the password, and what to check."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://ada:secret@127.0.0.1:{taken.getsockname()[1]}/vedette"
        with closing(Store(url)) as store, pytest.raises(Unavailable, match=r"127\.0\.0\.1.*URL") as caught:
            store.migrate()
    assert "secret" not in str(caught.value)


def test_missing_database_is_told(postgres_url):
    """A database that does not exist on the server is named."""
    absent = make_url(postgres_url).set(database="absent").render_as_string(hide_password=False)
    with closing(Store(absent)) as store, pytest.raises(Unavailable, match='"absent" does not exist'):
        _titles(store)


def test_server_that_was_restarted_is_found_again(store, second):
    """Connections the server closed, as it does when it restarts, are replaced without an error."""
    if store.is_sqlite:
        store.close()
    else:
        _titles(store)
        with second.transaction() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            connection.execute(text(f"{others} AND pid <> pg_backend_pid() AND application_name = 'vedette'"))
    assert _titles(store) == {}


def test_folder_of_the_file_is_made(tmp_path):
    """A SQLite database is made together with the folders it lies in."""
    with closing(Store(f"sqlite:///{tmp_path}/new/deep/control.db")) as store:
        store.migrate()
        assert _titles(store) == {}


def test_impossible_folder_is_told(tmp_path):
    """A folder that cannot be made is named."""
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot make the folder"):
        Store(f"sqlite:///{tmp_path}/file/control.db")


def test_file_that_is_no_database_is_told(tmp_path):
    """A file that is no SQLite database is called damaged and left as it is."""
    path = tmp_path / "control.db"
    path.write_bytes(b"not a database at all" * 100)
    with closing(Store(f"sqlite:///{path}")) as store, pytest.raises(Corrupt, match="backup"):
        store.migrate()
    assert path.read_bytes() == b"not a database at all" * 100


def test_database_without_tables_is_told(empty_url):
    """Using a database before its tables were made says what to run."""
    with closing(Store(empty_url)) as store, pytest.raises(Unavailable, match=r"Store\.migrate"):
        _titles(store)


def test_full_database_is_told_and_stays_sound(sqlite_url):
    """When the disk is full the change is refused as a whole, and the next one succeeds once there is room."""
    with closing(Store(sqlite_url)) as store:
        _create(store, "before")
        pages = {"most": 0}

        @event.listens_for(store._writing, "begin")
        def _limited(connection):
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages['most']}")

        pages["most"] = 1  # SQLite takes it as: not one page more than there are
        with pytest.raises(Unavailable, match="make room on the disk"):
            _create(store, "full", "x" * 1_000_000)
        pages["most"] = 1_000_000
        _create(store, "after", "x" * 1_000_000)
        assert sorted(_titles(store)) == ["after", "before"]
        with store.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


_LIMITED = """
import resource, signal, sys
from tests.store.things import domain
from vedette.kernel.errors import Unavailable
from vedette.store import domains
from vedette.store.engine import Store

store = Store(sys.argv[1])
with store.transaction() as connection:
    domains.create(connection, domain("before"), actor="ada")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    with store.transaction() as connection:
        domains.create(connection, domain("full", title="x" * 1_000_000), actor="ada")
except Unavailable as error:
    print("told", error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with store.transaction() as connection:
    domains.create(connection, domain("after"), actor="ada")
"""


def test_file_that_cannot_grow_is_told_and_stays_sound(sqlite_url):
    """When the operating system refuses to let the file grow, it is told, and nothing else is lost."""
    ran = subprocess.run(
        [sys.executable, "-c", _LIMITED, sqlite_url], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout in {
        "told make room on the disk, then try again\n",
        "told check the disk and the free space on it\n",
    }
    with closing(Store(sqlite_url)) as store:
        assert sorted(_titles(store)) == ["after", "before"]
        with store.reading() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def test_read_only_file_is_told(sqlite_url):
    """A database that may not be written says so at the first write; what it holds can still be read."""
    with closing(Store(sqlite_url)) as store:
        _create(store, "before")
    with closing(Store(f"{sqlite_url.replace('sqlite:///', 'sqlite:///file:')}?mode=ro&uri=true")) as store:
        assert list(_titles(store)) == ["before"]
        with pytest.raises(Unavailable, match="right to write"):
            _create(store, "after")


def test_standby_is_told(postgres_url):
    """A PostgreSQL that takes no writes, as a standby does, says so and names the way out."""
    url = make_url(postgres_url)
    standby = url.update_query_dict({"options": "-c default_transaction_read_only=on"})
    with (
        closing(Store(standby.render_as_string(hide_password=False))) as store,
        pytest.raises(Unavailable, match="point the URL at the primary"),
    ):
        _create(store, "pay")


def test_damaged_file_is_told(sqlite_url):
    """A database whose pages were overwritten is called damaged, never read as if it were whole."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with closing(Store(sqlite_url)) as store:
        for number in range(50):
            _create(store, f"d{number}", "x" * 2000)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with closing(Store(sqlite_url)) as store, pytest.raises(Corrupt, match="backup"):
        _titles(store)


def test_copied_file_is_a_whole_database(sqlite_url, tmp_path):
    """After the store is closed its one file is the whole database: it can be copied as a backup."""
    with closing(Store(sqlite_url)) as store:
        _create(store, "pay")
    copy = shutil.copy(sqlite_url.removeprefix("sqlite:///"), tmp_path / "copy.db")
    with closing(Store(f"sqlite:///{copy}")) as store:
        assert list(_titles(store)) == ["pay"]


def test_unforeseen_clash_is_a_conflict(store):
    """A write that breaks a rule no function speaks for is a conflict, and nothing of it is stored."""
    with pytest.raises(Conflict, match="clashes"), store.transaction() as connection:
        connection.execute(text("INSERT INTO counters (name) VALUES ('x')"))
    with pytest.raises((Conflict, Refused)), store.transaction() as connection:
        connection.execute(text("INSERT INTO audit_head VALUES (2, 0, '')"))
