"""Secrets of keys, and what is kept of them."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest

from vedette.catalog.key import (
    AdmittedKey,
    Key,
    KeySpec,
    KeyState,
    digest_of,
    expiry_of,
    id_in,
    mark_of,
    secret_of,
)
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput

SECRET = secret_of("0123456789ab", "x" * 43)


def test_a_secret_names_its_key():
    """The id is read back from a secret of the right form, and from nothing else."""
    assert id_in(SECRET.encode()) == "0123456789ab"
    assert [id_in(wrong) for wrong in (b"", b"sk-1", SECRET.encode() + b"x", SECRET.encode()[:-1])] == [""] * 4


def test_a_digest_is_an_hmac_under_the_pepper():
    """What is kept is HMAC-SHA256 of the secret, keyed by the pepper, whose mark does not tell it."""
    assert digest_of(b"s", b"p") == hmac.new(b"p", b"s", hashlib.sha256).hexdigest()
    assert digest_of(b"s", b"p") != digest_of(b"s", b"q")
    assert mark_of(b"p") != mark_of(b"q")
    assert len(mark_of(b"p")) == 8


def test_what_is_no_key_is_refused():
    """A digest is 64 hexadecimal digits, and a domain a name."""
    with pytest.raises(InvalidInput, match="digest"):
        AdmittedKey(id="a", name="k", spec=KeySpec(), digest="Z" * 64, pepper="")
    with pytest.raises(InvalidInput, match="domain"):
        KeySpec(domains=("Pay ments",))


NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("1w2d", NOW + timedelta(days=9)),
        ("36h", NOW + timedelta(hours=36)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T09:00:00+02:00", datetime(2027, 1, 31, 7, tzinfo=UTC)),
        (NOW, NOW),
    ],
)
def test_an_end_is_said_in_three_ways(said, end):
    """How long from now, a date (when it begins in UTC), or a time with its offset."""
    assert expiry_of(said, NOW) == end


_NO_ENDS = ["", "soon", "d", "90", "-1d", "2027-02-30", "31.1.2027", "2027-01-31T09:00:00", "99999999d"]


@pytest.mark.parametrize("said", [*_NO_ENDS, NOW.replace(tzinfo=None)])
def test_what_is_no_end_is_refused(said):
    """What is neither of them, or is beyond the calendar, is refused."""
    with pytest.raises(InvalidInput):
        expiry_of(said, NOW)


def test_a_spec_takes_dates_and_times_and_no_others():
    """Documents hold an end as a date or a time, in camelCase; one without a zone is refused however it is given."""
    spec = load(KeySpec, {"expiresAt": "2027-01-31"})
    assert dump(spec)["expiresAt"] == "2027-01-31T00:00:00Z"
    assert load(KeySpec, dump(spec)) == spec
    with pytest.raises(InvalidInput, match="expiresAt"):
        load(KeySpec, {"expiresAt": "90d"})
    with pytest.raises(InvalidInput, match="time zone"):
        KeySpec(expires_at=datetime(2027, 1, 31))  # noqa: DTZ001 - the one that is refused


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        (None, KeyState.GOOD),
        (timedelta(days=14, seconds=1), KeyState.GOOD),
        (timedelta(days=14), KeyState.ENDING),
        (timedelta(seconds=1), KeyState.ENDING),
        (timedelta(0), KeyState.EXPIRED),
    ],
)
def test_a_key_ends_at_its_moment_and_is_marked_before(ends, state):
    """It is ending in its last fourteen days and expired from its moment on, in whatever zone; revoked beats all."""
    zoned = (NOW + ends).astimezone(timezone(timedelta(hours=-5))) if ends is not None else None
    key = Key(id="a", name="k", spec=KeySpec(expires_at=zoned), created_at=NOW, created_by="ann")
    assert key.state_at(NOW) is state
    revoked = Key(id="a", name="k", spec=key.spec, created_at=NOW, created_by="ann", revoked_at=NOW)
    assert revoked.state_at(NOW) is KeyState.REVOKED
