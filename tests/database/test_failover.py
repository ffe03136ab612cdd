"""The primary dies, the standby takes its place, and nothing that was promised is broken."""

import os
import socket
from collections import Counter
from contextlib import closing

import pytest
from tests import standby
from tests.database.outage import BATCH, suffer, write

from vedette.catalog.domain import DomainSpec
from vedette.control.plane import open_plane
from vedette.kernel.errors import Conflict, LeaseLost, Unavailable
from vedette.store.engine import Store


@pytest.fixture(scope="module")
def pair():
    """A primary and its standby."""
    with standby.pair() as made:
        yield made


@pytest.fixture(scope="module")
def seen(pair, tmp_path_factory):
    """What was seen when the primary died."""
    return suffer(pair, tmp_path_factory.mktemp("outage"))


def test_several_servers_mean_the_one_that_takes_writes(seen):
    """A URL that names a standby first, and does not say which session it wants, gets one that can be written."""
    assert seen.errors["several"] == []


def test_requests_are_answered_all_along(seen):
    """Before the death, while nobody is primary, and after: every request to the gateway is answered."""
    for time in ("before", "headless", "after"):
        assert {status for status, _ in seen.answers[time]} == {200}


def test_what_was_answered_meanwhile_is_stored_once(seen):
    """Each answer of every time is one outcome in the end, and the sums count as many; nothing else is there."""
    answered = [request for time in seen.answers.values() for _, request in time]
    stored = Counter(it.id for it in seen.stored if it.domain == "payments")
    assert set(stored.values()) == {1}
    assert set(answered) <= set(stored)
    assert seen.counted["payments"] == len(stored)


def test_a_batch_cut_off_in_its_commit_is_counted_once(seen):
    """Its sender is told that it may be stored; it is, and sent again, even in another batch, it adds nothing."""
    (error,) = seen.errors["batch"]
    assert isinstance(error, Unavailable)
    assert "may" in error.message
    assert "sent again" in error.hint
    assert seen.again == (0, 0)
    assert sorted(it.id for it in seen.stored if it.domain == "cut") == sorted(it.id for it in BATCH)
    assert seen.counted["cut"] == len(BATCH)


def test_a_change_cut_off_in_its_commit_is_told_as_uncertain(seen, pair):
    """Who made it is told to look before trying again; here it was kept, with its audit entry, and is made once."""
    (error,) = seen.errors["change"]
    assert isinstance(error, Unavailable)
    assert "look before you try again" in error.hint
    with open_plane(pair.url, actor="ada") as plane:
        assert plane.domains.get("cut").revision == 1
        assert [it.action for it in plane.governance.entries(domain="cut").items].count("domain.create") == 1
        with pytest.raises(Conflict):
            plane.domains.create("cut", DomainSpec())


def test_what_was_acknowledged_is_on_the_standby(seen):
    """Every audit entry there was before the commits that were cut off can be read there while nobody is primary."""
    on_primary, on_standby = seen.entries
    assert on_standby >= on_primary > 0


def test_a_standby_is_never_written_to(seen):
    """Alone in the URL it can be read, and refuses to be written or made ready, with what to do."""
    for what in ("standby", "standby, opened"):
        (error,) = seen.errors[what]
        assert isinstance(error, Unavailable)
        assert "point the URL at the primary" in error.hint


def test_while_nobody_is_primary_changes_are_refused_and_say_so(seen):
    """Each try fails with the servers' words and what to do, on the control API as 503, never with a password."""
    assert len(seen.errors["nobody"]) == 3
    for error in seen.errors["nobody"]:
        assert isinstance(error, Unavailable)
        assert "promote a standby" in error.hint
        assert "secret" not in str(error)
        assert (str(error).count("session is read-only"), str(error).count("Connection refused")) == (1, 1)
    assert (seen.problem.status_code, seen.problem.headers["Retry-After"].isdigit()) == (503, True)
    assert "promote a standby" in seen.problem.json()["hint"]
    assert "secret" not in seen.problem.text


def test_the_doctor_says_which_server_answers_and_whether_its_word_outlives_it(seen, pair):
    """The primary of a standby is sound; a standby alone fails; a new primary alone warns of what is at stake."""
    found = {time: check["primary"] for time, check in seen.checks.items()}
    said = {time: (check.result, check.message.partition(" ")[0]) for time, check in found.items()}
    old, new = (f"127.0.0.1:{server.port}" for server in (pair.primary, pair.standby))
    assert said == {"before": ("ok", old), "headless": ("fail", new), "after": ("warn", new)}
    assert "synchronous_standby_names" in found["after"].hint
    assert (seen.checks["after"]["outcomes"].result, seen.checks["after"]["audit log"].result) == ("ok", "ok")


def test_dead_connections_are_replaced_without_an_error(seen):
    """Once there is a primary again, a pool full of connections to the old one serves reads and writes at once."""
    assert (seen.errors["pool"], seen.errors["plane"]) == ([], [])


def test_leases_survive_with_their_epochs_and_are_held_by_one(seen):
    """One that has not run out stays its holder's; one that has is taken anew, and its old holder is refused."""
    assert [(lease.name, lease.epoch) for lease in seen.held] == [("long", 1), ("short", 1)]
    assert [(lease.name, lease.holder, lease.epoch) for lease in seen.taken] == [("short", "second", 2)]
    assert seen.errors["long"] == []
    (error,) = seen.errors["short"]
    assert isinstance(error, LeaseLost)


def test_the_record_is_whole_and_the_server_never_stumbled(seen):
    """The audit chain verifies, the rollout of before is promoted after, and the server ends as it should."""
    assert seen.faults == ()
    code, log = seen.ended
    assert code == 0, log
    assert "Traceback" not in log
    assert "secret" not in log


@pytest.mark.usefixtures("seen")
def test_a_primary_that_takes_no_writes_any_more_is_left(pair):
    """One made read-only without a restart costs one error; then another is looked for, and found when there is one."""
    with closing(Store(pair.url)) as store:
        write(store)
        pair.standby.set("default_transaction_read_only", "on")
        try:
            with pytest.raises(Unavailable, match=r"takes no writes \(a standby"):
                write(store)
            with pytest.raises(Unavailable, match="no server of the URL takes writes"):
                write(store)
        finally:
            pair.standby.set("default_transaction_read_only", "off")
        write(store)


@pytest.mark.usefixtures("seen")
def test_a_machine_that_falls_silent_is_noticed(pair):
    """The operating system is told to give a connection up that nobody answers, within the patience of the store."""
    with closing(Store(pair.url, patience=7.0)) as store, store.reading() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with socket.socket(fileno=os.dup(driver.fileno())) as line:
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
