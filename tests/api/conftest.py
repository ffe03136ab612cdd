"""A control plane with something in it, and the API over it."""

import shutil

import pytest
from starlette.testclient import TestClient
from tests.api.trials import WORDS, create, do

from vedette.api.app import create_app
from vedette.api.events import StreamLimits
from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.plane import ControlPlane, open_plane


@pytest.fixture(scope="session")
def _template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    open_plane(folder).close()
    return folder


@pytest.fixture
def plane(tmp_path, _template):
    """An empty control plane."""
    with open_plane(shutil.copytree(_template, tmp_path / "plane")) as opened:
        yield opened


@pytest.fixture
def client(plane):
    """The API over an empty control plane, in this process."""
    app = create_app(plane, stream_limits=StreamLimits(lifetime=0.0, poll=0.01))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def backend(model: str) -> OpenAIBackend:
    """A backend nobody asks."""
    return OpenAIBackend(url="http://127.0.0.1:9/v1", model=model)


def furnish(plane: ControlPlane) -> None:
    """Give a plane the domain ``support`` with stable v1 and a second version v2."""
    plane.domains.create("support", DomainSpec(title="Support"), actor="ann")
    for name in ("v1", "v2"):
        plane.versions.register("support", name, VersionSpec(backend=backend(name)), actor="ann")
    plane.versions.install("support", "v1", actor="ann")


@pytest.fixture
def furnished(plane):
    """The plane with the domain ``support``: v1 is stable, v2 is registered."""
    furnish(plane)
    return plane


@pytest.fixture
def drafted(client, furnished):  # noqa: ARG001 - it has to be there first
    """An experiment of v1 against v2, drafted over HTTP."""
    return create(client, coverage="40%", reserve=60)


@pytest.fixture
def running(client, drafted):  # noqa: ARG001 - it has to be there first
    """The same, with three arms, running."""
    create(client, "trio", variants=["v1", "v2", WORDS], dimensions=["x-plan"])
    return do(client, "start", name="trio")
