"""What a command ends with: one table from errors to exit codes, and one line for what went wrong."""

import traceback
from collections.abc import Mapping

import click

from vedette.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidInput,
    LeaseLost,
    NotFound,
    Refused,
    Unavailable,
    VedetteError,
)

OK, UNEXPECTED, NOT_PROMOTED, TIMED_OUT, UNSOUND, INTERRUPTED = 0, 1, 10, 11, 12, 130

EXIT_CODES: Mapping[type[BaseException], int] = {
    InvalidInput: 2,
    NotFound: 3,
    Conflict: 4,
    Refused: 5,
    Denied: 6,
    Unavailable: 7,
    Corrupt: 8,
    LeaseLost: 9,
}
"""The nearest class of an error's ancestry decides; what is not in the table is unexpected."""

MEANINGS: Mapping[int, str] = {
    OK: "done",
    UNEXPECTED: "an error nobody expected; --debug shows where",
    2: "wrong input or usage",
    3: "no such thing",
    4: "it clashes with what is there, or was changed since you read it",
    5: "right in itself, but not allowed in this state",
    6: "this actor may not do that",
    7: "something needed did not answer",
    8: "stored bytes are not what their digest or chain says",
    9: "another replica holds the object",
    NOT_PROMOTED: "watch --exit-status: the rollout ended not promoted, or the experiment without a winner",
    TIMED_OUT: "watch --timeout: it had not ended by then",
    UNSOUND: "doctor found something that has to be repaired",
    INTERRUPTED: "interrupted (Ctrl-C)",
}


def exit_code(error: BaseException) -> int:
    """Give the exit code an error ends the process with."""
    known = (EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES)
    return next(known, UNEXPECTED)


def report(error: BaseException, *, debug: bool) -> int:
    """Print what went wrong as one line on standard error and give the exit code."""
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, click.ClickException):
        code, line = _usage(error)
    elif isinstance(error, VedetteError):
        code, line = exit_code(error), str(error)
    else:
        code, line = UNEXPECTED, f"{type(error).__name__}: {error} (that was not expected; --debug shows where)"
    click.echo(f"{click.style('error:', fg='red', bold=True)} {' '.join(line.split())}", err=True)
    return code


def _usage(error: click.ClickException) -> tuple[int, str]:
    said = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return 2, f"{said} (see {context.command_path} --help)" if context else said
