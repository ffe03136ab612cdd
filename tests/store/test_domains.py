"""Domains are stored with every revision, changed by compare-and-swap, and listed by cursor."""

import pytest
from tests.store.things import NOW, after, domain, rollout

from vedette.catalog.lifecycle import DomainState
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, StaleRevision
from vedette.store import domains, rollouts, versions


def test_domain_reads_back_as_it_was_stored(store):
    """What is stored is read back equal, to the microsecond and in every script."""
    made = domain("pay", title="Zahlungen 支払い")
    with store.transaction() as connection:
        domains.create(connection, made, actor="ada")
    with store.reading() as connection:
        assert domains.get(connection, "pay") == made


def test_unknown_domain_is_not_found(store):
    """Asking for a domain there is none of says so."""
    with store.reading() as connection, pytest.raises(NotFound, match="'nope'"):
        domains.get(connection, "nope")


def test_second_domain_of_an_id_is_refused(catalogue):
    """An id can be taken once, and stays taken after deletion."""
    with pytest.raises(Conflict, match="'pay' exists"), catalogue.transaction() as connection:
        domains.create(connection, domain("pay"), actor="eve")
    with catalogue.transaction() as connection:
        domains.replace(connection, domain("pay", 2, state=DomainState.DELETED), expected_revision=1, actor="ada")
    with pytest.raises(Conflict), catalogue.transaction() as connection:
        domains.create(connection, domain("pay"), actor="eve")


def test_every_revision_is_kept_with_its_author(store):
    """Each change makes a revision that says how the domain stood, since when, and who changed it."""
    made = [domain("pay", number, title=f"title {number}") for number in (1, 2, 3)]
    with store.transaction() as connection:
        domains.create(connection, made[0], actor="ada")
        domains.replace(connection, made[1], expected_revision=1, actor="bob")
        domains.replace(connection, made[2], expected_revision=2, actor="cy")
    with store.reading() as connection:
        assert domains.get(connection, "pay") == made[2]
        kept = domains.revisions(connection, "pay").items
        assert [(one.domain, one.actor) for one in kept] == list(zip(made, ("ada", "bob", "cy"), strict=True))[::-1]
        assert domains.revision(connection, "pay", 2) == kept[1]
        assert kept[1].at == after(2)
        with pytest.raises(NotFound, match="revision 9"):
            domains.revision(connection, "pay", 9)


def test_stale_change_is_refused(catalogue):
    """A change based on an old revision is refused, says where the domain is, and changes nothing."""
    with catalogue.transaction() as connection:
        domains.replace(connection, domain("pay", 2, title="first"), expected_revision=1, actor="ada")
    with pytest.raises(StaleRevision, match="revision 2, not 1"), catalogue.transaction() as connection:
        domains.replace(connection, domain("pay", 2, title="second"), expected_revision=1, actor="bob")
    with catalogue.reading() as connection:
        assert domains.get(connection, "pay").title == "first"
        assert len(domains.revisions(connection, "pay").items) == 2


def test_change_follows_the_revision_it_expects(catalogue):
    """A revision that does not follow the expected one is a mistake of the caller; an unknown domain is not found."""
    with pytest.raises(InvalidInput), catalogue.transaction() as connection:
        domains.replace(connection, domain("pay", 5), expected_revision=1, actor="ada")
    with pytest.raises(NotFound), catalogue.transaction() as connection:
        domains.replace(connection, domain("nope", 2), expected_revision=1, actor="ada")


def test_listing_leaves_out_the_deleted(store):
    """Deleted domains are listed only when asked for; archived ones are listed."""
    with store.transaction() as connection:
        for name, state in (("a", DomainState.ACTIVE), ("b", DomainState.DELETED), ("c", DomainState.ARCHIVED)):
            domains.create(connection, domain(name, state=state), actor="ada")
    with store.reading() as connection:
        assert [one.id for one in domains.page(connection).items] == ["a", "c"]
        assert [one.id for one in domains.page(connection, state=DomainState.DELETED).items] == ["b"]
        assert [one.id for one in domains.page(connection, state=DomainState.ACTIVE).items] == ["a"]


def test_dependants_are_counted(catalogue):
    """What would lose its ground with a domain is counted: active rollouts and the version being served."""
    with catalogue.transaction() as connection:
        assert domains.dependants(connection, "pay") == {}
        versions.install_stable(connection, "pay", "v1", at=NOW, cause="first")
        rollouts.create(connection, rollout(1))
        assert domains.dependants(connection, "pay") == {"active rollouts": 1, "stable version": 1}
        versions.retire_stable(connection, "pay", at=NOW)
        assert domains.dependants(connection, "pay") == {"active rollouts": 1}
