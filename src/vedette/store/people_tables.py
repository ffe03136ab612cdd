"""The tables of people: who may sign in, their sessions, tokens for programs, one-time links, failed attempts.

Secrets are never stored: sessions, tokens and links are kept as SHA-256 digests of random values, passwords as scrypt.
"""

from sqlalchemy import Column, ForeignKey, Integer, Table

from vedette.store.columns import Instant, Words
from vedette.store.tables import metadata


def _text(name: str) -> Column[str]:
    return Column(name, Words, nullable=False)


def _instant(name: str) -> Column[object]:
    return Column(name, Instant, nullable=False)


people = Table(
    "people",
    metadata,
    Column("name", Words, primary_key=True),
    _text("role"),
    _text("password"),
    _instant("created_at"),
    _text("created_by"),
    Column("ended_at", Instant),
)

sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("digest", Words, primary_key=True),
    _text("name"),
    _text("role"),
    _instant("created_at"),
    _text("created_by"),
    _instant("expires_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Words, primary_key=True),
    Column("person", Words, ForeignKey("people.name"), nullable=False, index=True),
    _text("form_key"),
    _instant("created_at"),
    _instant("expires_at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("name", Words, primary_key=True),
    _text("role"),
    Column("digest", Words, nullable=False, unique=True),
    _instant("created_at"),
    _text("created_by"),
    Column("expires_at", Instant),
    Column("ended_at", Instant),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("name", Words, primary_key=True),
    Column("failures", Integer, nullable=False),
    _instant("until"),
)
