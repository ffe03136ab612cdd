"""What a database says when it fails, told in the words of `kernel.errors`.

Nothing a transaction wrote is kept when one of these leaves it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    SQLAlchemyError,
    StatementError,
)

from vedette.kernel.errors import Conflict, Corrupt, InvalidInput, Refused, Unavailable, VedetteError

_SQLITE = {
    "database or disk is full": "make room on the disk, then try again",
    "readonly database": "give this user the right to write the file and its folder",
    "unable to open database file": "check that the folder exists and that this user may write in it",
    "disk I/O error": "check the disk and the free space on it",
    "database is locked": "another process writes for long; try again, or use PostgreSQL for several replicas",
    "no such table": "the database has no tables yet; run `vedette serve` or Store.migrate() first",
    "no such column": "the database is older than this vedette; run Store.migrate() first",
}
_CORRUPT = ("malformed", "not a database")
_POSTGRES = {
    "53100": "make room on the disk of the database server, then try again",
    "25006": "the server takes no writes (a standby?); point the URL at the primary",
    "42501": "give the database user the right to do this",
    "42P01": "the database has no tables yet; run Store.migrate() first",
    "42703": "the database is older than this vedette; run Store.migrate() first",
    "55P03": "another transaction holds the row for long; try again",
    "53300": "raise max_connections of the server or put a pooler before it",
}
_CLASHES = {"40001", "40P01"}  # serialisation failure, deadlock

Violation = Literal["unique", "missing", "refused"]


def violation(error: IntegrityError) -> Violation:
    """Say which rule a write broke: a key that is taken, a row it refers to that is missing, or any other."""
    said = str(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    if state == "23505" or said.startswith("UNIQUE constraint failed"):
        return "unique"
    if state == "23503" or said.startswith("FOREIGN KEY constraint failed"):
        return "missing"
    return "refused"


@contextmanager
def constrained(*, unique: VedetteError | None = None, missing: VedetteError | None = None) -> Iterator[None]:
    """Raise the caller's error when the write inside breaks the rule it stands for."""
    try:
        yield
    except IntegrityError as error:
        told = {"unique": unique, "missing": missing}.get(violation(error))
        if told is None:
            raise
        raise told from error


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Let no error of the database layer out, only errors of `kernel.errors`; ``where`` names the database."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _told(error, where) from error


def _told(error: SQLAlchemyError, where: str) -> VedetteError:
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    told: VedetteError
    match error:
        case IntegrityError() if "append-only" in said:
            told = Refused("the audit log is append-only; nothing in it can be changed or removed")
        case IntegrityError():
            told = Conflict(f"the write clashes with what is stored: {said}")
        case DatabaseError() if state in _CLASHES:
            told = Conflict("the change clashed with another one at the same moment", hint="try again")
        case DatabaseError() if any(sign in said for sign in _CORRUPT):
            told = Corrupt(f"{where} is damaged: {said}", hint="restore it from a backup")
        case StatementError(orig=VedetteError() as told):
            pass  # the value was refused while it was written as JSON
        case DataError() | StatementError(orig=ValueError()):
            told = InvalidInput(f"the database cannot store this: {said}")
        case _:
            told = Unavailable(f"{where} cannot be used: {said}", hint=_hint(said, state))
    return told


def _hint(said: str, state: str | None) -> str:
    if state in _POSTGRES:
        return _POSTGRES[state]
    return next(
        (hint for sign, hint in _SQLITE.items() if sign in said), "check that it runs and that the URL is right"
    )
