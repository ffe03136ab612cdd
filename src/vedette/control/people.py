"""Who may come in: people with passwords, sessions, tokens for programs, and links that open once.

Secrets are 256 random bits and leave this module once, when they are made; what is stored is their SHA-256. Passwords
are hashed by scrypt (RFC 7914) at OWASP's parameters. After five wrong passwords a name, or an address, waits for a
quarter of an hour; who tries hardly learns whether the name exists, because a hash is computed either way.
"""

import hashlib
import hmac
import os
import secrets
import threading
from base64 import b64decode, b64encode
from datetime import datetime, timedelta

from vedette.control.change import Changes
from vedette.control.instruments import Instruments
from vedette.governance.roles import Caller, Role
from vedette.kernel.errors import Denied, InvalidInput, NotFound, Refused
from vedette.kernel.ids import check_name
from vedette.kernel.records import record
from vedette.store import people
from vedette.store.people import Link, Person, Session, Token

LINK_LASTS = timedelta(hours=24)
SESSION_LASTS = timedelta(days=7)
SHORTEST_PASSWORD = 10
DOOR = "vedette/door"
"""Who is written down where nobody proved to be somebody; no person can have such a name."""
TRIES, TRIES_WAIT = 5, timedelta(minutes=15)
_MEMORY = 64 * 1024 * 1024


@record
class SignedIn:
    """A session just begun: the person, and the secret for the cookie."""

    person: Person
    secret: str


class People:
    """People, sessions and tokens of one control plane."""

    def __init__(self, changes: Changes, instruments: Instruments) -> None:
        self._changes = changes
        self._instruments = instruments
        self._claimed = False

    def anybody(self) -> bool:
        """Say whether there is any person or token yet; once true, it stays so."""
        if not self._claimed:
            with self._changes.reading() as connection:
                self._claimed = people.anybody(connection)
        return self._claimed

    def everybody(self) -> tuple[Person, ...]:
        """List all people by name, those who left too."""
        with self._changes.reading() as connection:
            return people.everybody(connection)

    def tokens(self) -> tuple[Token, ...]:
        """List all tokens by name, revoked ones too."""
        with self._changes.reading() as connection:
            return people.tokens(connection)

    def invite(self, name: str, role: Role, *, actor: str = "", request_id: str = "") -> str:
        """Make the secret of a link that opens once, within a day, and makes a person of that name and role.

        An empty name is chosen by who opens it. The name of somebody there is gives that person a new password.

        Raises:
            InvalidInput: the name cannot be one.
        """
        if name:
            check_name(name, "person")
        secret = secrets.token_urlsafe(32)
        with self._changes.begin(actor, request_id) as change:
            invited = Link(name=name, role=role, created_by=change.actor, expires_at=change.at + LINK_LASTS)
            people.forget_links(change.connection, name)
            people.add_link(change.connection, _digest(secret), invited, change.at)
            change.record("person.invite", domain="", resource=f"person/{name}", role=role)
        return secret

    def invitation(self, secret: str) -> Link:
        """Give what a link invites to.

        Raises:
            NotFound: it was opened before, expired, or never made.
        """
        with self._changes.reading() as connection:
            found = people.link(connection, _digest(secret))
        if found is None or found.expires_at <= self._instruments.now():
            raise NotFound("this link was used before, or is too old", hint="ask for a new one: vedette user invite")
        return found

    def accept(self, secret: str, name: str, password: str, *, request_id: str = "") -> SignedIn:
        """Open a link: make its person (or give a person there is the new password), and sign in.

        Raises:
            NotFound: the link was opened before, expired, or never made.
            InvalidInput: the name cannot be one, or the password is too short.
            Conflict: the name is taken.
        """
        invited = self.invitation(secret)
        chosen = check_name(invited.name or name.strip(), "person")
        hashed = _hash(_strong(password))
        with self._changes.begin(chosen, request_id) as change:
            if not people.use_link(change.connection, _digest(secret)):
                raise NotFound("this link was used before", hint="ask for a new one: vedette user invite")
            known = next((it for it in people.everybody(change.connection) if it.name == chosen), None)
            if known is not None and invited.name:
                people.change(change.connection, chosen, password=hashed, role=invited.role, ended_at=None)
                people.end_sessions(change.connection, name=chosen)
            else:
                made = Person(name=chosen, role=invited.role, created_at=change.at, created_by=invited.created_by)
                people.add(change.connection, made, hashed)
            change.record("person.accept", domain="", resource=f"person/{chosen}", role=invited.role)
        return self._begin_session(chosen, request_id)

    def sign_in(self, name: str, password: str, *, address: str = "", request_id: str = "") -> SignedIn:
        """Begin a session.

        Raises:
            Denied: name and password do not belong together, or failed too often of late.
        """
        tried = {f"name/{name[:63]}": TRIES, **({f"address/{address}": 4 * TRIES} if address else {})}
        now = self._instruments.now()
        with self._changes.reading() as connection:
            known = people.password_of(connection, name)
            failed = {key: people.attempts(connection, key, now) for key in tried}
        waits = [until for key, (failures, until) in failed.items() if until and failures >= tried[key]]
        if waits:
            minutes = -(-(max(waits) - now).total_seconds() // 60)
            raise Denied("too many wrong passwords", hint=f"try again in {minutes:.0f} minutes")
        if not _matches(password, known):
            self._note_failure(list(tried), name, now, request_id)
            raise Denied("name and password do not belong together", hint="an admin can make you a new link")
        return self._begin_session(name, request_id)

    def session(self, secret: str) -> Session | None:
        """Give the session behind a cookie, if it lasts and its person may still come in."""
        with self._changes.reading() as connection:
            return people.session(connection, _digest(secret), self._instruments.now())

    def sign_out(self, secret: str, *, request_id: str = "") -> None:
        """End the session behind a cookie, if there is one."""
        found = self.session(secret)
        if found is None:
            return
        with self._changes.begin(found.person.name, request_id) as change:
            people.end_sessions(change.connection, digest=_digest(secret))
            change.record("person.sign-out", domain="", resource=f"person/{found.person.name}")

    def set_role(self, name: str, role: Role, *, actor: str = "", request_id: str = "") -> Person:
        """Give a person another role, at once.

        Raises:
            NotFound: there is no such person.
            Refused: it is the last admin.
        """
        with self._changes.begin(actor, request_id) as change:
            before = people.person(change.connection, name)
            if role is not Role.ADMIN:
                self._keep_an_admin(people.everybody(change.connection), name)
            people.change(change.connection, name, role=role)
            change.record("person.role", domain="", resource=f"person/{name}", changed={"role": [before.role, role]})
            return people.person(change.connection, name)

    def leave(self, name: str, *, actor: str = "", request_id: str = "") -> Person:
        """Let a person in no more, and end all their sessions; the name stays in the record.

        Raises:
            NotFound: there is no such person.
            Refused: it is the last admin.
        """
        with self._changes.begin(actor, request_id) as change:
            people.person(change.connection, name)
            self._keep_an_admin(people.everybody(change.connection), name)
            people.change(change.connection, name, ended_at=change.at)
            people.end_sessions(change.connection, name=name)
            change.record("person.leave", domain="", resource=f"person/{name}")
            return people.person(change.connection, name)

    def create_token(
        self, name: str, role: Role, *, lasts: timedelta | None = None, actor: str = "", request_id: str = ""
    ) -> str:
        """Make a token for a program and give its secret, which is told this once; what it does is by ``token/name``.

        Raises:
            InvalidInput: the name cannot be one.
            Conflict: the name is taken.
        """
        check_name(name, "token")
        secret = f"vdt_{secrets.token_urlsafe(32)}"
        with self._changes.begin(actor, request_id) as change:
            made = Token(
                name=name,
                role=role,
                created_at=change.at,
                created_by=change.actor,
                expires_at=change.at + lasts if lasts else None,
            )
            people.add_token(change.connection, made, _digest(secret))
            change.record("token.create", domain="", resource=f"token/{name}", role=role)
        return secret

    def revoke_token(self, name: str, *, actor: str = "", request_id: str = "") -> None:
        """Let a token in no more, at once.

        Raises:
            NotFound: there is no such token that is good.
        """
        with self._changes.begin(actor, request_id) as change:
            if not people.end_token(change.connection, name, change.at):
                raise NotFound(f"there is no token {name!r}", hint="`vedette token list` shows those there are")
            change.record("token.revoke", domain="", resource=f"token/{name}")

    def caller_of_token(self, secret: str) -> Caller | None:
        """Say whose token this is, if it is a good one."""
        with self._changes.reading() as connection:
            found = people.token(connection, _digest(secret), self._instruments.now())
        return Caller(name=f"token/{found.name}", role=found.role, kind="token") if found else None

    def caller_of_session(self, secret: str) -> tuple[Caller, str] | None:
        """Say whose session this is, if it lasts, and the key that stands in its forms."""
        found = self.session(secret)
        if found is None:
            return None
        return Caller(name=found.person.name, role=found.person.role, kind="person"), found.form_key

    def _begin_session(self, name: str, request_id: str) -> SignedIn:
        secret = secrets.token_urlsafe(32)
        with self._changes.begin(name, request_id) as change:
            people.add_session(
                change.connection,
                _digest(secret),
                name,
                secrets.token_urlsafe(32),
                at=change.at,
                until=change.at + SESSION_LASTS,
            )
            change.record("person.sign-in", domain="", resource=f"person/{name}")
            return SignedIn(person=people.person(change.connection, name), secret=secret)

    def _note_failure(self, tried: list[str], name: str, now: datetime, request_id: str) -> None:
        """Count a failure; what nobody may do unseen is in the record when it begins to be refused."""
        with self._changes.store.transaction() as connection:
            counts = {key: people.attempts(connection, key, now)[0] + 1 for key in tried}
            for key, count in counts.items():
                people.note_attempts(connection, key, count, now + TRIES_WAIT)
        if counts[tried[0]] == TRIES:
            shown = name if name.isascii() and name.isprintable() else "?"
            with self._changes.begin(DOOR, request_id) as change:
                change.record("person.locked", domain="", resource="", name=shown[:63], failures=TRIES)

    @staticmethod
    def _keep_an_admin(known: tuple[Person, ...], name: str) -> None:
        admins = {it.name for it in known if it.role is Role.ADMIN and it.ended_at is None}
        if admins == {name}:
            raise Refused(f"{name} is the last admin", hint="make somebody else an admin first")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _strong(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= 1000:
        raise InvalidInput(
            f"a password takes {SHORTEST_PASSWORD} characters or more", hint="three words are easy to keep"
        )
    return password


def _hash(password: str) -> str:
    salt = os.urandom(16)
    made = _scrypt(password, salt)
    return f"scrypt${b64encode(salt).decode()}${b64encode(made).decode()}"


_AT_ONCE = threading.Semaphore(2)
"""Hashes computed at once: each takes 32 MB, and whoever asks for many shall not get them."""


def _scrypt(password: str, salt: bytes) -> bytes:
    with _AT_ONCE:
        return hashlib.scrypt(password.encode(errors="replace"), salt=salt, n=2**15, r=8, p=1, maxmem=_MEMORY)


def _matches(password: str, known: str | None) -> bool:
    """Compare, in the same time whether somebody of that name is known or not."""
    _, salt, made = (known or _NOBODY).split("$")
    found = _scrypt(password, b64decode(salt))
    return hmac.compare_digest(found, b64decode(made)) and known is not None


_NOBODY = f"scrypt${b64encode(bytes(16)).decode()}${b64encode(bytes(64)).decode()}"
