"""What was appended to the journal is shipped once, whatever happens to the process in between."""

import dataclasses
import logging
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lake.making import exposed, files_no_larger_than, outcome

from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.lake.journal import Journal
from vedette.lake.record import Record


def _drain(journal: Journal) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for batch in journal.unshipped():
        outcomes += batch.outcomes
        journal.shipped(batch)
    return outcomes


def _files(folder: Path, suffix: str = ".journal") -> list[Path]:
    return sorted(folder.glob("*" + suffix))


def test_outcomes_come_back_as_they_were(tmp_path):
    """Every field survives the journal, in the order of appending."""
    journal = Journal(tmp_path, "gateway-1")
    appended = [outcome(), outcome({"latency_ms": 0.1 + 0.2}, status=OutcomeStatus.CLIENT_CLOSED, bucket=-1)]
    for item in appended:
        journal.append(item)
    assert _drain(journal) == appended


def test_shipped_batches_leave_nothing_behind(tmp_path):
    """What is shipped is removed, and what comes afterwards is a new batch."""
    journal = Journal(tmp_path, "gateway-1")
    journal.append(outcome())
    assert len(_drain(journal)) == 1
    assert _files(tmp_path) == []
    assert list(journal.unshipped()) == []
    later = outcome()
    journal.append(later)
    assert _drain(journal) == [later]


def test_a_batch_not_shipped_is_given_again_as_it_was(tmp_path):
    """Until a batch is declared shipped it comes back, under the same id and with the same outcomes."""
    journal = Journal(tmp_path, "gateway-1")
    journal.append(outcome())
    (first,) = journal.unshipped()
    journal.append(outcome())
    again, second = journal.unshipped()
    assert again == first
    assert second.id != first.id


def test_files_rotate_by_size(tmp_path):
    """A file that has grown to its size is closed, so batches stay small."""
    journal = Journal(tmp_path, "gateway-1", rotate_bytes=1000)
    appended = [outcome() for _ in range(30)]
    for item in appended:
        journal.append(item)
    assert all(path.stat().st_size < 1500 for path in _files(tmp_path))
    batches = list(journal.unshipped())
    assert len(batches) > 4
    assert [item for batch in batches for item in batch.outcomes] == appended


def test_no_file_holds_more_than_a_batch_may(tmp_path, monkeypatch):
    """However large files may grow, none has more outcomes than the lake takes at once."""
    monkeypatch.setattr("vedette.lake.journal.LARGEST_BATCH", 4)
    journal = Journal(tmp_path, "gateway-1", rotate_bytes=1 << 30)
    for _ in range(10):
        journal.append(outcome())
    assert [len(batch.outcomes) for batch in journal.unshipped()] == [4, 4, 2]


def test_left_over_files_are_taken_over(tmp_path):
    """A journal begins with what the processes before it did not ship, of whatever worker."""
    left = [outcome() for _ in range(3)]
    for worker, item in zip(("gateway-1", "gateway-2", "gateway-2"), left, strict=True):
        journal = Journal(tmp_path, worker)
        journal.append(item)
        journal.close()
    assert sorted(item.id for item in _drain(Journal(tmp_path, "gateway-1"))) == [item.id for item in left]
    assert _files(tmp_path) == []


def test_files_of_living_processes_are_left_alone(tmp_path):
    """What another journal is writing, or has yet to ship, is its own."""
    living = Journal(tmp_path, "gateway-1")
    living.append(outcome())
    (batch,) = living.unshipped()
    living.append(outcome())
    other = Journal(tmp_path, "gateway-2")
    assert list(other.unshipped()) == []
    living.shipped(batch)
    assert len(_drain(living)) == 1


def test_empty_left_overs_are_cleared_away(tmp_path):
    """A process that died between making a file and writing to it leaves no batch."""
    (tmp_path / "gateway-1.unused.journal").touch()
    assert list(Journal(tmp_path, "gateway-1").unshipped()) == []
    assert _files(tmp_path) == []


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_what_stands_before_the_damage(tmp_path_factory, data):
    """Cut short, overwritten or followed by zeroes, a file gives whole outcomes up to there, and says what is torn."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, "gateway-1")
    appended = [outcome() for _ in range(4)]
    for item in appended:
        journal.append(item)
    journal.close()
    (path,) = _files(folder)
    content = path.read_bytes()
    place = data.draw(st.integers(1, len(content) - 1))
    tail = data.draw(st.sampled_from([b"", b"\x00" * 64, bytes([content[place] ^ 1]) + content[place + 1 :]]))
    path.write_bytes(content[:place] + tail)

    reopened = Journal(folder, "gateway-2")
    (batch,) = reopened.unshipped()
    whole = len(batch.outcomes)
    assert list(batch.outcomes) == appended[:whole]
    left = (content[:place] + tail)[whole * len(content) // 4 :]
    assert batch.damaged == len(left.rstrip(b"\x00"))
    reopened.shipped(batch)
    assert _files(folder) == []
    assert len(_files(folder, ".damaged")) == (batch.damaged > 0)
    reopened.close()


def test_a_death_in_the_middle_of_an_append_costs_that_outcome_alone(tmp_path):
    """A body without its head is no outcome, whether or not the room behind it was given back."""
    journal = Journal(tmp_path, "gateway-1")
    kept = [outcome() for _ in range(3)]
    for item in kept:
        journal.append(item)
    (path,) = _files(tmp_path)
    dead = path.read_bytes()
    assert len(dead) == 1 << 20
    used = len(dead.rstrip(b"\x00"))
    journal.close()
    path.write_bytes(dead[:used].ljust(used + 8, b"\x00") + b"body" + bytes(1000))
    torn = tmp_path.parent / "whole"
    torn.mkdir()
    (torn / "gateway-1.whole.journal").write_bytes(dead)
    for folder, damaged in ((tmp_path, True), (torn, False)):
        (batch,) = Journal(folder, "gateway-2").unshipped()
        assert list(batch.outcomes) == kept
        assert (batch.damaged > 0) is damaged


def test_a_file_that_was_only_reserved_is_no_batch(tmp_path):
    """A process that died before its first outcome leaves room, and nothing to ship."""
    (tmp_path / "gateway-1.reserved.journal").write_bytes(bytes(4096))
    assert list(Journal(tmp_path, "gateway-1").unshipped()) == []
    assert _files(tmp_path) == []


def test_an_outcome_larger_than_a_file_has_one_of_its_own(tmp_path):
    """Whatever size files have, an outcome that may be kept is kept."""
    journal = Journal(tmp_path, "gateway-1", rotate_bytes=64)
    appended = [outcome() for _ in range(3)]
    for item in appended:
        journal.append(item)
    assert [batch.outcomes for batch in journal.unshipped()] == [(item,) for item in appended]


def test_damage_is_logged(tmp_path, caplog):
    """Whoever operates the gateway is told which file is damaged."""
    (tmp_path / "gateway-1.torn.journal").write_bytes(b"\x10")
    with caplog.at_level(logging.WARNING):
        _drain(Journal(tmp_path, "gateway-1"))
    assert "gateway-1.torn.journal: 1 bytes cannot be read" in caplog.text


def test_a_whole_record_of_another_kind_is_passed_over(tmp_path):
    """A record that is sound but no countable outcome hides none of those after it."""
    foreign = Journal(tmp_path, "gateway-1")
    before, after = outcome(), outcome()
    foreign.append(before)
    foreign._encode = lambda _: b"\x93\x01\x02\x03"
    foreign.append(outcome())
    foreign.close()
    last = Journal(tmp_path, "gateway-2")
    last.append(after)
    last.close()
    first, second = _files(tmp_path)
    first.write_bytes(first.read_bytes() + second.read_bytes())

    batches = list(Journal(tmp_path, "gateway-3").unshipped())
    assert batches[0].outcomes == (before, after)
    assert batches[0].damaged == 12


def test_what_cannot_be_counted_is_refused_at_once(tmp_path):
    """The journal takes nothing that the lake would refuse later, when nobody is there to be told."""
    journal = Journal(tmp_path, "gateway-1")
    with pytest.raises(InvalidInput, match="latency_ms"):
        journal.append(outcome({"latency_ms": float("nan")}))
    assert list(journal.unshipped()) == []


def test_a_full_disk_is_loud_and_leaves_the_journal_sound(tmp_path):
    """When nothing more fits, appending fails; what was kept before is whole, and appending works again with room."""
    journal = Journal(tmp_path, "gateway-1", rotate_bytes=1000)
    kept, refused = [outcome()], []
    journal.append(kept[0])
    with files_no_larger_than(500):
        for _ in range(20):
            item = outcome()
            try:
                journal.append(item)
                kept.append(item)
            except Unavailable as error:
                refused.append(str(error))
    assert len(_files(tmp_path)) == 1
    last = outcome()
    journal.append(last)
    batches = list(journal.unshipped())
    assert len(kept) > 2
    assert len(refused) > 2
    assert all("free some space" in told for told in refused)
    assert [item for batch in batches for item in batch.outcomes] == [*kept, last]
    assert all(batch.damaged == 0 for batch in batches)


def test_a_folder_that_cannot_be_used_is_loud(tmp_path):
    """A journal without a folder does not start."""
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be used"):
        Journal(tmp_path / "file" / "journal", "gateway-1")


def test_syncing_every_append_keeps_them_all(tmp_path):
    """A journal that waits for the disk works as one that does not."""
    journal = Journal(tmp_path, "gateway-1", sync_every=0.0)
    appended = [outcome() for _ in range(3)]
    for item in appended:
        journal.append(item)
    assert _drain(journal) == appended


def test_shipping_while_appending_loses_and_repeats_nothing(tmp_path):
    """One thread may append while another ships."""
    journal = Journal(tmp_path, "gateway-1", rotate_bytes=2000)
    appended = [outcome() for _ in range(2000)]

    def append():
        for item in appended:
            journal.append(item)

    appending = threading.Thread(target=append)
    appending.start()
    shipped = []
    while appending.is_alive():
        shipped += _drain(journal)
    shipped += _drain(journal)
    assert shipped == appended


def test_a_record_is_kept_as_its_outcome_would_be(tmp_path):
    """What the request path makes of an outcome has its fields, in their order, and is read back as that outcome."""
    made = outcome({"error": 0.0, "latency_ms": 12.5}, exposures=(exposed("tone", "warm"),), dimensions={"plan": "pro"})
    names = [field.name for field in dataclasses.fields(Outcome)]
    assert list(Record.__struct_fields__) == names
    journal = Journal(tmp_path, "gateway")
    journal.append(Record(*(getattr(made, name) for name in names)))
    (batch,) = journal.unshipped()
    journal.close()
    assert batch.outcomes == (made,)
