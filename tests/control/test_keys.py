"""Keys in the control plane: made once, kept as digests, taken back, and all of it in the audit log."""

import stat

import pytest
from tests.control.world import World

from vedette.catalog.key import KeySpec, digest_of
from vedette.connectors import pepper
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused


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


def test_the_pepper_is_made_once_for_its_owner_alone(tmp_path):
    """The first one to ask makes a file nobody else can read; everybody finds the same one then."""
    file = tmp_path / "data" / pepper.FILE
    made = pepper.find_or_make({}, file)
    assert pepper.find_or_make({}, file) == pepper.find({}, file) == made
    assert len(made) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [pepper.FILE]


def test_a_pepper_from_the_environment_goes_first(tmp_path):
    """The environment's is taken before the file's, makes no file, and must be long enough; without either is none."""
    file = tmp_path / pepper.FILE
    assert pepper.find({}, file) is None
    assert pepper.find_or_make({pepper.VARIABLE: "x" * 16}, file) == b"x" * 16
    assert not file.exists()
    with pytest.raises(InvalidInput, match="shorter than 16"):
        pepper.find({pepper.VARIABLE: "salt"}, file)
