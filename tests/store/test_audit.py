"""The audit log grows at its end under one lock, refuses every change, and names what was tampered with."""

import json
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.store.things import NOW, after

from vedette.governance.audit import AuditEntry, Fault, Head
from vedette.kernel.errors import Conflict, Corrupt, InvalidInput, Refused, Unavailable
from vedette.store import audit
from vedette.store.engine import Store


def _write(store: Store, count: int, **values: Any) -> list[AuditEntry]:
    """Append entries, each in its own transaction."""
    written = []
    for number in range(count):
        with store.transaction() as connection:
            entry: dict[str, Any] = {
                "at": after(number),
                "actor": "ada",
                "action": "look",
                "details": {"number": number},
            }
            written.append(audit.append(connection, **(entry | values)))
    return written


def _twice(connection: Connection) -> None:
    """Append an entry, and one that is refused."""
    for action in ("fails later", ""):
        audit.append(connection, at=NOW, actor="ada", action=action)


def _tamper(store: Store, *statements: str) -> None:
    """Do to the log what someone with the database's password can do."""
    drops = {
        True: [f"DROP TRIGGER domain_audit_logs_{name}" for name in ("update", "delete", "replace")],
        False: ["ALTER TABLE domain_audit_logs DISABLE TRIGGER USER"],
    }
    with store.transaction() as connection:
        for statement in (*drops[store.is_sqlite], *statements):
            connection.execute(text(statement))


def _faults(store: Store, checkpoint: Head | None = None) -> list[tuple[Fault, int]]:
    with store.reading() as connection:
        return [(finding.fault, finding.sequence) for finding in audit.check(connection, checkpoint)]


def test_entries_read_back_as_they_were_written(store):
    """What comes out of the log is what went in, hash for hash, whatever JSON the details are."""
    details = {"text": 'naïve 支払い \\ " \n', "small": 5e-324, "big": 1e22, "int": -3, "nested": [{"a": None}, True]}
    written = _write(store, 3, details=details, domain="pay", resource="rollout/1", request_id="r-1")
    with store.reading() as connection:
        assert list(audit.stream(connection)) == written
        assert audit.head(connection) == Head(sequence=3, entry_hash=written[-1].entry_hash)
        assert audit.check(connection) == ()


def test_log_begins_empty_and_sound(store):
    """A fresh database has an empty log that verifies."""
    with store.reading() as connection:
        assert audit.head(connection) == Head()
        assert audit.check(connection) == ()


def test_failed_change_leaves_no_gap(store):
    """An entry of a transaction that failed was never there, and its number is given to the next one."""
    _write(store, 1)
    with pytest.raises(InvalidInput), store.transaction() as connection:
        _twice(connection)
    _write(store, 1)
    with store.reading() as connection:
        assert [entry.sequence for entry in audit.stream(connection)] == [1, 2]
        assert audit.check(connection) == ()


def test_entry_without_actor_is_refused(store):
    """No actor, no entry, and so no change."""
    with pytest.raises(InvalidInput, match="actor"), store.transaction() as connection:
        audit.append(connection, at=NOW, actor="", action="look")


def test_concurrent_writers_leave_one_chain(store, second):
    """Writers on several connections at once make one chain without gaps, forks or lost entries."""
    barrier = threading.Barrier(4)

    def write(opened, actor):
        barrier.wait()
        _write(opened, 15, actor=actor)

    threads = [threading.Thread(target=write, args=pair) for pair in zip([store, second] * 2, "abcd", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        entries = list(audit.stream(connection))
        assert [entry.sequence for entry in entries] == list(range(1, 61))
        assert {actor: sum(entry.actor == actor for entry in entries) for actor in "abcd"} == dict.fromkeys("abcd", 15)
        assert audit.check(connection) == ()


def test_filters_and_pages(store):
    """Entries are found by domain, actor, action and time, in pages, in either direction."""
    for number in range(6):
        with store.transaction() as connection:
            audit.append(
                connection,
                at=after(number),
                actor="ada" if number % 2 else "bob",
                action="rollout.abort" if number > 3 else "rollout.pause",
                domain="pay" if number < 3 else "law",
            )
    with store.reading() as connection:

        def found(**filters: Any) -> list[int]:
            return [entry.sequence for entry in audit.page(connection, **filters).items]

        assert found(domain="pay") == [1, 2, 3]
        assert found(actor="ada") == [2, 4, 6]
        assert found(action="rollout.abort", newest_first=True) == [6, 5]
        assert found(since=after(1), until=after(3)) == [2, 3]
        assert found(actor="ada", domain="law", since=NOW + timedelta(seconds=4)) == [6]
        first = audit.page(connection, limit=4, newest_first=True)
        assert [entry.sequence for entry in first.items] == [6, 5, 4, 3]
        assert found(limit=4, newest_first=True, after=first.next) == [2, 1]


def test_tail_follows_the_log(store):
    """Who knows the log up to a sequence reads what came after, of all or of one domain or resource."""
    for resource in ("rollout/1", "rollout/2", "rollout/1"):
        _write(store, 1, domain="pay", resource=resource)
    with store.reading() as connection:
        assert [entry.sequence for entry in audit.tail(connection, 1)] == [2, 3]
        assert [entry.sequence for entry in audit.tail(connection, 0, resource="rollout/1")] == [1, 3]
        assert audit.tail(connection, 0, domain="law") == ()
        assert audit.tail(connection, 3) == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE domain_audit_logs SET actor = 'eve' WHERE sequence = 1",
        "DELETE FROM domain_audit_logs WHERE sequence = 2",
        "DELETE FROM domain_audit_logs",
    ],
)
def test_database_refuses_changes_of_the_log(store, statement):
    """An UPDATE or DELETE on the log is refused by the database itself."""
    _write(store, 2)
    with pytest.raises(Refused, match="append-only"), store.transaction() as connection:
        connection.execute(text(statement))
    assert _faults(store) == []


_FORGED = """INTO domain_audit_logs
    VALUES (1, '2026-01-01', 'eve', 'look', '', '', '{}', '', '0', '0')"""


def test_sqlite_refuses_to_replace_an_entry(sqlite_url):
    """SQLite's REPLACE, which fires no delete trigger, forges nothing."""
    with closing(Store(sqlite_url)) as store:
        _write(store, 1)
        for verb in ("REPLACE", "INSERT OR REPLACE", "INSERT OR IGNORE"):
            with pytest.raises(Refused, match="append-only"), store.transaction() as connection:
                connection.execute(text(f"{verb} {_FORGED}"))
        assert _faults(store) == []


def test_postgres_refuses_to_overwrite_or_empty_the_log(postgres_url):
    """PostgreSQL's TRUNCATE and ON CONFLICT DO UPDATE, which fire other triggers, are refused too."""
    overwrite = f"INSERT {_FORGED} ON CONFLICT (sequence) DO UPDATE SET actor = 'eve'"
    with closing(Store(postgres_url)) as store:
        _write(store, 1)
        for statement in ("TRUNCATE domain_audit_logs", overwrite):
            with pytest.raises(Refused, match="append-only"), store.transaction() as connection:
                connection.execute(text(statement))
        assert _faults(store) == []


def test_second_entry_of_a_number_is_refused(store):
    """No entry can take the number of another."""
    _write(store, 1)
    with pytest.raises((Refused, Conflict)), store.transaction() as connection:
        connection.execute(text(f"INSERT {_FORGED}"))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE domain_audit_logs SET actor = 'eve' WHERE sequence = 3", [(Fault.EDITED, 3)]),
        ("UPDATE domain_audit_logs SET details = '{}' WHERE sequence = 1", [(Fault.EDITED, 1)]),
        ("DELETE FROM domain_audit_logs WHERE sequence = 2", [(Fault.REMOVED, 2)]),
        ("DELETE FROM domain_audit_logs WHERE sequence > 3", [(Fault.TRUNCATED, 4)]),
        (
            "UPDATE domain_audit_logs SET sequence = 9 WHERE sequence = 3",
            [(Fault.REMOVED, 3), (Fault.FORGED, 6), (Fault.REMOVED, 6), (Fault.REORDERED, 9)],
        ),
    ],
)
def test_tampering_past_the_triggers_is_named(store, statement, expected):
    """Whoever switches the triggers off and changes the log is found out, with the exact sequence."""
    _write(store, 5)
    _tamper(store, statement)
    assert _faults(store) == expected


def test_swapped_entries_are_named(store):
    """Two entries whose numbers were exchanged are both named as standing in another's place."""
    _write(store, 4)
    _tamper(
        store,
        "UPDATE domain_audit_logs SET sequence = 99 WHERE sequence = 2",
        "UPDATE domain_audit_logs SET sequence = 2 WHERE sequence = 3",
        "UPDATE domain_audit_logs SET sequence = 3 WHERE sequence = 99",
    )
    assert {(Fault.REORDERED, 2), (Fault.REORDERED, 3)} <= set(_faults(store))


def test_tail_cut_together_with_the_head_needs_a_checkpoint(store):
    """When the head was put back with the tail cut off, a checkpoint written down elsewhere still tells."""
    _write(store, 4)
    with store.reading() as connection:
        checkpoint = Head.parse(str(audit.head(connection)))
    _tamper(
        store,
        "DELETE FROM domain_audit_logs WHERE sequence > 2",
        "UPDATE audit_head SET sequence = 2",
        "UPDATE audit_head SET entry_hash = (SELECT entry_hash FROM domain_audit_logs WHERE sequence = 2)",
    )
    assert _faults(store) == []
    assert _faults(store, checkpoint) == [(Fault.TRUNCATED, 3)]


def test_lost_head_stops_every_change(store):
    """Without its head the log can neither be written nor be called sound."""
    with store.transaction() as connection:
        connection.execute(text("DELETE FROM audit_head"))
    with pytest.raises(Corrupt, match="head"):
        _write(store, 1)
    with pytest.raises(Corrupt, match="head"):
        _faults(store)


def test_stored_details_are_the_hashed_text(store):
    """The details stand in the table as JSON that any tool can read and hash again."""
    _write(store, 1, details={"weight": 12.5, "version": "v2"})
    with store.reading() as connection:
        raw = connection.execute(text("SELECT CAST(details AS TEXT) FROM domain_audit_logs")).scalar_one()
    assert json.loads(raw) == {"weight": 12.5, "version": "v2"}


def test_reading_cannot_write(store):
    """A transaction for reading refuses to append."""
    with pytest.raises(Unavailable), store.reading() as connection:
        audit.append(connection, at=NOW, actor="ada", action="look")
