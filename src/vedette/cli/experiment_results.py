"""The verbs of ``vedette experiment`` that change nothing: what it found, how it got there, and what a unit sees."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vedette.cli import names
from vedette.cli.domains import more
from vedette.cli.exits import NOT_PROMOTED, TIMED_OUT
from vedette.cli.experiment_flags import REF, attributes
from vedette.cli.experiment_views import (
    breakdown_view,
    explanation_view,
    interactions_view,
    looks_view,
    results_view,
)
from vedette.cli.experiment_watching import watch
from vedette.cli.session import Session
from vedette.cli.verbs import Verb, in_session, page_options
from vedette.kernel.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from vedette.charts.chart import Chart

_ATTRIBUTE = click.option(
    "--attribute",
    "attributes",
    multiple=True,
    callback=attributes,
    metavar="NAME=VALUE",
    help="A header of the unit's request, or user, that targeting looks at. Repeatable.",
)


@click.command(
    "watch",
    cls=Verb,
    examples=(
        "vedette experiment watch tone",
        "vedette experiment watch tone --until verdict --exit-status --timeout 2d   # in a pipeline: 0 for a winner",
    ),
)
@REF
@click.option(
    "--until",
    type=click.Choice(["end", "verdict"]),
    default="end",
    show_default=True,
    help="Stay until it is stopped, or until its verdict is final.",
)
@click.option("--exit-status", is_flag=True, help=f"Exit with {NOT_PROMOTED} unless one arm beat all others.")
@click.option("--timeout", metavar="DURATION", help=f"Give up after this long, with exit code {TIMED_OUT}.")
@click.option("--interval", metavar="DURATION", default="2s", show_default=True, help="How often to look.")
@click.pass_context
def watch_(ctx: click.Context, ref: str, until: str, exit_status: bool, timeout: str | None, interval: str) -> None:  # noqa: FBT001 - a flag
    """Watch an experiment to its end: verdict, arms, and what is decided."""
    from vedette.kernel.clock import duration

    session = ctx.ensure_object(Session)
    limit = duration(timeout) if timeout else None
    every = max(duration(interval), 0.05)
    with session.open() as plane:
        last = watch(session, plane, ref, every=every, timeout=limit, until_verdict=until == "verdict")
    if last is None:
        session.say(f"not at its {until} after {timeout}")
        ctx.exit(TIMED_OUT)
    if exit_status and not last.winner:
        ctx.exit(NOT_PROMOTED)


@click.command(
    "results",
    cls=Verb,
    examples=(
        "vedette experiment results tone",
        "vedette experiment results tone --svg effects.svg --ranks ranks.svg",
        "vedette experiment results tone -o json",
    ),
)
@REF
@click.option("--svg", type=click.Path(path_type=Path), help="Also draw every effect with its interval here.")
@click.option("--ranks", type=click.Path(path_type=Path), help="Also draw here where each arm may stand.")
@in_session
def results(session: Session, ref: str, svg: Path | None, ranks: Path | None) -> None:
    """Say what an experiment has found so far: verdict, comparisons, arms, split, and what to take care of."""
    from vedette.experiments import pictures

    with session.open() as plane:
        it = plane.experiments.get(ref)
        found = plane.experiments.results(it.id)
    session.show(found, lambda report: results_view(report, it.spec))
    if (svg and not found.comparisons) or (ranks and all(arm.rank is None for arm in found.standings)):
        raise Refused(f"there is nothing to draw yet: {found.verdict.sentence}", hint="wait for more units")
    if svg:
        _draw(session, svg, pictures.forest(found, alpha=it.spec.alpha))
    if ranks:
        _draw(session, ranks, pictures.ranks(found))


@click.command(
    "looks", cls=Verb, examples=("vedette experiment looks tone", "vedette experiment looks tone --svg sequence.svg")
)
@REF
@click.option("--newest-first", is_flag=True, help="The newest one first.")
@click.option("--svg", type=click.Path(path_type=Path), help="Also draw the effects look by look here.")
@page_options
@in_session
def looks(session: Session, ref: str, newest_first: bool, svg: Path | None, limit: int, after: str | None) -> None:  # noqa: FBT001 - a flag
    """List the looks that were kept: one whenever 5 % more had been seen, or the verdict changed."""
    from vedette.experiments import pictures

    with session.open() as plane:
        page = plane.experiments.looks(ref, after=after, limit=limit, newest_first=newest_first)
    session.show(page, looks_view)
    more(session, page)
    if svg:
        if not page.items:
            raise Refused("no look has been kept yet, so there is nothing to draw", hint="wait for more units")
        ordered = reversed(page.items) if newest_first else page.items
        _draw(session, svg, pictures.sequence([it.report for it in ordered]))


@click.command(
    "explain",
    cls=Verb,
    examples=(
        "vedette experiment explain tone",
        "vedette experiment explain tone --unit u17 --attribute x-plan=pro   # what this user sees, and why",
    ),
)
@REF
@click.option("--unit", default="", help="A user, a tenant, a session … as the domain finds it in requests.")
@_ATTRIBUTE
@in_session
def explain(session: Session, ref: str, unit: str, attributes: dict[str, str]) -> None:
    """Say why an experiment is where it is, what a look decides now, and what a unit sees."""
    if attributes and not unit:
        raise InvalidInput("--attribute says something of a unit", hint="name it with --unit")
    with session.open() as plane:
        it = plane.experiments.get(ref)
        found = plane.experiments.explain(it.id, unit, attributes)
        traffic = plane.traffic.plan(it.domain)
    session.show(found, lambda said: explanation_view(said, it, traffic, attributes))


@click.command("breakdown", cls=Verb, examples=("vedette experiment breakdown tone --dimension x-plan",))
@REF
@click.option("--dimension", required=True, metavar="HEADER", help="One of the dimensions it was drafted with.")
@in_session
def breakdown(session: Session, ref: str, dimension: str) -> None:
    """Compare the arms for each value of a dimension, corrected for looking at many of them."""
    with session.open() as plane:
        session.show(plane.experiments.breakdown(ref, dimension), breakdown_view)


@click.command(
    "interactions",
    cls=Verb,
    examples=("vedette experiment interactions tone", "vedette experiment interactions tone --other speed"),
)
@REF
@click.option(
    "--other", shell_complete=names.experiment, metavar="REF", help="One other experiment. Default: all that overlap"
)
@in_session
def interactions(session: Session, ref: str, other: str | None) -> None:
    """Test whether its effects depend on the arms units have in experiments of other layers."""
    with session.open() as plane:
        session.show(plane.experiments.interactions(ref, other), interactions_view)


def _draw(session: Session, place: Path, chart: "Chart") -> None:
    """Write a picture to a file.

    Raises:
        InvalidInput: the file cannot be written.
    """
    try:
        place.write_text(chart.svg, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"cannot write {place}: {error.strerror}", hint="name a file in a folder that is there"
        ) from error
    session.say(f"drawn: {place}")
