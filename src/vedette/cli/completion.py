"""``vedette completion``: scripts that make shells complete commands, options and the names of what exists."""

import click
from click.shell_completion import get_completion_class

from vedette.cli.verbs import Verb
from vedette.kernel.errors import InvalidInput


@click.command(
    "completion",
    cls=Verb,
    takes=("debug",),
    examples=(
        "vedette completion bash > ~/.local/share/bash-completion/completions/vedette",
        "vedette completion zsh > ~/.zfunc/_vedette",
        "vedette completion fish > ~/.config/fish/completions/vedette.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), help="Which shell.")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    found = get_completion_class(shell)
    if found is None:
        raise InvalidInput(f"no completion for {shell}")
    click.echo(found(ctx.find_root().command, {}, "vedette", "_VEDETTE_COMPLETE").source())
