"""The ``vedette`` command: its groups, its shared options, and what it ends with."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import vedette
from vedette.cli.apply import apply
from vedette.cli.audit import audit
from vedette.cli.completion import completion
from vedette.cli.demo import demo
from vedette.cli.doctor import doctor
from vedette.cli.domains import domain
from vedette.cli.exits import INTERRUPTED, MEANINGS, report
from vedette.cli.experiments import experiment
from vedette.cli.gateway import gateway
from vedette.cli.keys import key
from vedette.cli.outcomes import outcomes
from vedette.cli.people import token, user
from vedette.cli.rollouts import rollout
from vedette.cli.serve import serve
from vedette.cli.session import Session
from vedette.cli.stats import stats
from vedette.cli.verbs import WRITES, Family, shared
from vedette.cli.versions import version


class Root(Family):
    """The whole command line; errors become one line and an exit code."""

    def main(  # type: ignore[override]  # click's overloads tell apart what we always do: exit
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "vedette",
        **extra: Any,  # noqa: ANN401 - click's own signature
    ) -> NoReturn:
        """Run the command in ``args`` and exit."""
        session = Session()
        extra |= {"standalone_mode": False, "obj": session}
        if "NO_COLOR" in os.environ:
            extra["color"] = False
        try:
            code = super().main(args, prog_name, **extra)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            code = INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            code = 2
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, people see one line
            code = report(error, debug=session.debug)
        sys.exit(code if isinstance(code, int) else 0)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the table of exit codes."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in MEANINGS.items()])


cli = Root(
    "vedette",
    help="Take new model versions live by evidence, and bad ones back by themselves.\n\n"
    "Every command works on data in a folder here (--data, the default is ./vedette-data) or on a running server "
    "(--server http://…).",
    examples=(
        "vedette demo                                   # watch it work, on real data",
        "vedette serve                                  # control API and gateway, data in ./vedette-data",
        "vedette apply -f payments.yaml                 # domains, versions and rollouts from documents",
        "vedette rollout start payments v2 --watch      # take a version live step by step",
    ),
    params=[shared(name) for name in WRITES],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(vedette.__version__, prog_name="vedette")(cli)
for command in (
    serve,
    gateway,
    apply,
    domain,
    version,
    key,
    rollout,
    experiment,
    outcomes,
    stats,
    audit,
    user,
    token,
    doctor,
    demo,
    completion,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line of this process."""
    cli.main()
