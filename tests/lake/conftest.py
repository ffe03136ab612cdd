"""A fresh lake for every test, on SQLite and then on PostgreSQL."""

import pytest
from tests.lake import clusters

from vedette.lake.outcomes import Lake


class SealingLake(Lake):
    """A lake whose sealer is always there in time: whatever is asked for, or forgotten, is in a segment."""

    def _over(self, *arguments):
        self.seal()
        return super()._over(*arguments)

    def _again(self, ask):
        self.seal()
        return super()._again(ask)

    def feedback(self, items):
        """Seal what is spooled, then judge."""
        self.seal()
        return super().feedback(items)

    def prune(self, *arguments):
        """Seal what is spooled, then prune."""
        self.seal()
        return super().prune(*arguments)

    def erase(self, domain):
        """Seal what is spooled, then erase."""
        self.seal()
        super().erase(domain)


@pytest.fixture(params=["sqlite", "sealed", "postgresql"])
def lake_url(request, tmp_path):
    """The URL of a lake that does not exist yet."""
    if request.param in {"sqlite", "sealed"}:
        return f"sqlite:///{tmp_path / 'outcomes.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def spark_url(tmp_path_factory):
    """The URL of a Spark cluster of a master and two workers."""
    with clusters.spark(tmp_path_factory.mktemp("spark")) as url:
        yield url


@pytest.fixture(scope="session")
def clickhouse_url():
    """The URL of ClickHouse's engine behind its HTTP interface."""
    with clusters.clickhouse() as url:
        yield url


@pytest.fixture
def local_lake(tmp_path):
    """An empty lake in a file, for what is the same wherever a lake lives."""
    opened = Lake(f"sqlite:///{tmp_path / 'outcomes.db'}")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def lake(lake_url, request):
    """An empty lake, on SQLite, on SQLite with everything in segments, and on PostgreSQL."""
    opened = (SealingLake if request.node.callspec.params.get("lake_url") == "sealed" else Lake)(lake_url)
    opened.migrate()
    yield opened
    opened.close()
