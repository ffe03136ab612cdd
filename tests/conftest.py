"""Databases for every test: a fresh SQLite file, a fresh PostgreSQL database, or each in turn.

The tables are made once per session and copied, so a test pays for a copy and not for the migrations.
"""

import itertools
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from tests import postgres

from vedette.store.engine import Store

_numbers = itertools.count()

_LONG = (
    "gateway/test_many_experiments.py",
    "web/test_browser.py",
    "docs/test_docs.py",
    "api/test_openapi.py",
    "demo/test_run.py",
    "lake/test_sealing.py",
    "control/test_crashes.py",
    "database/test_failover.py",
    "database/test_cuts.py",
    "database/test_replicas.py",
)
"""Files that take long however few tests they hold: begun first, so that no worker waits for another at the end."""

settings.register_profile("untimed", deadline=None)  # no test asserts a time: machines are shared
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "control.db"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    store.close()
    return path


@pytest.fixture(scope="session")
def postgres_server():
    """The URL of a PostgreSQL server whose user may create databases; one per session and worker."""
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_template(postgres_server):
    name = f"vedette_template_{os.getpid()}"
    with postgres.database(postgres_server, name) as url:
        store = Store(url.render_as_string(hide_password=False))
        store.migrate()
        store.close()
        yield name


@pytest.fixture
def sqlite_url(tmp_path, _sqlite_template):
    """The URL of a fresh SQLite database with its tables made."""
    path = Path(shutil.copy(_sqlite_template, tmp_path / "control.db"))
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_server, _postgres_template):
    """The URL of a fresh PostgreSQL database with its tables made."""
    name = f"vedette_test_{os.getpid()}_{next(_numbers)}"
    with postgres.database(postgres_server, name, _postgres_template) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request):
    """The URL of a fresh database with its tables made, on SQLite and then on PostgreSQL."""
    return request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param])


@pytest.fixture
def store(store_url):
    """An open store on a fresh database, on SQLite and then on PostgreSQL."""
    opened = Store(store_url)
    yield opened
    opened.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; all others stay in their order."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(_LONG))
