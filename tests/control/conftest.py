"""A world on a fresh database, on SQLite and on PostgreSQL."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.control.trials import prepare
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


@pytest.fixture
def trial(world):
    """A world with the domain ``pay``, versions v1 (stable), v2 and v3, on both databases."""
    prepare(world)
    return world


@pytest.fixture
def lab(quick):
    """The same on SQLite alone."""
    prepare(quick)
    return quick


@pytest.fixture
def posted(monkeypatch):
    """What was posted to webhooks: effect ids and bodies."""
    sent: list[tuple[str, Mapping[str, Any]]] = []
    monkeypatch.setattr("vedette.connectors.webhook.post", lambda _, body, effect_id: sent.append((effect_id, body)))
    return sent
