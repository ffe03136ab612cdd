"""Model versions never change, carry aliases, and their history says what served a domain when."""

import pytest
from tests.store.things import after, domain, version

from vedette.catalog.version import Tenure
from vedette.kernel.errors import Conflict, NotFound
from vedette.store import domains, versions


def test_version_reads_back_as_it_was_stored(catalogue):
    """A version with figures, labels and origin is read back equal."""
    made = version("pay", "v9", metrics={"f1": 0.1 + 0.2}, labels={"a": "b"}, parent="v1", training_run="r", note="ñ")
    with catalogue.transaction() as connection:
        versions.create(connection, made)
    with catalogue.reading() as connection:
        assert versions.get(connection, "pay", "v9") == made
        with pytest.raises(NotFound, match="'v0'"):
            versions.get(connection, "pay", "v0")


def test_version_needs_its_domain_and_a_new_name(catalogue):
    """A version of an unknown domain is refused, and so is a second one of a name."""
    with pytest.raises(NotFound, match="no domain 'nope'"), catalogue.transaction() as connection:
        versions.create(connection, version("nope", "v1"))
    with pytest.raises(Conflict, match="'v1' of domain 'pay' exists"), catalogue.transaction() as connection:
        versions.create(connection, version("pay", "v1"))


def test_same_name_serves_two_domains(catalogue):
    """Names of versions are per domain."""
    with catalogue.transaction() as connection:
        domains.create(connection, domain("law"), actor="ada")
        versions.create(connection, version("law", "v1"))
    with catalogue.reading() as connection:
        assert [one.name for one in versions.page(connection, "law").items] == ["v1"]
        assert [one.name for one in versions.page(connection, "pay").items] == ["v3", "v2", "v1"]


def test_alias_moves_and_goes(catalogue):
    """An alias names one version at a time, only one that exists, and can be cleared."""
    with catalogue.transaction() as connection:
        versions.set_alias(connection, "pay", "candidate", "v2")
        versions.set_alias(connection, "pay", "candidate", "v3")
        assert versions.aliases(connection, "pay") == {"candidate": "v3"}
        versions.clear_alias(connection, "pay", "candidate")
        assert versions.aliases(connection, "pay") == {}
    with pytest.raises(NotFound, match="no version 'v9'"), catalogue.transaction() as connection:
        versions.set_alias(connection, "pay", "candidate", "v9")


def test_history_answers_what_served_when(catalogue):
    """For every moment there is one answer to "what served this domain?", none before the first version."""
    with catalogue.transaction() as connection:
        for seconds, name in ((10, "v1"), (20, "v2"), (30, "v1")):
            versions.install_stable(connection, "pay", name, at=after(seconds), cause=f"rollout {seconds}")
        versions.retire_stable(connection, "pay", at=after(40))
    with catalogue.reading() as connection:
        served = {s: versions.serving(connection, "pay", after(s)) for s in (9, 10, 19.999999, 20, 30, 39, 40)}
        assert {s: tenure and tenure.version for s, tenure in served.items()} == {
            9: None,
            10: "v1",
            19.999999: "v1",
            20: "v2",
            30: "v1",
            39: "v1",
            40: None,
        }
        assert versions.tenures(connection, "pay").items[1] == Tenure(
            version="v2", since=after(20), until=after(30), cause="rollout 20"
        )
        assert versions.aliases(connection, "pay") == {}


def test_installing_what_is_stable_changes_nothing(catalogue):
    """Repeating an installation, as a reconciler may after a crash, leaves one tenure."""
    with catalogue.transaction() as connection:
        versions.install_stable(connection, "pay", "v1", at=after(1), cause="first")
        versions.install_stable(connection, "pay", "v1", at=after(2), cause="again")
        assert versions.tenures(connection, "pay").items == (
            Tenure(version="v1", since=after(1), until=None, cause="first"),
        )
        assert versions.aliases(connection, "pay") == {"stable": "v1"}


def test_tenures_never_run_backwards(catalogue):
    """A clock that jumped back makes no tenure that ends before it began or overlaps another."""
    with catalogue.transaction() as connection:
        versions.install_stable(connection, "pay", "v1", at=after(3600), cause="first")
        versions.install_stable(connection, "pay", "v2", at=after(0), cause="clock went back")
        versions.retire_stable(connection, "pay", at=after(10))
        versions.install_stable(connection, "pay", "v3", at=after(20), cause="later")
        spans = [(one.version, one.since, one.until) for one in versions.tenures(connection, "pay").items]
    assert spans == [
        ("v3", after(3600), None),
        ("v2", after(3600), after(3600)),
        ("v1", after(3600), after(3600)),
    ]


def test_unknown_version_is_never_stable(catalogue):
    """Installing a version there is none of is refused, and the stable one stays."""
    with catalogue.transaction() as connection:
        versions.install_stable(connection, "pay", "v1", at=after(1), cause="first")
    with pytest.raises(NotFound), catalogue.transaction() as connection:
        versions.install_stable(connection, "pay", "v9", at=after(2), cause="typing error")
    with catalogue.reading() as connection:
        tenure = versions.serving(connection, "pay", after(3))
        assert tenure is not None
        assert tenure.version == "v1"
