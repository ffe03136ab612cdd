"""People and what proves who they are: passwords, sessions, tokens and links, all as digests."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, or_, select, update

from vedette.database.failures import constrained
from vedette.governance.roles import Role
from vedette.kernel.errors import Conflict, NotFound
from vedette.kernel.records import record
from vedette.store.people_tables import api_tokens, people, sessions, sign_in_attempts, sign_in_links
from vedette.store.upsert import upsert


@record
class Person:
    """Who may sign in; with ``ended_at`` no longer."""

    name: str
    role: Role
    created_at: datetime
    created_by: str
    ended_at: datetime | None = None


@record
class Token:
    """What lets a program in: until ``expires_at``, or ``ended_at`` when it was revoked."""

    name: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    ended_at: datetime | None = None


@record
class Link:
    """An invitation: it opens once and makes a person of that name; an empty name is chosen by who opens it."""

    name: str
    role: Role
    created_by: str
    expires_at: datetime


@record
class Session:
    """A person who is signed in; ``form_key`` stands in every form of the session."""

    person: Person
    form_key: str
    expires_at: datetime


def anybody(connection: Connection) -> bool:
    """Say whether there is, or was, any person or token."""
    return bool(connection.scalar(select(or_(exists().select_from(people), exists().select_from(api_tokens)))))


def add(connection: Connection, person: Person, password: str) -> None:
    """Store a new person with the hash of a password.

    Raises:
        Conflict: the name is taken.
    """
    taken = Conflict(f"there is a person {person.name!r} already", hint="choose another name")
    with constrained(unique=taken):
        connection.execute(
            insert(people).values(
                name=person.name,
                role=person.role,
                password=password,
                created_at=person.created_at,
                created_by=person.created_by,
            )
        )


def everybody(connection: Connection) -> tuple[Person, ...]:
    """Give all people by name, those who left too."""
    return tuple(map(_person, connection.execute(select(people).order_by(people.c.name))))


def person(connection: Connection, name: str) -> Person:
    """Give one person.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no person {name!r}", hint="`vedette user list` shows those there are")
    return _person(row)


def password_of(connection: Connection, name: str) -> str | None:
    """Give the hash of the password of somebody who may sign in, or None."""
    query = select(people.c.password).where(people.c.name == name, people.c.ended_at.is_(None))
    return connection.scalar(query)


def change(connection: Connection, name: str, **values: Any) -> None:  # noqa: ANN401 - columns of people
    """Change columns of a person."""
    connection.execute(update(people).where(people.c.name == name).values(**values))


def add_link(connection: Connection, digest: str, link: Link, at: datetime) -> None:
    """Store an invitation."""
    connection.execute(
        insert(sign_in_links).values(
            digest=digest,
            name=link.name,
            role=link.role,
            created_at=at,
            created_by=link.created_by,
            expires_at=link.expires_at,
        )
    )


def link(connection: Connection, digest: str) -> Link | None:
    """Give an invitation that was not opened yet, expired or not."""
    row = connection.execute(select(sign_in_links).where(sign_in_links.c.digest == digest)).one_or_none()
    if row is None:
        return None
    return Link(name=row.name, role=Role(row.role), created_by=row.created_by, expires_at=row.expires_at)


def use_link(connection: Connection, digest: str) -> bool:
    """Take an invitation away; say whether it was still there."""
    return bool(connection.execute(delete(sign_in_links).where(sign_in_links.c.digest == digest)).rowcount)


def forget_links(connection: Connection, name: str) -> None:
    """Take every open invitation of a name away."""
    connection.execute(delete(sign_in_links).where(sign_in_links.c.name == name))


def add_session(
    connection: Connection, digest: str, name: str, form_key: str, *, at: datetime, until: datetime
) -> None:
    """Store a session of a person."""
    connection.execute(
        insert(sessions).values(digest=digest, person=name, form_key=form_key, created_at=at, expires_at=until)
    )


def session(connection: Connection, digest: str, at: datetime) -> Session | None:
    """Give the session behind a digest, if it lasts and its person may still sign in."""
    query = (
        select(people, sessions.c.form_key, sessions.c.expires_at)
        .join_from(sessions, people, sessions.c.person == people.c.name)
        .where(sessions.c.digest == digest, sessions.c.expires_at > at, people.c.ended_at.is_(None))
    )
    row = connection.execute(query).one_or_none()
    return Session(person=_person(row), form_key=row.form_key, expires_at=row.expires_at) if row else None


def end_sessions(connection: Connection, *, digest: str = "", name: str = "") -> None:
    """End one session, or all of a person."""
    condition = sessions.c.digest == digest if digest else sessions.c.person == name
    connection.execute(delete(sessions).where(condition))


def add_token(connection: Connection, token: Token, digest: str) -> None:
    """Store a token.

    Raises:
        Conflict: the name is taken; that of a revoked one stays taken, for its record's sake.
    """
    taken = Conflict(f"there is a token {token.name!r} already", hint="revoked ones keep their name; choose another")
    with constrained(unique=taken):
        connection.execute(
            insert(api_tokens).values(
                name=token.name,
                role=token.role,
                digest=digest,
                created_at=token.created_at,
                created_by=token.created_by,
                expires_at=token.expires_at,
            )
        )


def tokens(connection: Connection) -> tuple[Token, ...]:
    """Give all tokens by name, revoked ones too."""
    return tuple(map(_token, connection.execute(select(api_tokens).order_by(api_tokens.c.name))))


def token(connection: Connection, digest: str, at: datetime) -> Token | None:
    """Give the token behind a digest, if it is still good."""
    query = select(api_tokens).where(
        api_tokens.c.digest == digest,
        api_tokens.c.ended_at.is_(None),
        or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > at),
    )
    row = connection.execute(query).one_or_none()
    return _token(row) if row else None


def end_token(connection: Connection, name: str, at: datetime) -> bool:
    """Revoke a token; say whether there was one that was good."""
    query = update(api_tokens).where(api_tokens.c.name == name, api_tokens.c.ended_at.is_(None)).values(ended_at=at)
    return bool(connection.execute(query).rowcount)


def attempts(connection: Connection, name: str, at: datetime) -> tuple[int, datetime | None]:
    """Give how often signing in under a name failed of late, and until when that is remembered."""
    query = select(sign_in_attempts).where(sign_in_attempts.c.name == name, sign_in_attempts.c.until > at)
    row = connection.execute(query).one_or_none()
    return (row.failures, row.until) if row else (0, None)


def note_attempts(connection: Connection, name: str, failures: int, until: datetime) -> None:
    """Remember failures under a name."""
    values = {"name": name, "failures": failures, "until": until}
    connection.execute(upsert(connection, sign_in_attempts, values, replace=("failures", "until")))


def prune(connection: Connection, *, now: datetime) -> None:
    """Forget sessions, links and attempts whose time is over."""
    connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
    connection.execute(delete(sign_in_links).where(sign_in_links.c.expires_at <= now))
    connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.until <= now))


def _person(row: Row[Any]) -> Person:
    return Person(
        name=row.name, role=Role(row.role), created_at=row.created_at, created_by=row.created_by, ended_at=row.ended_at
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )
