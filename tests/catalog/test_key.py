"""Secrets of keys, and what is kept of them."""

import hashlib
import hmac

import pytest

from vedette.catalog.key import AdmittedKey, KeySpec, digest_of, id_in, mark_of, secret_of
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
