"""Every failure vedette raises, in one tree.

::

    VedetteError
    ├── InvalidInput          what was given is wrong; nothing was changed
    │   └── InvalidDocument   … in a file, with its line and column
    ├── NotFound              no such thing
    ├── Conflict              it clashes with what is there
    │   └── StaleRevision     … because someone changed it since it was read
    ├── Refused               right in itself, but not allowed in this state
    ├── Denied                this actor may not do that
    ├── Corrupt               stored bytes are not what their digest or chain says
    ├── LeaseLost             another replica holds this object now
    └── Unavailable           something we depend on did not answer

Expected outcomes (a verdict, a hold, an insufficient sample) are values, never exceptions. HTTP status and exit
code are tables at the edges, not properties of these classes.
"""

from collections.abc import Mapping


class VedetteError(Exception):
    """Base of all errors vedette raises on purpose: says what, why and what to do."""

    def __init__(self, message: str, *, hint: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: Mapping[str, object] = details

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidInput(VedetteError, ValueError):
    """What was given is wrong; nothing was changed (also a ValueError, so that validators report where it stood)."""


class InvalidDocument(InvalidInput):
    """A document is wrong at a line and column (both counted from 1)."""

    def __init__(self, message: str, *, source: str, line: int, column: int, path: str = "", hint: str = "") -> None:
        super().__init__(f"{source}:{line}:{column}: {message}", hint=hint, line=line, column=column, path=path)
        self.line = line
        self.column = column
        self.path = path


class NotFound(VedetteError):
    """There is no such thing."""


class Conflict(VedetteError):
    """The request clashes with what is there."""


class StaleRevision(Conflict):
    """Someone changed the object since it was read; read it again."""


class Refused(VedetteError):
    """Right in itself, but not allowed in the state the object is in."""


class Denied(VedetteError):
    """This actor may not do that."""


class Corrupt(VedetteError):
    """Stored bytes are not what their digest or chain says they are."""


class LeaseLost(VedetteError):
    """Another replica holds this object now; what was decided here was not written."""


class Unavailable(VedetteError):
    """Something vedette depends on did not answer."""
