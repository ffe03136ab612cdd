"""A plane on a folder, and a client of a server on the same folder."""

import pytest
from tests.cli.server import Server

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.client.client import Client
from vedette.control.plane import open_plane

BACKEND = OpenAIBackend(url="http://127.0.0.1:9/v1", model="m")
"""A backend nobody asks."""


@pytest.fixture
def folder(tmp_path):
    """A data folder with the domain ``payments``: ``v1`` serves, ``v2`` is registered."""
    with open_plane(tmp_path / "data") as plane:
        plane.domains.create("payments", DomainSpec(title="Payments"), actor="ada")
        for name in ("v1", "v2"):
            plane.versions.register("payments", name, VersionSpec(backend=BACKEND), actor="ada")
        plane.versions.install("payments", "v1", actor="ada")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def _server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def both(folder, _server):
    """A plane on the folder, and a client of a server on the same folder."""
    with _server.over(folder) as url, open_plane(folder) as plane, Client(url, actor="ada") as client:
        yield plane, client
