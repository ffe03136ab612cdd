"""The audit chain names every entry that was edited, removed, reordered or forged, and a tail that is missing."""

import hashlib
import itertools
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.governance.audit import GENESIS, AuditEntry, Fault, Finding, Head, chain, hash_of, plain, verify
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve

NOW = datetime(2026, 11, 23, 12, 30, 15, 250, tzinfo=UTC)


def _record(length: int) -> list[AuditEntry]:
    """Make a sound record of some length."""
    entries, head = [], Head()
    for number in range(length):
        entry = chain(
            head, at=NOW + timedelta(seconds=number), actor="ada", action="rollout.pause", details={"number": number}
        )
        head = _end(entry)
        entries.append(entry)
    return entries


def _end(entry: AuditEntry) -> Head:
    return Head(sequence=entry.sequence, entry_hash=entry.entry_hash)


def _forge(entry: AuditEntry, **changes: str) -> AuditEntry:
    """Change an entry and give it the hash its new content has."""
    changed = evolve(entry, **changes)
    return evolve(changed, entry_hash=hash_of(changed))


def _faults(findings: Iterable[Finding]) -> list[tuple[Fault, int]]:
    return [(finding.fault, finding.sequence) for finding in findings]


def test_hash_is_sha256_of_a_zero_byte_and_canonical_json():
    """An auditor can recompute a hash with nothing but a JSON writer and SHA-256."""
    entry = chain(Head(), at=NOW, actor="ada", action="domain.create", domain="pay", details={"b": 1, "a": "ü"})
    body = {
        "action": "domain.create",
        "actor": "ada",
        "at": "2026-11-23T12:30:15.000250Z",
        "details": {"a": "ü", "b": 1},
        "domainId": "pay",
        "previousHash": "0" * 64,
        "requestId": "",
        "resource": "",
        "sequence": "1",
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert entry.entry_hash == hashlib.sha256(b"\x00" + text.encode()).hexdigest()
    assert entry.previous_hash == GENESIS


def test_sound_record_has_no_findings():
    """A record as it was written verifies, against its head and against any checkpoint of it; so does an empty one."""
    entries = _record(5)
    for checkpoint in (None, Head(), *map(_end, entries)):
        assert verify(entries, _end(entries[-1]), checkpoint) == ()
    assert verify([], Head()) == ()


@given(length=st.integers(1, 8), data=st.data())
def test_edited_entry_is_named(length, data):
    """Whatever field of whichever entry is edited, exactly that entry is named."""
    entries = _record(length)
    place = data.draw(st.integers(0, length - 1))
    change = data.draw(
        st.sampled_from(
            [
                {"actor": "eve"},
                {"action": "rollout.abort"},
                {"domain": "other"},
                {"resource": "other"},
                {"details": {"number": -1}},
                {"at": NOW - timedelta(days=1)},
                {"request_id": "other"},
                {"previous_hash": "f" * 64},
            ]
        )
    )
    end = _end(entries[-1])
    entries[place] = evolve(entries[place], **change)
    assert _faults(verify(entries, end)) == [(Fault.EDITED, place + 1)]


@given(length=st.integers(1, 8), data=st.data())
def test_forged_entry_is_named(length, data):
    """An entry that was edited and given a fitting hash is named by what is chained to it, or by the head."""
    entries = _record(length)
    end = _end(entries[-1])
    place = data.draw(st.integers(0, length - 1))
    entries[place] = _forge(entries[place], actor="eve")
    assert _faults(verify(entries, end)) == [(Fault.FORGED, place + 1)]


@given(length=st.integers(2, 9), data=st.data())
def test_removed_entries_are_named(length, data):
    """A hole in the record is named by the first sequence that is missing."""
    entries = _record(length)
    end = _end(entries[-1])
    first = data.draw(st.integers(0, length - 2))
    last = data.draw(st.integers(first + 1, length - 1))
    findings = verify(entries[:first] + entries[last:], end)
    assert _faults(findings) == [(Fault.REMOVED, first + 1)]
    assert str(last) in findings[0].message


@given(length=st.integers(2, 8), data=st.data())
def test_swapped_entries_are_named(length, data):
    """Two entries that changed places in the table are both named, as moved and not as edited."""
    entries = _record(length)
    end = _end(entries[-1])
    one, other = sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=2, max_size=2)))
    entries[one], entries[other] = (
        evolve(entries[other], sequence=one + 1),
        evolve(entries[one], sequence=other + 1),
    )
    findings = verify(entries, end)
    assert {(Fault.REORDERED, one + 1), (Fault.REORDERED, other + 1)} <= set(_faults(findings))
    assert Fault.EDITED not in {finding.fault for finding in findings}


def test_export_out_of_order_is_named():
    """A line of an export that stands behind a later one is named, and nothing is said to be missing."""
    entries = _record(5)
    end = _end(entries[-1])
    entries[1], entries[2] = entries[2], entries[1]
    assert _faults(verify(entries, end)) == [(Fault.REORDERED, 2)]


def test_doubled_entry_is_named():
    """An entry that is there twice is named."""
    entries = _record(3)
    assert _faults(verify([*entries[:2], entries[1], entries[2]], _end(entries[-1]))) == [(Fault.FORGED, 2)]


@given(length=st.integers(1, 8), data=st.data())
def test_truncated_tail_is_named(length, data):
    """A missing tail is named against the head, and against a checkpoint when the head was put back as well."""
    entries = _record(length)
    end = _end(entries[-1])
    kept = entries[: data.draw(st.integers(0, length - 1))]
    short = _end(kept[-1]) if kept else Head()
    expected = [(Fault.TRUNCATED, len(kept) + 1)]
    assert _faults(verify(kept, end)) == expected
    assert verify(kept, short) == ()
    assert _faults(verify(kept, short, checkpoint=end)) == expected


def test_rewritten_record_is_named_by_a_checkpoint():
    """A record rewritten from some entry on, hashes and head included, is caught by an older checkpoint."""
    entries = _record(5)
    checkpoint = _end(entries[3])
    head = _end(entries[1])
    rewritten = entries[:2]
    for entry in entries[2:]:
        rewritten.append(chain(head, at=entry.at, actor="eve", action=entry.action))
        head = _end(rewritten[-1])
    assert verify(rewritten, head) == ()
    assert _faults(verify(rewritten, head, checkpoint)) == [(Fault.FORGED, 4)]


def test_entry_behind_the_head_is_named():
    """An entry appended past the head, without moving it, is named."""
    entries = _record(3)
    assert _faults(verify(entries, _end(entries[1]))) == [(Fault.FORGED, 3)]


def test_several_faults_are_all_named():
    """One fault hides no other."""
    entries = _record(9)
    end = _end(entries[-1])
    entries[1] = evolve(entries[1], actor="eve")
    entries[4] = _forge(entries[4], actor="eve")
    del entries[6]
    assert _faults(verify(entries, end)) == [(Fault.EDITED, 2), (Fault.FORGED, 5), (Fault.REMOVED, 7)]


def test_edited_neighbour_does_not_hide_a_forged_entry():
    """An entry forged with a fitting hash is named though the next one was edited too."""
    entries = _record(4)
    end = _end(entries[-1])
    entries[1] = _forge(entries[1], actor="eve")
    entries[2] = evolve(entries[2], actor="eve")
    assert _faults(verify(entries, end)) == [(Fault.FORGED, 2), (Fault.EDITED, 3)]


def test_time_is_the_same_moment_in_any_zone():
    """An entry written with another zone's time has the hash of the same moment in UTC."""
    at = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert chain(Head(), at=at, actor="a", action="b") == chain(Head(), at=NOW, actor="a", action="b")


@pytest.mark.parametrize("missing", [{"actor": ""}, {"action": ""}, {"at": NOW.replace(tzinfo=None)}])
def test_entry_names_actor_action_and_moment(missing):
    """An entry without actor, action or an unambiguous moment is refused."""
    with pytest.raises(InvalidInput):
        chain(Head(), **{"at": NOW, "actor": "ada", "action": "look"} | missing)


def test_details_are_what_json_can_carry():
    """Numbers JSON readers disagree about become text, so the hash is the same for every reader."""
    details = {
        "big": 2**53,
        "edge": 2**53 - 1,
        "inf": -float("inf"),
        "nan": float("nan"),
        "at": NOW,
        "list": (1, Head()),
    }
    assert plain(details) == {
        "big": "9007199254740992",
        "edge": 9007199254740991,
        "inf": "-Infinity",
        "nan": "NaN",
        "at": "2026-11-23T12:30:15.000250Z",
        "list": [1, {"sequence": 0, "entryHash": GENESIS}],
    }


@pytest.mark.parametrize("value", [{"a": b"bytes"}, ["\0"], {"\ud800": 1}, object()])
def test_details_that_are_no_json_are_refused(value):
    """What cannot be written as JSON text is refused before anything is stored."""
    with pytest.raises(InvalidInput):
        plain(value)


@given(st.integers(0, 2**62), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_checkpoint_text_reads_back(sequence, entry_hash):
    """A checkpoint reads back from what it prints."""
    head = Head(sequence=sequence, entry_hash=entry_hash)
    assert Head.parse(str(head)) == head


@pytest.mark.parametrize("text", ["", "5", "5:abc", "x:" + "0" * 64, "-1:" + "0" * 64, "5:" + "g" * 64])
def test_malformed_checkpoint_is_refused(text):
    """What is no checkpoint is refused, with the form it should have."""
    with pytest.raises(InvalidInput, match="sequence:hash"):
        Head.parse(text)


def test_wholly_edited_record_is_named_entry_by_entry():
    """However much was edited, every edited entry is named."""
    entries = [evolve(entry, actor="eve") for entry in _record(100)]
    assert _faults(verify(entries)) == list(zip(itertools.repeat(Fault.EDITED), range(1, 101), strict=False))
