"""What many tests of the store begin with."""

import os

import pytest
from tests import postgres
from tests.store.things import domain, version

from vedette.store import domains, versions
from vedette.store.engine import Store


@pytest.fixture
def catalogue(store):
    """A store with the domain ``pay`` and its versions v1, v2 and v3."""
    with store.transaction() as connection:
        domains.create(connection, domain("pay"), actor="ada")
        for name in ("v1", "v2", "v3"):
            versions.create(connection, version("pay", name))
    return store


@pytest.fixture
def second(store_url, store):  # noqa: ARG001 - the same database as `store`, opened once more
    """Another process's view of the same database: a second store with connections of its own."""
    opened = Store(store_url)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """The URL of a database without any table, on SQLite and then on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    with postgres.database(request.getfixturevalue("postgres_server"), f"vedette_empty_{os.getpid()}") as url:
        yield url.render_as_string(hide_password=False)
