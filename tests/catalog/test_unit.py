"""Pseudonyms of units: the same for the same, another in every other domain, and no unit in them."""

from hypothesis import given
from hypothesis import strategies as st

from vedette.catalog.unit import is_pseudonym, key_of, pseudonym

PEPPER = b"a pepper for tests"


def test_a_pseudonym_is_what_openssl_says():
    """The key is the HMAC-SHA256 of the domain under the pepper, a pseudonym half of the unit's under that key."""
    # printf 'vedette unit/payments' | openssl dgst -sha256 -hmac 'a pepper for tests', and with that as hexkey: ann
    assert pseudonym(key_of(PEPPER, "payments"), "ann") == "ffb38a6d30871b14be36b266d8633991"


@given(st.text(), st.text(), st.sampled_from(["payments", "legal"]), st.sampled_from(["payments", "legal"]))
def test_units_are_alike_only_where_unit_and_domain_are(one, other, here, there):
    """Two pseudonyms are equal if and only if both the units and the domains are; each looks like one."""
    first, second = pseudonym(key_of(PEPPER, here), one), pseudonym(key_of(PEPPER, there), other)
    assert (first == second) == ((one, here) == (other, there))
    assert is_pseudonym(first)
    assert pseudonym(key_of(b"another pepper at all", here), one) != first
