"""A version in the shadow reaches gateways with the plan, as soon as it is there."""

from tests.control.world import World

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.catalog.shadow import Shadow
from vedette.catalog.version import VersionSpec


def test_a_shadow_begins_when_its_version_is_registered(pay: World):
    """A domain may name a version that is still to come; registering it publishes a plan that has its backend."""
    plane = pay.plane
    plane.domains.update("pay", DomainSpec(config=DomainConfig(shadow=Shadow(version="v9"))), actor="ann")
    before = plane.traffic.plan("pay")
    assert before.config.shadow == Shadow(version="v9")
    assert "v9" not in before.backends
    backend = OpenAIBackend(url="http://127.0.0.1:9/v1", model="m")
    plane.versions.register("pay", "v9", VersionSpec(backend=backend), actor="ann")
    after = plane.traffic.plan("pay")
    assert (after.revision, after.backends["v9"]) == (before.revision + 1, backend)
    plane.versions.register("pay", "v10", VersionSpec(backend=backend), actor="ann")
    assert plane.traffic.plan("pay") == after
