"""``vedette demo``: the tour, on real data and a real gateway."""

from pathlib import Path

import click

from vedette.cli.verbs import Verb
from vedette.kernel.errors import Unavailable


@click.command("demo", cls=Verb, takes=("debug",), examples=("vedette demo", "vedette demo --serve --seed 7"))
@click.option("--serve", is_flag=True, help="Leave the server up afterwards and print its address.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="Which held-out queries are asked, in which order."
)
@click.option("--rate", type=float, default=240.0, show_default=True, help="Queries a second, over all domains.")
@click.option("--plain", is_flag=True, help="Lines instead of a live view.")
@click.option("--data", type=click.Path(path_type=Path), help="Keep everything in this new folder.")
@click.pass_context
def demo(ctx: click.Context, serve: bool, seed: int, rate: float, plain: bool, data: Path | None) -> None:  # noqa: FBT001 - flags
    """Watch good versions earn their traffic and bad ones be taken back, on real data."""
    try:
        from vedette.demo.run import main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("vedette"):
            raise
        raise Unavailable(f"the demo needs {error.name}", hint="pip install 'vedette[demo]'") from error
    ctx.exit(main(serve=serve, seed=seed, rate=rate, plain=plain, data=data))
