"""Domains and versions through the plane: lifecycle, revisions, first versions, and who is served by what."""

import pytest
from tests.control.world import World

from vedette.catalog.domain import DomainSpec
from vedette.catalog.lifecycle import DomainState
from vedette.catalog.version import VersionSpec
from vedette.kernel.documents import load
from vedette.kernel.errors import Conflict, Corrupt, InvalidInput, NotFound, Refused, StaleRevision
from vedette.rollouts.machine import Phase


def domain_spec(**fields: object) -> DomainSpec:
    """Make what a user says of a domain."""
    return load(DomainSpec, fields)


def version_spec(model: str = "m", **fields: object) -> VersionSpec:
    """Make what a user says of a version."""
    return load(VersionSpec, {"backend": {"kind": "openai", "url": "http://localhost:1/v1", "model": model}} | fields)


def test_domain_serves_nothing_before_its_first_version(world):
    """A new domain has a plan that serves nothing; installing its first version makes one that does."""
    world.domain(versions=())
    assert (world.plane.traffic.plan("pay").serving, world.plane.traffic.plan("pay").stable) == (False, "")
    with pytest.raises(Refused, match="serves nothing now"):
        world.plane.traffic.choose("pay", "alice")
    world.plane.versions.register("pay", "v1", version_spec(), actor="ada")
    world.plane.versions.install("pay", "v1", actor="ada")
    assert world.plane.traffic.choose("pay", "alice").version == "v1"


def test_equal_plan_is_not_published_again(pay):
    """A change that alters nothing about who is served makes no plan."""
    revision = pay.plane.traffic.plan("pay").revision
    pay.plane.versions.install("pay", "v1", actor="ada", why="again")
    assert pay.plane.traffic.plan("pay").revision == revision


def test_only_the_first_version_is_installed(pay):
    """A second version takes no shortcut around a rollout."""
    with pytest.raises(Refused, match="has a stable version already"):
        pay.plane.versions.install("pay", "v2", actor="ada")
    with pytest.raises(NotFound):
        pay.plane.versions.install("pay", "v9", actor="ada")


def test_versions_never_change(pay):
    """Registering the same version again gives it back; another spec under its name is refused."""
    known = pay.plane.versions.get("pay", "v1")
    assert pay.plane.versions.register("pay", "v1", known.spec, actor="bob") == known
    with pytest.raises(Conflict, match="exists with another spec"):
        pay.plane.versions.register("pay", "v1", version_spec("other"), actor="bob")
    with pytest.raises(NotFound, match="'v9'"):
        pay.plane.versions.register("pay", "v3", version_spec(parent="v9"), actor="bob")
    with pytest.raises(InvalidInput, match="cannot name a version"):
        pay.plane.versions.register("pay", "V 3", version_spec(), actor="bob")
    assert pay.plane.versions.register("pay", "v3", version_spec(parent="v2"), actor="bob").spec.parent == "v2"


def test_artefact_that_is_not_its_digest_is_refused(pay, tmp_path):
    """A local artefact that is missing or corrupt is refused before anything is written."""
    artefact = tmp_path / "model.skops"
    backend = {"kind": "local", "artefact": str(artefact), "digest": "0" * 64}
    before = pay.everything()
    with pytest.raises(NotFound):
        pay.plane.versions.register("pay", "v3", load(VersionSpec, {"backend": backend}), actor="ada")
    artefact.write_bytes(b"not what it was")
    with pytest.raises(Corrupt):
        pay.plane.versions.register("pay", "v3", load(VersionSpec, {"backend": backend}), actor="ada")
    assert pay.everything() == before


def test_archived_domain_serves_nothing_and_loses_nothing(pay):
    """Archiving stops serving; restoring serves the same stable version again, with all its history."""
    pay.deploy()
    pay.until(Phase.PROMOTED)
    pay.plane.domains.archive("pay", actor="ada")
    assert pay.plane.domains.get("pay").state is DomainState.ARCHIVED
    assert not pay.plane.traffic.plan("pay").serving
    with pytest.raises(Refused, match="archived"):
        pay.plane.versions.register("pay", "v3", version_spec(), actor="ada")
    pay.plane.domains.restore("pay", actor="ada")
    assert (pay.plane.traffic.plan("pay").serving, pay.plane.traffic.plan("pay").stable) == (True, "v2")
    assert len(pay.plane.canary.decisions("pay").items) == 4


@pytest.mark.parametrize("verb", ["archive", "delete"])
def test_domain_with_an_active_rollout_stays(pay, verb):
    """A domain is neither archived nor deleted under a running rollout; nothing of it is changed."""
    pay.deploy()
    before = pay.everything()
    with pytest.raises(Refused, match="depend on it"):
        getattr(pay.plane.domains, verb)("pay", actor="ada")
    assert pay.everything() == before


def test_served_domain_is_archived_before_it_is_deleted(pay):
    """Delete refuses while the domain is served; afterwards its record stays and it takes no changes."""
    with pytest.raises(Refused, match="archive it first"):
        pay.plane.domains.delete("pay", actor="ada")
    pay.plane.domains.archive("pay", actor="ada")
    pay.plane.domains.delete("pay", actor="ada")
    assert pay.plane.domains.get("pay").state is DomainState.DELETED
    assert [domain.id for domain in pay.plane.domains.page().items] == []
    with pytest.raises(Refused, match="cannot update a domain that is deleted"):
        pay.plane.domains.update("pay", domain_spec(title="x"), actor="ada")
    assert pay.plane.governance.verify() == ()


def test_update_is_revisioned_and_guarded(pay):
    """Each change makes a revision; an equal one makes none; a stale one is refused and loses nothing."""
    revision = pay.plane.domains.get("pay").revision
    changed = pay.plane.domains.update("pay", domain_spec(title="Payments"), actor="ada", expected_revision=revision)
    assert (changed.title, changed.revision) == ("Payments", revision + 1)
    assert pay.plane.domains.apply("pay", domain_spec(title="Payments"), actor="ada") == changed
    with pytest.raises(StaleRevision, match="read it again"):
        pay.plane.domains.update("pay", domain_spec(title="Other"), actor="ada", expected_revision=revision)
    assert pay.plane.domains.get("pay") == changed
    assert [each.domain.revision for each in pay.plane.domains.revisions("pay").items] == [revision + 1, revision]
    entry = pay.plane.governance.entries(action="domain.update").items[-1]
    assert entry.details["changed"]["title"] == ["", "Payments"]


def test_domain_that_exists_is_refused(pay: World):
    """A second domain of the same id is refused; a name that could not stand in a URL too."""
    with pytest.raises(Conflict):
        pay.plane.domains.create("pay", domain_spec(), actor="ada")
    with pytest.raises(InvalidInput, match="cannot name a domain"):
        pay.plane.domains.create("Pay!", domain_spec(), actor="ada")


def test_gateways_read_only_what_changed(pay):
    """A poll gives the plans that changed since the last one, and all of them to a new gateway."""
    pay.domain("legal")
    sequence, plans = pay.plane.traffic.poll(0)
    assert {plan.domain for plan in plans} == {"legal", "pay"}
    assert pay.plane.traffic.poll(sequence) == (sequence, [])
    pay.deploy()
    pay.plane.reconciler.tick()
    newer, changed = pay.plane.traffic.poll(sequence)
    assert newer > sequence
    assert [(plan.domain, plan.weight) for plan in changed] == [("pay", 100_000)]
