"""One unit's outcomes: stored by pseudonym where its domain keeps units, shown, and erased on the record."""

from pathlib import Path

import pytest
from tests.control.world import World

from vedette.catalog.domain import DomainSpec
from vedette.catalog.key import KeySpec, mark_of
from vedette.catalog.unit import key_of, pseudonym
from vedette.connectors import pepper
from vedette.control.apply import apply_text
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused, StaleRevision, Unavailable
from vedette.kernel.records import evolve
from vedette.store import idempotency

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


def _pepper_of(world: World, monkeypatch, folder: Path) -> Path:
    """Let a world find its pepper in an empty folder alone; gives the file."""
    monkeypatch.delenv(pepper.VARIABLE, raising=False)
    monkeypatch.setattr(world.plane.traffic._pepper, "_file", folder / pepper.FILE)
    return folder / pepper.FILE


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
    for domain, hint in (("kept", "set VEDETTE_KEY_PEPPER"), ("pay", "--keep-units` begins")):
        with pytest.raises(Refused, match="there is no pepper") as refused:
            outcomes.erase_unit(domain, "ann")
        assert hint in refused.value.hint


def test_the_first_domain_that_keeps_units_makes_the_pepper(pay: World, monkeypatch, tmp_path):
    """A domain that begins to keep units leaves a pepper for gateways to find, and the next one finds the same."""
    file = _pepper_of(pay, monkeypatch, tmp_path)
    pay.domain("kept", versions=("v1",), keepUnits=True)
    made = file.read_bytes()
    pay.domain("too", versions=("v1",), keepUnits=True)
    assert file.read_bytes() == made
    assert {pay.plane.traffic.plan(name).pepper for name in ("kept", "too")} == {mark_of(made)}


def test_a_change_that_is_not_kept_leaves_no_pepper(pay: World, monkeypatch, tmp_path):
    """A dry run, a refused change, one undone by another and a refused key leave no file; one that is kept does."""
    file = _pepper_of(pay, monkeypatch, tmp_path)
    plane, keeping = pay.plane, load(DomainSpec, {"config": {"keepUnits": True}})
    text = "apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: NAME}\nspec: {config: {keepUnits: true}}\n"
    apply_text(plane, text.replace("NAME", "kept"), actor="ann", dry_run=True)
    with pytest.raises(StaleRevision):
        plane.domains.update("pay", keeping, actor="ann", expected_revision=99)
    with pytest.raises(Conflict):
        plane.domains.create("pay", keeping, actor="ann")
    with pytest.raises(NotFound), plane.changes.together():  # noqa: PT012 - writes, then fails
        plane.domains.create("kept", keeping, actor="ann")
        plane.domains.archive("nowhere", actor="ann")
    with plane.changes.together():
        with pytest.raises(Conflict), plane.changes.together():  # noqa: PT012 - writes, then fails
            plane.domains.create("kept", keeping, actor="ann")
            plane.domains.create("kept", keeping, actor="ann")
        plane.domains.create("other", DomainSpec(), actor="ann")
    with pytest.raises(NotFound):
        plane.keys.create("mobile", KeySpec(domains=("nowhere",)), actor="ann")
    assert list(tmp_path.glob(f"{pepper.FILE}*")) == []
    with plane.changes.together():
        plane.domains.create("kept", keeping, actor="ann")
        plane.domains.create("too", keeping, actor="ann")
        assert not file.exists()
    assert {plane.traffic.plan(name).pepper for name in ("kept", "too")} == {mark_of(file.read_bytes())}


def test_a_change_is_undone_when_its_pepper_cannot_be_the_one(pay: World, monkeypatch, tmp_path):
    """Where somebody else makes the pepper at the same moment the change is refused whole, and goes through again."""
    file = _pepper_of(pay, monkeypatch, tmp_path)
    keeping, before = load(DomainSpec, {"config": {"keepUnits": True}}), pay.everything()
    with pytest.raises(Conflict, match="meanwhile"), pay.plane.changes.together():  # noqa: PT012 - in between
        pay.plane.domains.create("kept", keeping, actor="ann")
        file.write_bytes(PEPPER)
    assert pay.everything() == before
    pay.plane.domains.create("kept", keeping, actor="ann")
    assert pay.plane.traffic.plan("kept").pepper == mark_of(PEPPER)


def test_plans_name_one_pepper_for_as_long_as_units_are_kept(keeping: World, monkeypatch):
    """Who publishes with another pepper, or none, leaves the mark; to forget takes it away, to keep again renews it."""
    plane = keeping.plane
    assert (plane.traffic.plan("kept").pepper, plane.traffic.plan("pay").pepper) == (mark_of(PEPPER), "")
    monkeypatch.delenv(pepper.VARIABLE)
    spec = load(DomainSpec, {"config": {"keepUnits": True, "holdOut": 5}})
    plane.domains.update("kept", spec, actor="ann")
    monkeypatch.setenv(pepper.VARIABLE, "quite another pepper")
    plane.domains.update("kept", load(DomainSpec, {"config": {"keepUnits": True}}), actor="ann")
    assert plane.traffic.plan("kept").pepper == mark_of(PEPPER)
    plane.domains.update("kept", DomainSpec(), actor="ann")
    assert plane.traffic.plan("kept").pepper == ""
    plane.domains.update("kept", spec, actor="ann")
    assert plane.traffic.plan("kept").pepper == mark_of(b"quite another pepper")


def test_another_pepper_finds_no_unit_and_says_so(keeping: World, monkeypatch):
    """With another pepper nothing is shown, erased or brought of a unit: erasing nothing would mislead."""
    outcomes = keeping.plane.outcomes
    outcomes.record(_brought(keeping, "ann", domain="kept"))
    monkeypatch.setenv(pepper.VARIABLE, "quite another pepper")
    for ask in (
        lambda: outcomes.of_unit("kept", "ann"),
        lambda: outcomes.erase_unit("kept", "ann", actor="ann"),
        lambda: outcomes.record(_brought(keeping, "ann", domain="kept")),
    ):
        with pytest.raises(Refused, match="made with another pepper"):
            ask()
    assert outcomes.record(_brought(keeping, "", domain="kept")).stored == 1
    keeping.plane.domains.update("kept", DomainSpec(), actor="ann")
    with pytest.raises(Refused, match="made with another pepper"):  # forgetting leaves what is stored
        outcomes.erase_unit("kept", "ann", actor="ann")
    monkeypatch.setenv(pepper.VARIABLE, PEPPER.decode())
    assert outcomes.erase_unit("kept", "ann", actor="ann").outcomes == 1


def test_a_unit_without_a_bucket_is_in_its_own(keeping: World):
    """What names a unit and no bucket is where gateways put that unit, kept or not, and is found and erased by it."""
    outcomes = keeping.plane.outcomes
    outcomes.record([*_brought(keeping, "ann", "", domain="kept"), *_brought(keeping, "ann")])
    bucket = keeping.plane.traffic.choose("kept", "ann").bucket
    assert bucket >= 0
    assert [it.bucket for it in outcomes.of_unit("kept", "ann").items] == [bucket]
    assert sorted(it.bucket for it in outcomes.page("kept").items) == [-1, bucket]
    assert [it.bucket for it in outcomes.page("pay").items] == [keeping.plane.traffic.choose("pay", "ann").bucket]
    said = evolve(_brought(keeping, "bob", domain="kept")[0], bucket=7)
    outcomes.record([said])
    assert [it.bucket for it in outcomes.of_unit("kept", "bob").items] == [7]
    assert outcomes.erase_unit("kept", "ann", actor="ann").outcomes == 1


def _entries(world: World) -> list[dict[str, object]]:
    found = world.plane.governance.entries(action="outcomes.erase").items
    return [{name: value for name, value in it.details.items() if name in {"outcomes", "again"}} for it in found]


def test_an_erasure_with_a_key_is_done_and_recorded_once(keeping: World):
    """A repeat gets the same answer, leaves no entry and what came since; another unit under the key is refused."""
    outcomes = keeping.plane.outcomes
    outcomes.record(_brought(keeping, "ann", "ann", "bob", domain="kept"))
    first, replayed = outcomes.erase_unit_once("kept", "ann", "k", actor="ann")
    assert (first.outcomes, replayed) == (2, False)
    keeping.go(60)
    outcomes.record(_brought(keeping, "ann", domain="kept"))
    assert outcomes.erase_unit_once("kept", "ann", "k", actor="ann") == (first, True)
    assert _entries(keeping) == [{"outcomes": 2}]
    assert len(outcomes.of_unit("kept", "ann").items) == 1
    with pytest.raises(Conflict, match="another request"):
        outcomes.erase_unit_once("kept", "bob", "k", actor="ann")
    assert len(outcomes.of_unit("kept", "bob").items) == 1
    assert outcomes.erase_unit_once("kept", "ann", "other", actor="ann")[0].outcomes == 1
    assert outcomes.erase_unit_once("kept", "ann", "", actor="ann")[0].outcomes == 0
    assert len(_entries(keeping)) == 3


def test_an_erasure_whose_answer_was_lost_is_not_recorded_again(keeping: World, monkeypatch):
    """Where all was erased and the answer could not be kept, the repeat finds nothing left and tells what there was."""
    outcomes = keeping.plane.outcomes
    outcomes.record(_brought(keeping, "ann", "ann", domain="kept"))
    keep, asked = idempotency.answer, []

    def fail_at_the_end(connection, key, response):
        asked.append(response)
        if response["done"] and len(asked) == 2:
            raise Unavailable("the database is away")
        keep(connection, key, response)

    monkeypatch.setattr(idempotency, "answer", fail_at_the_end)
    with pytest.raises(Unavailable):
        outcomes.erase_unit_once("kept", "ann", "k", actor="ann")
    assert outcomes.of_unit("kept", "ann").items == ()
    for _ in range(2):
        found, replayed = outcomes.erase_unit_once("kept", "ann", "k", actor="ann")
        assert (found.outcomes, replayed) == (2, True)
    assert _entries(keeping) == [{"outcomes": 2}]


def test_an_erasure_asked_for_again_while_it_runs_is_recorded_once(keeping: World, monkeypatch):
    """Who asks again because an answer takes long, and is quicker, has the entry; both are told the same."""
    outcomes, lake = keeping.plane.outcomes, keeping.plane.lake
    outcomes.record(_brought(keeping, "ann", "ann", domain="kept"))
    erase, found = lake.erase_unit, []

    def overtaken(*asked):
        monkeypatch.setattr(lake, "erase_unit", erase)
        found.append(outcomes.erase_unit_once("kept", "ann", "k", actor="ann"))
        return erase(*asked)

    monkeypatch.setattr(lake, "erase_unit", overtaken)
    found.append(outcomes.erase_unit_once("kept", "ann", "k", actor="ann"))
    assert [(each.outcomes, replayed) for each, replayed in found] == [(2, False), (2, True)]
    assert _entries(keeping) == [{"outcomes": 2}]


def test_an_erasure_that_broke_off_before_it_was_done_is_told_again(keeping: World, monkeypatch):
    """The record tells before anything goes: what is really erased by the repeat is a second entry, which says so."""
    outcomes, lake = keeping.plane.outcomes, keeping.plane.lake
    outcomes.record(_brought(keeping, "ann", "ann", domain="kept"))
    erase = lake.erase_unit

    def die(domain, unit, at, told):
        def tell(count):
            told(count)
            raise Unavailable("the lake is away")

        return erase(domain, unit, at, tell)

    monkeypatch.setattr(lake, "erase_unit", die)
    with pytest.raises(Unavailable):
        outcomes.erase_unit_once("kept", "ann", "k", actor="ann")
    assert len(outcomes.of_unit("kept", "ann").items) == 2
    monkeypatch.setattr(lake, "erase_unit", erase)
    found, replayed = outcomes.erase_unit_once("kept", "ann", "k", actor="ann")
    assert (found.outcomes, replayed) == (2, False)
    assert sorted(_entries(keeping), key=len) == [{"outcomes": 2}, {"outcomes": 2, "again": True}]
    assert outcomes.of_unit("kept", "ann").items == ()
