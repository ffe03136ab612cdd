"""Keys in the control plane: made once, kept as digests, taken back, and all of it in the audit log."""

import stat
from datetime import timedelta

import pytest
from tests.control.world import World

from vedette.catalog.key import KeySpec, KeyState, digest_of
from vedette.catalog.limits import Rates
from vedette.connectors import pepper
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused, StaleRevision


@pytest.fixture(autouse=True)
def _own_pepper(monkeypatch):
    monkeypatch.setenv(pepper.VARIABLE, "a pepper for tests")


def test_a_key_is_kept_as_a_digest_alone(pay: World):
    """The secret is in the answer; the ring has its HMAC; neither the list nor the audit log has either."""
    issued = pay.plane.keys.create("mobile", KeySpec(domains=("pay",)), actor="ann")
    ring = pay.plane.traffic.keys(-1)
    assert ring is not None
    assert [key.digest for key in ring.keys] == [digest_of(issued.secret.encode(), b"a pepper for tests")]
    entries = pay.plane.governance.entries(action="key.create").items
    assert [entry.actor for entry in entries] == ["ann"]
    said = repr(entries) + repr(pay.plane.keys.page())
    assert issued.secret not in said
    assert ring.keys[0].digest not in said


def test_a_revoked_key_leaves_the_ring(pay: World):
    """Each change makes a new ring, an unchanged one is not given again, and a revoked key is in none."""
    traffic, keys = pay.plane.traffic, pay.plane.keys
    assert traffic.keys(0) is None
    keys.create("a", actor="ann")
    keys.create("b", actor="ann")
    ring = traffic.keys(0)
    assert ring is not None
    assert traffic.keys(ring.revision) is None
    revoked = keys.revoke("a", actor="bob", why="it leaked")
    assert (revoked.revoked_by, keys.get("a")) == ("bob", revoked)
    after = traffic.keys(ring.revision)
    assert after is not None
    assert [key.name for key in after.keys] == ["b"]
    assert pay.plane.governance.entries(action="key.revoke").items[0].details["why"] == "it leaked"


def test_a_name_is_used_once(pay: World):
    """A name stays taken after its key was revoked; an unknown key and an unknown domain are not found."""
    keys = pay.plane.keys
    keys.create("a", actor="ann")
    keys.revoke("a", actor="ann")
    with pytest.raises(Conflict, match="choose another"):
        keys.create("a", actor="ann")
    with pytest.raises(Refused, match="already"):
        keys.revoke("a", actor="ann")
    with pytest.raises(NotFound, match="no key"):
        keys.revoke("b", actor="ann")
    with pytest.raises(NotFound, match="no domain"):
        keys.create("c", KeySpec(domains=("nowhere",)), actor="ann")


_CHANGED = ("expiresAt", "limits")


def test_a_key_is_changed_and_keeps_its_secret(pay: World):
    """A change makes a new ring with the same digest and another spec, one entry with what differs, one revision."""
    keys, traffic = pay.plane.keys, pay.plane.traffic
    issued = keys.create("mobile", KeySpec(domains=("pay",)), actor="ann")
    before = traffic.keys(-1)
    assert before is not None
    end = pay.clock.now() + timedelta(days=90)
    spec = KeySpec(domains=("pay",), limits=Rates(requests_per_minute=60), expires_at=end)
    changed = keys.update("mobile", spec, actor="bob", expected_revision=1)
    assert (changed.spec, changed.revision, changed.id, keys.get("mobile")) == (spec, 2, issued.key.id, changed)
    after = traffic.keys(before.revision)
    assert after is not None
    assert [(key.digest, key.spec) for key in after.keys] == [(before.keys[0].digest, spec)]
    (entry,) = pay.plane.governance.entries(action="key.update").items
    assert (entry.actor, entry.resource) == ("bob", "key/mobile")
    assert entry.details["changed"] == {name: [dump(issued.key.spec)[name], dump(spec)[name]] for name in _CHANGED}
    assert keys.update("mobile", spec, actor="bob") == changed
    assert traffic.keys(after.revision) is None


def test_a_key_that_has_expired_may_be_given_more_time(pay: World):
    """An expired key stays in the ring, can be changed otherwise, and is good again with a later end."""
    keys = pay.plane.keys
    end = pay.clock.now() + timedelta(hours=1)
    keys.create("mobile", KeySpec(expires_at=end), actor="ann")
    pay.clock.calendar = end
    assert keys.get("mobile").state_at(pay.clock.now()) is KeyState.EXPIRED
    ring = pay.plane.traffic.keys(-1)
    assert ring is not None
    assert [key.name for key in ring.keys] == ["mobile"]
    keys.update("mobile", KeySpec(expires_at=end, note="the app"), actor="ann")
    renewed = keys.update("mobile", KeySpec(expires_at=end + timedelta(days=30)), actor="ann")
    assert renewed.state_at(pay.clock.now()) is KeyState.GOOD


def test_what_cannot_be_is_not_changed(pay: World):
    """An end in the past, an unknown domain, another revision and a revoked key are refused, and change nothing."""
    keys, now = pay.plane.keys, pay.clock.now()
    with pytest.raises(InvalidInput, match="expired already"):
        keys.create("mobile", KeySpec(expires_at=now), actor="ann")
    made = keys.create("mobile", actor="ann").key
    with pytest.raises(InvalidInput, match="revoke it"):
        keys.update("mobile", KeySpec(expires_at=now), actor="ann")
    with pytest.raises(NotFound, match="no domain"):
        keys.update("mobile", KeySpec(domains=("nowhere",)), actor="ann")
    with pytest.raises(StaleRevision, match="at revision 1, not 2"):
        keys.update("mobile", KeySpec(note="x"), actor="ann", expected_revision=2)
    assert keys.get("mobile") == made
    assert keys.revoke("mobile", actor="ann").revision == 2
    with pytest.raises(Refused, match="revoked"):
        keys.update("mobile", KeySpec(note="x"), actor="ann")


def test_the_keys_of_a_domain_are_those_that_open_it(pay: World):
    """Keys for a domain or for all, expired ones too, revoked ones not."""
    pay.domain("legal")
    keys = pay.plane.keys
    for name, domains in (("all", ()), ("pay", ("pay",)), ("legal", ("legal",)), ("gone", ())):
        keys.create(name, KeySpec(domains=domains), actor="ann")
    keys.revoke("gone", actor="ann")
    assert [key.name for key in keys.of_domain("pay")] == ["all", "pay"]


def test_the_pepper_is_made_once_for_its_owner_alone(tmp_path):
    """It is in a file nobody else can read; who comes with another one then is told, and the first one stays."""
    file = tmp_path / "data" / pepper.FILE
    made = pepper.draft()
    for _ in range(2):
        pepper.keep(made, file)
    with pytest.raises(Conflict, match="meanwhile"):
        pepper.keep(pepper.draft(), file)
    assert pepper.find({}, file) == made
    assert len(made) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [pepper.FILE]


def test_a_pepper_from_the_environment_goes_first(tmp_path):
    """The environment's is taken before the file's, makes no file, and must be long enough; without either is none."""
    file = tmp_path / pepper.FILE
    assert pepper.find({}, file) is None
    assert pepper.find({pepper.VARIABLE: "x" * 16}, file) == b"x" * 16
    assert not file.exists()
    with pytest.raises(InvalidInput, match="shorter than 16"):
        pepper.find({pepper.VARIABLE: "salt"}, file)
