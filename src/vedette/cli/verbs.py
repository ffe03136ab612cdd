"""What all commands share: the options for where, who and how, and help that shows examples."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from vedette.cli.output import FORMATS
from vedette.cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])

READS = ("data", "server", "output", "debug")
WRITES = (*READS, "actor")
HERE = ("data", "debug")


class Verb(click.Command):
    """A command with examples in its help, and the shared options it names in ``takes``."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), takes: Sequence[str] = READS, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.own = tuple(self.params)
        self.params += [shared(name) for name in takes]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options first, then the shared ones."""
        common = [*self.params[len(self.own) :], self.get_help_option(ctx)]
        for title, params in (("Options", self.own), ("Where, who and how", common)):
            records = [record for param in params if param and (record := param.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on its line."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


class Family(click.Group):
    """A group of verbs, with what each of them does, and examples, in its help."""

    command_class = Verb

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Give the verbs in the order they were written, which is the order they are used in."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own signature
        """Write each verb with its whole first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, promise(command)) for name, command in self.commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on its line."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


def promise(command: click.Command) -> str:
    """Give the first line of a command's help: what it does."""
    return " ".join((command.help or "").partition("\n\n")[0].split())


def _write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def shared(name: str) -> click.Option:
    """Make one of the options every command knows; its value goes into the session."""

    def take(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value:
            ctx.ensure_object(Session).take(name, value)

    def debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own signature
        if value:
            ctx.ensure_object(Session).debug = True

    options = {
        "data": lambda: click.Option(
            ["--data"],
            metavar="PLACE",
            callback=take,
            expose_value=False,
            help="Data folder or database URL; or VEDETTE_DATA. Default: ./vedette-data",
        ),
        "server": lambda: click.Option(
            ["--server"],
            metavar="URL",
            callback=take,
            expose_value=False,
            help="Work on a running server instead; or VEDETTE_SERVER.",
        ),
        "actor": lambda: click.Option(
            ["--actor"],
            metavar="NAME",
            callback=take,
            expose_value=False,
            help="Who does it, for the audit log; or VEDETTE_ACTOR. Default: your user name",
        ),
        "output": lambda: click.Option(
            ["--output", "-o"],
            type=click.Choice(FORMATS),
            callback=take,
            expose_value=False,
            help="How to show the result; or VEDETTE_OUTPUT. Default: table",
        ),
        "debug": lambda: click.Option(
            ["--debug"],
            is_flag=True,
            is_eager=True,
            callback=debug,
            expose_value=False,
            help="Show where an error came from.",
        ),
    }
    return options[name]()


def in_session(function: F) -> F:
    """Give the session to a verb as its first argument."""
    passed: Any = click.pass_obj
    wrapped: F = passed(function)
    return wrapped


def if_match(function: F) -> F:
    """Add ``--if-match``: the change is made only at the revision the user saw."""
    return click.option(
        "--if-match", type=click.IntRange(min=1), metavar="REVISION", help="Refuse if it is no longer at this revision."
    )(function)


def why(function: F) -> F:
    """Add ``--why``: the reason that goes into the record."""
    return click.option("--why", default="", metavar="TEXT", help="The reason, for the record.")(function)


def yes(function: F) -> F:
    """Add ``--yes``: do not ask."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(function)


def page_options(function: F) -> F:
    """Add ``--limit`` and ``--after`` to a listing."""
    after = click.option("--after", metavar="CURSOR", help="Go on after this cursor, which the page before gave.")
    limit = click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Items a page.")
    return limit(after(function))


def pairs(_: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read repeated ``name=value`` options."""
    found: dict[str, str] = {}
    for value in values:
        name, sign, rest = value.partition("=")
        if not name or not sign:
            raise click.BadParameter(f"{value!r} is not name=value", param=param)
        found[name] = rest
    return found
