"""The lake lets go of one unit's outcomes, wherever they are and however late they come."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, select, text
from tests.lake.making import NOON, an_hour_later, assert_sums_are_those_of, outcome

from vedette.catalog.unit import key_of, pseudonym
from vedette.evidence.outcome import Feedback
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from vedette.kernel.records import evolve
from vedette.lake import erasure, lease, sealer
from vedette.lake.journal import Journal
from vedette.lake.outcomes import Lake
from vedette.lake.record import Record
from vedette.lake.tables import SCHEMA_VERSION

KEY = key_of(b"a pepper for tests", "payments")
ANN, BOB = pseudonym(KEY, "ann"), pseudonym(KEY, "bob")
LATER = NOON + timedelta(hours=1)


def _told(_: int) -> None:
    """Take note of nothing."""


def _made():
    """Outcomes of two units, of none, and of the same pseudonym in another domain, in batches and days of their own."""
    batches = []
    for day in range(3):
        at = NOON - timedelta(days=day)
        units = (ANN, BOB, "", ANN)
        batch = [outcome(at=at + timedelta(seconds=n), unit=unit) for n, unit in enumerate(units)]
        batches.append([*batch, outcome(at=at, unit=ANN, domain="legal")])
    return batches


def _ids(lake, domain="payments", **asked):
    return {it.id for it in lake.outcomes(domain, **asked).items}


def _seen(lake):
    with lake._database.reading() as connection:
        return len(connection.execute(select(lake._tables.seen)).all())


@pytest.mark.parametrize("sealed", [0, 1, 3])
def test_a_unit_is_erased_from_spool_and_segments_and_nobody_else_is(lake, tmp_path, sealed):
    """Its outcomes, their ids and judgements are gone; others, the unit's in other domains, and all sums stay."""
    lake._segments = lake._segments or tmp_path / "segments"
    batches = _made()
    for number, batch in enumerate(batches):
        lake.ship(f"batch-{number}", batch)
        if number < sealed:
            lake.seal()
    every = [it for batch in batches for it in batch]
    gone = {it.id for it in every if (it.domain, it.unit) == ("payments", ANN)}
    assert len(gone) == 6
    judged = [every[0], every[1]]
    lake.feedback([Feedback(outcome_id=it.id, measures={"correct": 1.0}) for it in judged])
    assert lake.count_unit("payments", ANN) == 6
    assert _ids(lake, unit=ANN) == gone
    told: list[int] = []
    assert lake.erase_unit("payments", ANN, LATER, told.append) == 6
    assert told == [6]
    assert lake.count_unit("payments", ANN) == 0
    assert _ids(lake) == {it.id for it in every if it.domain == "payments"} - gone
    assert _ids(lake, "legal", unit=ANN) == {it.id for it in every if it.domain == "legal"}
    assert (_seen(lake), lake.holdings().missing) == (len(every) - 6, ())
    with pytest.raises(NotFound):
        lake.outcome(every[0].id)
    assert lake.outcome(every[1].id).measures["correct"] == 1.0
    counted = [(it, {**it.measures, **({"correct": 1.0} if it in judged else {})}) for it in every]
    assert_sums_are_those_of(lake, "payments", [each for each in counted if each[0].domain == "payments"])


def test_pages_of_a_unit_follow_each_other_the_newest_first(lake):
    """A unit's outcomes are paged through like a domain's, each with its pseudonym."""
    every = [it for batch in _made() for it in batch]
    lake.ship("all", every)
    first = lake.outcomes("payments", unit=ANN, limit=4)
    rest = lake.outcomes("payments", unit=ANN, limit=4, after=first.after)
    wanted = sorted((it for it in every if (it.domain, it.unit) == ("payments", ANN)), key=lambda it: it.at)
    assert [*first.items, *rest.items] == wanted[::-1]
    assert rest.after == ""


def test_what_comes_after_the_erasure_and_happened_before_is_counted_and_not_kept(lake):
    """A journal that was not shipped yet adds to sums alone; what a unit does from then on is kept as ever."""
    lake.erase_unit("payments", ANN, NOON, _told)
    late, other, new = outcome(unit=ANN), outcome(unit=BOB), outcome(unit=ANN, at=LATER)
    elsewhere = outcome(unit=ANN, domain="legal")
    assert lake.ship("late", [late, other, new, elsewhere]) == 4
    assert (_ids(lake), _ids(lake, "legal")) == ({other.id, new.id}, {elsewhere.id})
    assert _seen(lake) == 3
    assert lake.ship("late", [late, other, new, elsewhere]) == 0
    assert_sums_are_those_of(lake, "payments", [(it, it.measures) for it in (late, other, new)])


def test_a_unit_erased_again_is_kept_out_until_the_later_time(lake):
    """A second erasure takes what came between the two, and moves the time until which nothing is kept."""
    lake.erase_unit("payments", ANN, NOON, _told)
    lake.ship("between", [outcome(unit=ANN, at=NOON + timedelta(minutes=1))])
    assert lake.erase_unit("payments", ANN, LATER, _told) == 1
    lake.ship("late", [outcome(unit=ANN, at=NOON + timedelta(minutes=2))])
    assert lake.count_unit("payments", ANN) == 0


def test_an_erasure_is_remembered_for_as_long_as_outcomes_are_kept(lake):
    """Then whatever it would keep out is dropped for its age, and nothing is known of the unit any more."""

    def noted():
        with lake._database.reading() as connection:
            return len(connection.execute(select(lake._tables.erased_units)).all())

    lake.erase_unit("payments", ANN, NOON, _told)
    lake.prune(NOON + timedelta(days=30))
    assert noted() == 1
    lake.prune(NOON + timedelta(days=30, seconds=1))
    assert noted() == 0


def test_an_erased_domain_takes_its_erased_units_along(lake):
    """A domain whose name is used afresh keeps out nobody."""
    lake.erase_unit("payments", ANN, NOON, _told)
    lake.erase("payments")
    lake.ship("anew", [outcome(unit=ANN)])
    assert lake.count_unit("payments", ANN) == 1


def test_an_erasure_nobody_can_be_told_of_does_not_happen(lake):
    """When the record cannot be written nothing is dropped, and no file is lost."""
    every = [it for batch in _made() for it in batch]
    lake.ship("all", every)
    lake.seal()

    def refuse(_: int) -> None:
        raise Unavailable("the record is away")

    with pytest.raises(Unavailable, match="record"):
        lake.erase_unit("payments", ANN, LATER, refuse)
    assert lake.count_unit("payments", ANN) == 6
    assert lake.erase_unit("payments", ANN, LATER, _told) == 6
    lake.seal()
    assert lake.holdings().missing == ()


def test_whatever_statement_an_erasure_dies_before_it_can_be_begun_again(local_lake):
    """All of the unit's outcomes are there after a death before any statement, or none; the second try ends it."""
    every = [it for batch in _made() for it in batch]
    deaths = 0
    for life in range(1, 99, 4):  # each of them takes four times as long, and comes to the same end
        with local_lake._database.writing() as connection:
            for table in reversed(local_lake._tables.metadata.sorted_tables):
                if table.name not in {"schema_version", "sealing"}:
                    connection.execute(table.delete())
        local_lake.ship("first", every[:10])
        local_lake.seal()
        local_lake.ship("second", every[10:])
        left = [life]

        def burn(*_, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise ConnectionError("the machine is gone")

        event.listen(Engine, "before_cursor_execute", burn)
        try:
            local_lake.erase_unit("payments", ANN, LATER, _told)
        except ConnectionError:
            deaths += 1
        finally:
            event.remove(Engine, "before_cursor_execute", burn)
        there = local_lake.count_unit("payments", ANN)
        assert there == (6 if left[0] <= 0 else 0)
        local_lake.erase_unit("payments", ANN, LATER, _told)
        an_hour_later(local_lake)
        assert _ids(local_lake) == {it.id for it in every if it.domain == "payments" and it.unit != ANN}
        assert len(list(local_lake._segments.glob("*.parquet"))) == local_lake.holdings().segments
        if left[0] > 0:
            break
    assert deaths == (life - 1) // 4 > 3


def test_an_erasure_that_is_overtaken_begins_anew_and_at_last_says_so(local_lake, monkeypatch):
    """Whoever changes the segments meanwhile does not make it miss anything; who never lets it is told of."""
    local_lake.ship("all", [it for batch in _made() for it in batch])
    local_lake.seal()
    again = erasure._rewritten
    overtaken = [3]

    def meddle(*arguments):
        found = again(*arguments)
        if overtaken[0]:
            overtaken[0] -= 1
            with local_lake._database.writing() as connection:
                lease.overtake(connection, local_lake._tables, "another")
        return found

    monkeypatch.setattr(erasure, "_rewritten", meddle)
    assert local_lake.erase_unit("payments", ANN, LATER, _told) == 6
    overtaken[0] = 9
    with pytest.raises(Conflict, match="could not be erased"):
        local_lake.erase_unit("payments", BOB, LATER, _told)
    assert local_lake.count_unit("payments", BOB) == 3


def test_a_unit_that_is_no_pseudonym_is_never_stored(lake, tmp_path):
    """Neither the lake nor a journal takes a unit itself, and what they say does not tell it."""
    named = outcome(unit="ann@example.com")
    journal = Journal(tmp_path, "gateway-1")
    for take in (lambda: lake.ship("one", [named]), lambda: journal.append(named)):
        with pytest.raises(InvalidInput) as raised:
            take()
        assert "ann" not in str(raised.value)
    journal.append(Record(*(getattr(named, name) for name in Record.__struct_fields__)))
    (batch,) = journal.unshipped()
    journal.close()
    assert (batch.outcomes, batch.damaged > 0) == ((), True)


def test_a_record_without_a_unit_is_written_as_ever_and_one_with_it_is_read(tmp_path):
    """The unit takes room in the journal only where there is one; records that know no unit are read without one."""
    journal = Journal(tmp_path, "gateway-1")
    plain, named = outcome(), outcome(unit=ANN)
    fields = Record.__struct_fields__
    for it in (plain, named):
        journal.append(Record(*(getattr(it, name) for name in fields)))
    (path,) = tmp_path.glob("*.journal")
    content = path.read_bytes()
    assert (content.count(b"unit"), content.count(ANN.encode())) == (1, 1)
    (batch,) = journal.unshipped()
    assert batch.outcomes == (plain, named)
    journal.close()


def test_segments_and_spools_that_know_no_units_are_read_beside_those_that_do(lake_url, lake, tmp_path):
    """A lake of the version before goes on: what was stored has no unit, and what comes has one."""
    lake._segments = folder = lake._segments or tmp_path / "segments"
    old, waiting = outcome(), outcome(at=NOON + timedelta(seconds=1))
    lake.ship("old", [old])
    lake.seal()
    lake.ship("waiting", [waiting])
    with lake._database.writing() as connection:
        where = "lake." if lake._database.schema else ""
        connection.execute(text(f"ALTER TABLE {where}segments DROP COLUMN units"))
        connection.execute(text(f"DROP TABLE {where}erased_units"))
        connection.execute(lake._tables.version.update().values(version=SCHEMA_VERSION - 1))
    lake.close()
    again = Lake(lake_url, segments=folder)
    again.migrate()
    again.migrate()
    new = [outcome(unit=ANN, at=NOON + timedelta(seconds=2 + n)) for n in range(2)]
    again.ship("new", new[:1])
    again.seal()
    again.ship("newer", new[1:])
    assert again.outcomes("payments").items == (new[1], new[0], waiting, old)
    assert again.outcome(old.id) == old
    assert again.outcome(new[0].id) == new[0]
    assert again.erase_unit("payments", ANN, LATER, _told) == 2
    assert again.outcomes("payments").items == (waiting, old)
    again.close()


def test_units_stay_with_their_outcomes_when_segments_are_merged(local_lake, monkeypatch):
    """A merge of segments with units and without keeps each where it is."""
    monkeypatch.setattr(sealer, "_FAN", 2)
    made = [outcome(), outcome(unit=ANN), outcome(unit=BOB), outcome()]
    for number, it in enumerate(made):
        local_lake.ship(f"batch-{number}", [evolve(it, at=NOON + timedelta(seconds=number))])
        local_lake.seal()
    assert local_lake.holdings().segments == 1
    assert [it.unit for it in local_lake.outcomes("payments").items] == ["", BOB, ANN, ""]
