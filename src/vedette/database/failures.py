"""What a database says when it fails, told in the words of `kernel.errors`.

Nothing a transaction wrote is kept when one of these leaves it; the one exception, a server lost while it committed,
says so.
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
    "25006": "the server takes no writes (a standby?); point the URL at the primary, or name all servers in it",
    "42501": "give the database user the right to do this",
    "42P01": "the database has no tables yet; run Store.migrate() first",
    "42703": "the database is older than this vedette; run Store.migrate() first",
    "55P03": "another transaction holds the row for long; try again",
    "53300": "raise max_connections of the server or put a pooler before it",
}
_SERVERS = {
    "session is read-only": "no server of the URL takes writes: promote a standby; then it is found without a restart",
    "server is in hot standby mode": "promote a standby; then it is found without a restart",
    "certificate verify failed": "let sslrootcert in the URL name the authority that signed the server's certificate,"
    " and look whether that one has run out",
    "does not match host name": "name the server in the URL as its certificate names it",
    "root certificate file": "let sslrootcert in the URL name a file with the certificate of the server's authority",
    "does not support SSL": "turn ssl on in the server; without it everybody on the way can read what is sent",
    "no encryption": "the server wants it: add ?sslmode=verify-full&sslrootcert=… to the URL, or check its pg_hba.conf",
    "statement pooling mode": "let the pooler keep transactions together: pool_mode = transaction, or session",
    "unsupported startup parameter": "the pooler before the server does not take it: leave it out of the URL",
    "query_wait_timeout": "the pooler has no session free: look at the server behind it, and at its default_pool_size",
    "server_login_retry": "the pooler runs, and the server behind it does not; once that one does, so does this",
    "server conn crashed": "the server behind the pooler died or was restarted; try again, and it is asked anew",
    "closed the connection": "it died or was restarted; try again, and it is asked anew",
}
_IDLE = "25P03"  # the server ended a transaction that stood still, and undid it
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


def told(error: SQLAlchemyError, where: str, *, committing: bool = False) -> VedetteError:
    """Say in the words of `kernel.errors` what the database layer said; ``where`` names the database.

    ``committing`` says that everything was written and the server had been asked to keep it.
    """
    said = _said(error)
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    failure: VedetteError
    match error:
        case IntegrityError() if "append-only" in said:
            failure = Refused("the audit log is append-only; nothing in it can be changed or removed")
        case IntegrityError():
            failure = Conflict(f"the write clashes with what is stored: {said}")
        case DatabaseError() if state in _CLASHES:
            failure = Conflict("the change clashed with another one at the same moment", hint="try again")
        case DatabaseError() if any(sign in said for sign in _CORRUPT):
            failure = Corrupt(f"{where} is damaged: {said}", hint="restore it from a backup")
        case StatementError(orig=VedetteError() as failure):
            pass  # the value was refused while it was written as JSON
        case DataError() | StatementError(orig=ValueError()):
            failure = InvalidInput(f"the database cannot store this: {said}")
        case DatabaseError(connection_invalidated=True) if committing and state != _IDLE:
            failure = Unavailable(
                f"{where} was lost while it kept the change, which it may have or not: {said}",
                hint="look before you try again; outcomes, and requests with an Idempotency-Key, may be sent again",
            )
        case _:
            failure = Unavailable(f"{where} cannot be used: {said}", hint=_hint(said, state))
    return failure


def _said(error: SQLAlchemyError) -> str:
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    # Of several servers the driver says the last one's failure twice.
    return said.partition("All failures were: ")[2] or said


def _hint(said: str, state: str | None) -> str:
    if state in _POSTGRES:
        return _POSTGRES[state]
    signs = _SQLITE | _SERVERS
    return next((hint for sign, hint in signs.items() if sign in said), "check that it runs and that the URL is right")
