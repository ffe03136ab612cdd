"""One unit's outcomes: stored by pseudonym where its domain keeps units, shown, and erased on the record."""

import pytest
from tests.control.world import World

from vedette.catalog.unit import key_of, pseudonym
from vedette.connectors import pepper
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.documents import dump
from vedette.kernel.errors import InvalidInput, NotFound, Refused
from vedette.kernel.records import evolve

PEPPER = b"a pepper for tests"


def _brought(world: World, *units: str, domain: str = "pay") -> list[Outcome]:
    return [
        Outcome(
            id=world.clock.new_id(),
            domain=domain,
            at=world.clock.now(),
            assigned="v1",
            served="v1",
            plan_revision=0,
            bucket=-1,
            status=OutcomeStatus.OK,
            measures={"error": 0.0},
            unit=unit,
        )
        for unit in units
    ]


@pytest.fixture
def keeping(pay: World, monkeypatch) -> World:
    """A world with a second domain, which keeps units."""
    monkeypatch.setenv(pepper.VARIABLE, PEPPER.decode())
    pay.domain("kept", versions=("v1",), keepUnits=True)
    return pay


def test_units_from_elsewhere_are_stored_by_pseudonym_or_not_at_all(keeping: World):
    """Where units are kept a pseudonym is stored, even of a unit that looks like one; where they are not, nothing."""
    key, plane = key_of(PEPPER, "kept"), keeping.plane
    alike = pseudonym(key, "ann")
    plane.outcomes.record([*_brought(keeping, "ann", alike, "", domain="kept"), *_brought(keeping, "ann")])
    kept = {it.unit for it in plane.lake.outcomes("kept").items}
    assert kept == {alike, pseudonym(key, alike), ""}
    assert [it.unit for it in plane.lake.outcomes("pay").items] == [""]


def test_a_unit_is_shown_and_erased_and_the_record_does_not_name_it(keeping: World):
    """Erasing counts first if asked, takes that unit's outcomes and no other, and leaves one entry of how many."""
    outcomes = keeping.plane.outcomes
    outcomes.record(_brought(keeping, "ann", "bob", "ann", domain="kept"))
    page = outcomes.of_unit("kept", "ann", limit=1)
    assert len(page.items) == 1
    assert len(outcomes.of_unit("kept", "ann", after=page.next).items) == 1
    assert outcomes.erase_unit("kept", "ann", dry_run=True).outcomes == 2
    assert outcomes.erase_unit("kept", "ann", actor="ann the officer").outcomes == 2
    assert outcomes.of_unit("kept", "ann").items == ()
    assert len(outcomes.page("kept").items) == 1
    (entry,) = keeping.plane.governance.entries(action="outcomes.erase").items
    assert (entry.actor, entry.domain, entry.details["outcomes"]) == ("ann the officer", "kept", 2)
    assert pseudonym(key_of(PEPPER, "kept"), "ann") not in repr(dump(entry))
    late = _brought(keeping, "ann", "bob", domain="kept")
    outcomes.record(late)
    assert [it.id for it in outcomes.page("kept").items if it.id in {each.id for each in late}] == [late[1].id]
    outcomes.record([evolve(late[0], id=keeping.clock.new_id(), at=keeping.clock.now().replace(hour=13))])
    assert len(outcomes.of_unit("kept", "ann").items) == 1


def test_who_erases_without_cause_is_told(keeping: World, monkeypatch):
    """An unknown domain, no unit, and a plane that never kept any are refused, each in its own way."""
    outcomes = keeping.plane.outcomes
    with pytest.raises(NotFound):
        outcomes.erase_unit("nowhere", "ann")
    with pytest.raises(InvalidInput, match="no unit"):
        outcomes.erase_unit("kept", " ")
    monkeypatch.delenv(pepper.VARIABLE)
    with pytest.raises(Refused, match="there is no pepper"):
        outcomes.erase_unit("kept", "ann")


def test_the_first_domain_that_keeps_units_makes_the_pepper(pay: World, monkeypatch, tmp_path):
    """A domain that begins to keep units leaves a pepper for gateways to find, and the next one finds the same."""
    monkeypatch.delenv(pepper.VARIABLE, raising=False)
    monkeypatch.setattr(pay.plane.domains, "_folder", tmp_path)
    assert not (tmp_path / pepper.FILE).exists()
    pay.domain("kept", versions=("v1",), keepUnits=True)
    made = (tmp_path / pepper.FILE).read_bytes()
    pay.domain("too", versions=("v1",), keepUnits=True)
    assert (tmp_path / pepper.FILE).read_bytes() == made
