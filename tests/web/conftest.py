"""A control plane with something in it, and the whole site over it."""

import shutil

import pytest
from starlette.testclient import TestClient
from tests.control.world import Clock
from tests.web.site import PASSWORD, sign_in

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.instruments import Instruments
from vedette.control.plane import open_plane
from vedette.governance.roles import Role
from vedette.web.app import create_app
from vedette.web.live import Limits


class Dice(Clock):
    """Ids that are the same in every run, so that every run has the same users in the same arms; the time is real."""

    now = Instruments.now
    monotonic = Instruments.monotonic


@pytest.fixture(scope="session")
def _template(tmp_path_factory):
    """An empty plane with an admin ann, an operator oda and a viewer vic (scrypt is slow, so once)."""
    folder = tmp_path_factory.mktemp("template")
    with open_plane(folder, actor="setup") as plane:
        for name, role in (("ann", Role.ADMIN), ("oda", Role.OPERATOR), ("vic", Role.VIEWER)):
            plane.people.accept(plane.people.invite(name, role), name, PASSWORD)
    return folder


@pytest.fixture
def plane(tmp_path, _template):
    """A control plane with three people and nothing else."""
    with open_plane(shutil.copytree(_template, tmp_path / "plane"), actor="", instruments=Dice()) as opened:
        yield opened


@pytest.fixture
def site(plane):
    """The site over it, nobody signed in."""
    app = create_app(plane, live_limits=Limits(lifetime=0.0, poll=0.01))
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as opened:
        yield opened


@pytest.fixture
def admin(site):
    """The site, ann (admin) signed in."""
    return sign_in(site, "ann")


@pytest.fixture
def operator(site):
    """The site, oda (operator) signed in."""
    return sign_in(site, "oda")


@pytest.fixture
def viewer(site):
    """The site, vic (viewer) signed in."""
    return sign_in(site, "vic")


@pytest.fixture
def furnished(plane):
    """The plane with the domain ``support``: v1 is stable, v2 is registered."""
    plane.domains.create("support", DomainSpec(title="Support"), actor="ann", labels={"team": "blue"})
    for name in ("v1", "v2"):
        spec = VersionSpec(backend=OpenAIBackend(url="http://127.0.0.1:9/v1", model=name))
        plane.versions.register("support", name, spec, actor="ann")
    plane.versions.install("support", "v1", actor="ann")
    return plane
