"""``vedette stats``: the statistics of experiments on a file or a few numbers; no server and no data folder needed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from vedette.cli.numbers import fraction, read_weights
from vedette.cli.session import Session
from vedette.cli.verbs import F, Family, in_session, pairs
from vedette.kernel.errors import InvalidInput, Unavailable

HERE = ("output", "debug")
GRAMMAR = (
    "COLUMN, COLUMN/COLUMN (ratio of sums) or COLUMN@p95 (quantile), then any of :primary :secondary :guardrail, a "
    "margin (:2%, :0.02), :higher or :lower; NAME= before it renames it. Repeatable; the first one decides unless "
    "another is primary."
)


stats = Family(
    "stats",
    help="Judge experiments in a file, check splits, plan sizes; no server and no data folder needed.",
    examples=(
        "vedette stats compare events.csv --by variant --metric accepted",
        "vedette stats power --baseline 0.2 --mde 5% --units-per-day 4000",
    ),
)
FILE = click.argument("file", help="CSV, Parquet or JSON lines; * and ** as shells read them, in quotes.")


def _numbers(_: click.Context, param: click.Parameter, said: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in (said or "").split(",") if part.strip())
    except ValueError:
        raise click.BadParameter(f"{said!r} is no list of numbers", param=param) from None


def _fraction(_: click.Context, __: click.Parameter, said: str | None) -> float | None:
    return None if said is None else fraction(said)


def _design_options(function: F) -> F:
    """Add the options that say under which promise an experiment is judged."""
    methods: Sequence[str] = (
        "holm",
        "none",
        "bonferroni",
        "sidak",
        "hommel",
        "bh",
        "by",
        "dunnett",
        "tukey",
        "games-howell",
    )
    options = [
        click.option("--control", default="", metavar="ARM", help="What the others are compared with."),
        click.option(
            "--comparisons",
            type=click.Choice(["control", "all-pairs", "best"]),
            default="control",
            show_default=True,
            help="Each arm against the control, every pair, or the leader against all others.",
        ),
        click.option(
            "--correction",
            type=click.Choice(methods),
            default="holm",
            show_default=True,
            help="How p-values account for their number; the winner rule needs none.",
        ),
        click.option(
            "--alpha",
            type=float,
            default=0.05,
            show_default=True,
            help="Chance of a false claim; intervals are at 1 - alpha.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@stats.command(
    "compare",
    takes=HERE,
    examples=(
        "vedette stats compare events.csv --by variant --metric accepted",
        "vedette stats compare events.csv -m accepted:primary -m cost/requests:guardrail:2%:lower -m latency_ms@p95",
        "vedette stats compare events.csv -m score --covariate score=score_before --strata country",
        "vedette stats compare requests.csv -m accepted --cluster user   # sticky users, many rows each",
        "vedette stats compare events.csv -m score --monitoring anytime  # looked at again and again",
    ),
)
@FILE
@click.option("--by", default="variant", show_default=True, metavar="COLUMN", help="The column that names the arm.")
@click.option("--metric", "-m", "metrics", multiple=True, required=True, metavar="METRIC", help=GRAMMAR)
@click.option(
    "--weights", default="", metavar="SPLIT", help="The intended split: 50,50 or base=90,new=10. Default: equal"
)
@click.option("--unknown-split", is_flag=True, help="The intended split is not known, so it is not checked.")
@click.option(
    "--covariate",
    "covariates",
    multiple=True,
    callback=pairs,
    metavar="METRIC=COLUMN",
    help="A column known before the experiment that explains some of a metric (CUPED). Repeatable.",
)
@click.option("--strata", default="", metavar="COLUMN", help="Reweight the arms to the same mix of its values.")
@click.option(
    "--cluster",
    default="",
    metavar="COLUMN",
    help="What was assigned, where rows are less than that: the user of a request.",
)
@click.option(
    "--monitoring",
    default="fixed",
    show_default=True,
    metavar="DESIGN",
    help="How often one looks: fixed, anytime[:TUNE_AT] or sequential:UNITS[:LOOKS].",
)
@click.option(
    "--earlier-looks",
    callback=_numbers,
    metavar="UNITS,…",
    help="Units there were at each earlier look of a sequential design.",
)
@_design_options
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop", "zero"]),
    default="refuse",
    show_default=True,
    help="Rows that lack a value: refuse the file, leave them out, or read them as 0.",
)
@click.option("--svg", metavar="FILE", help="Draw the comparisons into it.")
@click.option("--ranks", metavar="FILE", help="Draw where each arm may rank into it.")
@in_session
def compare(session: Session, file: str, svg: str | None, ranks: str | None, **asked: Any) -> None:  # noqa: ANN401 - flags
    """Say which arm of a file is better, by how much, and how sure."""
    from vedette.cli.file_experiment import Asked, judge_file
    from vedette.cli.stats_views import answer_view
    from vedette.experiments import pictures

    answer, analysis = judge_file(file, Asked(**asked))
    session.show(answer, lambda it: answer_view(it, analysis))
    if svg:
        _draw(session, svg, lambda: pictures.forest(answer.report, alpha=asked["alpha"]).svg)
    if ranks:
        _draw(session, ranks, lambda: pictures.ranks(answer.report).svg)


@stats.command(
    "pairs",
    takes=HERE,
    examples=(
        "vedette stats pairs judged.csv --item prompt --by model --metric score",
        "vedette stats pairs judged.csv --item prompt --by model --metric correct --cluster topic",
    ),
)
@FILE
@click.option("--item", default="prompt", show_default=True, metavar="COLUMN", help="What all models were judged on.")
@click.option("--by", default="model", show_default=True, metavar="COLUMN", help="The column that names the model.")
@click.option(
    "--metric",
    "-m",
    "metrics",
    multiple=True,
    required=True,
    metavar="METRIC",
    help="COLUMN, then any of :primary :secondary :guardrail, a margin (:2%), :higher or :lower. Repeatable.",
)
@click.option("--cluster", default="", metavar="COLUMN", help="Items that belong together: a topic, a document.")
@_design_options
@click.option("--svg", metavar="FILE", help="Draw the comparisons into it.")
@click.option("--ranks", metavar="FILE", help="Draw where each model may rank into it.")
@in_session
def pairs_(session: Session, file: str, svg: str | None, ranks: str | None, **asked: Any) -> None:  # noqa: ANN401 - flags
    """Compare models that were judged on the same items, item by item."""
    from vedette.cli.file_pairs import PairsAsked, judge_pairs
    from vedette.cli.stats_views import pairs_view
    from vedette.experiments import pictures

    answer, analysis = judge_pairs(file, PairsAsked(**asked))
    session.show(answer, lambda it: pairs_view(it, analysis))
    if svg:
        _draw(session, svg, lambda: pictures.forest(answer.report, alpha=asked["alpha"]).svg)
    if ranks:
        _draw(session, ranks, lambda: pictures.ranks(answer.report).svg)


@stats.command(
    "srm",
    takes=HERE,
    examples=("vedette stats srm 5000 5230", "vedette stats srm 9000 1090 --weights 90,10 --repeated"),
)
@click.argument("counts", nargs=-1, required=True, type=click.IntRange(min=0), help="Units that each arm got.")
@click.option("--weights", default="", metavar="SPLIT", help="The intended split, as 50,50 or 0.9,0.1. Default: equal")
@click.option("--repeated", is_flag=True, help="The counts are looked at again and again (an anytime-valid test).")
@in_session
def srm(session: Session, counts: tuple[int, ...], weights: str, repeated: bool) -> None:  # noqa: FBT001 - a flag
    """Check whether each arm got the traffic it was promised (sample-ratio mismatch)."""
    from vedette.cli.splits import check_split
    from vedette.cli.stats_views import split_view

    if len(counts) < 2:
        raise InvalidInput("a split is of two arms or more", hint="vedette stats srm 5000 5230")
    shares = read_weights(weights) if weights else (1.0 / len(counts),) * len(counts)
    session.show(check_split(counts, shares, repeated=repeated), split_view)


@stats.command(
    "power",
    takes=HERE,
    examples=(
        "vedette stats power --baseline 0.2 --mde 5% --units-per-day 4000",
        "vedette stats power --baseline 0.2 --mde 5% --arms 4 --design anytime --svg power.svg",
        "vedette stats power --kind mean --baseline 12 --sd 30 --mde 2% --correlation 0.6",
    ),
)
@click.option(
    "--mde",
    required=True,
    callback=_fraction,
    metavar="EFFECT",
    help="Smallest effect worth finding: 5% of the baseline.",
)
@click.option("--absolute", is_flag=True, help="--mde is in the metric's own unit.")
@click.option(
    "--baseline", type=float, metavar="VALUE", help="The metric today: a share, a mean, a ratio, events a unit."
)
@click.option(
    "--kind",
    type=click.Choice(["proportion", "mean", "ratio", "rate"]),
    default="proportion",
    show_default=True,
    help="How it varies: 0 or 1, any number, a ratio of sums, a count of events.",
)
@click.option("--sd", type=float, help="Standard deviation over units, of a mean or a ratio.")
@click.option(
    "--arms", type=click.IntRange(2, 100), default=2, show_default=True, help="How many, the control among them."
)
@click.option("--weights", default="", metavar="SPLIT", help="The split, control first, as 50,25,25. Default: equal")
@click.option("--power", "wanted", type=float, default=0.8, show_default=True, help="The chance to find it.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="The chance of a false claim.")
@click.option("--lower", is_flag=True, help="Lower is better: the effect is a fall.")
@click.option(
    "--design",
    type=click.Choice(["fixed", "sequential", "anytime"]),
    default="fixed",
    show_default=True,
    help="How often one looks: once, at planned looks, at any time.",
)
@click.option(
    "--looks", type=click.IntRange(1, 100), default=20, show_default=True, help="Looks of a sequential design."
)
@click.option(
    "--question",
    type=click.Choice(["winner", "control"]),
    default="winner",
    show_default=True,
    help="Whether one arm beats all others, or which arms beat the control.",
)
@click.option("--correlation", type=float, help="Of the metric with a covariate that adjusts it (CUPED).")
@click.option(
    "--design-effect", type=float, default=1.0, show_default=True, help="By what clusters multiply the variance."
)
@click.option(
    "--dispersion", type=float, default=0.0, show_default=True, help="Of a rate: variance mean + this × mean²."
)
@click.option("--units-per-day", type=float, help="New units a day; then it is said how long it takes.")
@click.option("--coverage", default="100%", callback=_fraction, show_default=True, help="Part of them that takes part.")
@click.option("--svg", metavar="FILE", help="Draw power against size into it.")
@in_session
def power(session: Session, svg: str | None, **asked: Any) -> None:  # noqa: ANN401 - flags
    """Say how many units an experiment needs, for how long, and what each way of looking costs."""
    from vedette.cli.sizing import drawn, size
    from vedette.cli.stats_views import sizing_view

    answer = size(**asked)
    session.show(answer, sizing_view)
    if svg:
        _draw(session, svg, lambda: drawn(answer).svg)


def _draw(session: Session, path: str, svg: Callable[[], str]) -> None:
    try:
        Path(path).write_text(svg(), "utf-8")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}", hint="check the folder") from error
    session.say(f"drew {path}")
