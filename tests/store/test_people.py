"""People and their secrets are kept by digest, alike on both engines: what ended or expired opens nothing."""

import pytest
from tests.store.things import NOW, after

from vedette.governance.roles import Role
from vedette.kernel.errors import Conflict
from vedette.kernel.records import evolve
from vedette.store import people
from vedette.store.people import Link, Person, Token

ADA = Person(name="ada", role=Role.ADMIN, created_at=NOW, created_by="setup")
CI = Token(name="ci", role=Role.OPERATOR, created_at=NOW, created_by="ada", expires_at=after(60))


def test_a_session_lasts_until_it_ends_or_its_person_leaves(store):
    """It is found by its digest, and no more once it expired, was ended, or its person left."""
    with store.transaction() as connection:
        assert not people.anybody(connection)
        people.add(connection, ADA, "hash")
        for digest in ("one", "two"):
            people.add_session(connection, digest, "ada", "key", at=NOW, until=after(60))
        assert people.anybody(connection)
        found = people.session(connection, "one", after(59))
        assert found is not None
        assert (found.person, found.form_key) == (ADA, "key")
        assert people.session(connection, "one", after(60)) is None
        assert people.session(connection, "three", NOW) is None
        people.end_sessions(connection, digest="one")
        assert people.session(connection, "one", NOW) is None
        people.change(connection, "ada", ended_at=NOW)
        assert people.session(connection, "two", NOW) is None
        assert people.password_of(connection, "ada") is None
        assert people.everybody(connection) == (evolve(ADA, ended_at=NOW),)


def test_names_are_taken_once(store):
    """Neither a person nor a token takes the name of another, gone or not."""
    with store.transaction() as connection:
        people.add(connection, ADA, "hash")
        people.add_token(connection, CI, "digest")
    with pytest.raises(Conflict, match="'ada'"), store.transaction() as connection:
        people.add(connection, ADA, "other")
    with pytest.raises(Conflict, match="'ci'"), store.transaction() as connection:
        people.add_token(connection, CI, "another")


def test_a_token_is_good_until_it_expires_or_is_revoked(store):
    """It is found by its digest as long as it is good."""
    with store.transaction() as connection:
        people.add_token(connection, CI, "digest")
        assert people.token(connection, "digest", after(59)) == CI
        assert people.token(connection, "digest", after(60)) is None
        assert people.end_token(connection, "ci", after(1))
        assert not people.end_token(connection, "ci", after(2))
        assert people.token(connection, "digest", after(3)) is None
        assert people.tokens(connection) == (evolve(CI, ended_at=after(1)),)


def test_a_link_is_used_once_and_forgotten_with_its_name(store):
    """Whoever is second finds nothing; a new invitation replaces the one before."""
    invited = Link(name="bob", role=Role.VIEWER, created_by="ada", expires_at=after(60))
    with store.transaction() as connection:
        for digest in ("one", "two"):
            people.add_link(connection, digest, invited, NOW)
        assert people.link(connection, "one") == invited
        assert people.use_link(connection, "one")
        assert not people.use_link(connection, "one")
        people.forget_links(connection, "bob")
        assert people.link(connection, "two") is None


def test_failures_are_remembered_for_a_while(store):
    """They count until their time is over; then tidying forgets them, with all else that expired."""
    with store.transaction() as connection:
        people.add(connection, ADA, "hash")
        people.add_session(connection, "one", "ada", "key", at=NOW, until=after(5))
        people.note_attempts(connection, "name/ada", 1, after(60))
        people.note_attempts(connection, "name/ada", 2, after(70))
        assert people.attempts(connection, "name/ada", after(69)) == (2, after(70))
        assert people.attempts(connection, "name/ada", after(70)) == (0, None)
        people.prune(connection, now=after(71))
        assert people.attempts(connection, "name/ada", NOW) == (0, None)
        assert people.session(connection, "one", NOW) is None
