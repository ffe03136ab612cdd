"""The reference page of the command line, rendered from the commands themselves; ``docs/reference/cli.md`` holds it."""

from collections.abc import Iterator

import click

from vedette.cli.exits import MEANINGS
from vedette.cli.main import cli
from vedette.cli.verbs import Family, Verb, promise

_HEAD = """\
# Command line

Made from the commands themselves by `python -m vedette.cli.reference`.

Every command works on data in a folder or database here (`--data`) or on a running server (`--server`). Tables are for
people; `-o json` and `-o yaml` give programs all there is, as the API names it.

"""


def render() -> str:
    """Render the whole page as Markdown."""
    with click.Context(cli, info_name="vedette", **cli.context_settings) as root:
        common = _table("option", [record for param in cli.params if (record := param.get_help_record(root))])
        sections = "".join(_section(root, command) for command in cli.commands.values())
    codes = _table("code", [(str(code), meaning) for code, meaning in MEANINGS.items()])
    return f"{_HEAD}{common}\n## Exit codes\n\n{codes}\n{sections}".rstrip("\n") + "\n"


def verbs(parent: click.Group = cli, path: str = "vedette") -> Iterator[tuple[str, click.Command]]:
    """Give every verb and its full name."""
    for name, command in parent.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _section(parent: click.Context, command: click.Command, level: int = 2) -> str:
    with click.Context(command, info_name=command.name, parent=parent) as ctx:
        text = f"{'#' * level} {ctx.command_path}\n\n{promise(command)}\n\n"
        if isinstance(command, (Family, Verb)) and command.examples:
            text += "```sh\n" + "".join(f"{example}\n" for example in command.examples) + "```\n\n"
        if isinstance(command, Verb):
            records = [record for param in command.own if (record := param.get_help_record(ctx))]
            text += f"Usage: `{' '.join([ctx.command_path, *command.collect_usage_pieces(ctx)])}`\n\n"
            text += _table("option", records) + "\n" if records else ""
        if isinstance(command, click.Group):
            text += "".join(_section(ctx, verb, level + 1) for verb in command.commands.values())
        return text


def _table(first: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{name}` | {' '.join(said.split())} |".replace("[table|json|yaml]", "FORMAT") for name, said in rows]
    return "\n".join([f"| {first} | meaning |", "|---|---|", *(_escaped(line) for line in lines)]) + "\n"


def _escaped(line: str) -> str:
    """Keep the bars inside of cells from ending them."""
    head, body, tail = line[:2], line[2:-2], line[-2:]
    parts = body.split(" | ", 1)
    return head + " | ".join(part.replace("|", "\\|") for part in parts) + tail


if __name__ == "__main__":
    click.echo(render(), nl=False)
