"""A fresh lake for every test, on SQLite and then on PostgreSQL."""

import pytest

from vedette.lake.outcomes import Lake


@pytest.fixture(params=["sqlite", "postgresql"])
def lake_url(request, tmp_path):
    """The URL of a lake that does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'outcomes.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def local_lake(tmp_path):
    """An empty lake in a file, for what is the same wherever a lake lives."""
    opened = Lake(f"sqlite:///{tmp_path / 'outcomes.db'}")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def lake(lake_url):
    """An empty lake, on SQLite and then on PostgreSQL."""
    opened = Lake(lake_url)
    opened.migrate()
    yield opened
    opened.close()
