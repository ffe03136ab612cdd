"""A world on a fresh database, on SQLite and on PostgreSQL."""

import pytest
from tests.control.world import World


@pytest.fixture
def world(store_url):
    """A world without anything in it."""
    made = World(store_url)
    yield made
    made.plane.close()


@pytest.fixture
def pay(world):
    """A world with the domain ``pay``: v1 is stable, v2 is registered."""
    world.domain()
    return world


@pytest.fixture
def quick(sqlite_url):
    """A world on SQLite alone, for what does not depend on the database."""
    made = World(sqlite_url)
    yield made
    made.plane.close()
