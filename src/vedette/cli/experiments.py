"""``vedette experiment``: which of these variants is better, by how much, how sure."""

from typing import Any

import click

from vedette.cli import names
from vedette.cli.domains import more
from vedette.cli.experiment_cards import card_of, list_view, plan_view, scores_view
from vedette.cli.experiment_flags import REF, asked_for, experiment_options, spec_for_planning
from vedette.cli.experiment_results import breakdown, explain, interactions, looks, results, watch_
from vedette.cli.experiment_rows import read_rows
from vedette.cli.experiment_watching import watch
from vedette.cli.rollout_views import card_of as rollout_card
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, Family, if_match, in_session, page_options, why, yes
from vedette.kernel.errors import VedetteError

experiment = Family(
    "experiment",
    help="Find out which of two to a hundred variants is better, by how much, and how sure that is.",
    examples=(
        "vedette experiment create payments --name tone --variant base --variant v2 --metric accepted",
        "vedette experiment start tone --coverage 20%",
        "vedette experiment results tone",
    ),
)
_PHASES = ("draft", "running", "stopped", "decided", "archived")


@experiment.command(
    "plan",
    examples=(
        "vedette experiment plan payments --arms 2 --metric accepted --mde 5% --baseline 0.2 --units-per-day 20000",
        "vedette experiment plan payments --variant base --variant v2 --metric accepted --mde 2%   # from the last day",
        "vedette experiment plan -f tone.yaml --mde 5% --question control",
    ),
)
@experiment_options
@click.option("--arms", type=click.IntRange(2, 100), help="How many arms, while there are no variants yet.")
@click.option("--mde", required=True, metavar="SHARE", help="The smallest effect worth finding: 5% of the baseline.")
@click.option("--baseline", type=float, help="The deciding metric as it is. Default: the domain's last day")
@click.option("--sd", type=float, help="Its standard deviation, if it is no rate. Default: the domain's last day")
@click.option("--power", type=float, default=0.8, show_default=True, help="The chance to find it.")
@click.option(
    "--question",
    type=click.Choice(["winner", "control"]),
    default="winner",
    show_default=True,
    help="Whether one arm beats all others, or which arms beat the control.",
)
@click.option("--units-per-day", type=float, help="Requests of the domain a day. Default: the domain's last day")
@click.option(
    "--design-effect", type=float, default=1.0, show_default=True, help="By what clusters swell the variance."
)
@in_session
def plan(
    session: Session,
    domain: str,
    arms: int | None,
    mde: str,
    baseline: float | None,
    sd: float | None,
    power: float,
    question: Any,  # noqa: ANN401 - one of two words, as click has checked
    units_per_day: float | None,
    design_effect: float,
    **given: Any,  # noqa: ANN401 - the experiment's flags
) -> None:
    """Say, before starting, how many units an experiment takes, and how long."""
    from vedette.cli.numbers import fraction

    spec = spec_for_planning(domain, given, arms)
    with session.open() as plane:
        found = plane.experiments.plan(
            spec,
            mde=fraction(mde),
            baseline=baseline,
            sd=sd,
            power=power,
            question=question,
            units_per_day=units_per_day,
            design_effect=design_effect,
        )
    session.show(found, plan_view)


@experiment.command(
    "create",
    takes=WRITES,
    examples=(
        "vedette experiment create payments --variant base --variant v2 --split 80,20 --metric accepted --coverage 20%",
        "vedette experiment create payments --variant base --variant brief=prompt:'Be brief.' --metric accepted",
        "vedette experiment create payments --variant base --variant hot=parameters.temperature=0.9 --metric accepted",
        "vedette experiment create payments --name judged --offline --variant v1 --variant v2 --metric score",
        "vedette experiment create -f tone.yaml --dry-run",
    ),
)
@experiment_options
@click.option("--name", default="", help="What to call it. Default: the document's name, or DOMAIN and some digits")
@click.option("--dry-run", is_flag=True, help="Check everything and draft nothing.")
@click.option("--start", "starting", is_flag=True, help="Start it as well.")
@in_session
def create(
    session: Session,
    domain: str,
    name: str,
    dry_run: bool,  # noqa: FBT001 - a flag
    starting: bool,  # noqa: FBT001 - a flag
    **given: Any,  # noqa: ANN401 - the experiment's flags
) -> None:
    """Draft an experiment; it exposes nobody before it is started."""
    asked = asked_for(domain, given)
    with session.open() as plane:
        made = plane.experiments.create_test(
            asked.domain,
            asked.variants,
            asked.splits,
            name=name or asked.name,
            actor=session.actor,
            dry_run=dry_run,
            **asked.design,
        )
        if starting and not dry_run:
            try:
                made = plane.experiments.start(made.id, actor=session.actor)
            except VedetteError:
                session.say(f"{made.name} is drafted, and did not start")
                raise
    session.show(made, card_of)
    if session.settings.output == "table":
        if dry_run:
            session.say("nothing was drafted: this was a dry run")
        elif made.spec.offline:
            session.say(f"give it scores: vedette experiment scores {made.name} -f scores.jsonl")
        elif not starting:
            session.say(f"start it: vedette experiment start {made.name}")


@experiment.command(
    "start",
    takes=WRITES,
    examples=("vedette experiment start tone", "vedette experiment start tone --coverage 5% --watch"),
)
@REF
@click.option("--coverage", metavar="PERCENT", help="The share of its layer's units. Default: what it was drafted with")
@click.option("--watch", "watching", is_flag=True, help="Stay and watch it to its end.")
@why
@if_match
@in_session
def start(
    session: Session,
    ref: str,
    coverage: str | None,
    watching: bool,  # noqa: FBT001 - a flag
    why: str,
    if_match: int | None,
) -> None:
    """Expose an experiment to its units."""
    with session.open() as plane:
        begun = plane.experiments.start(ref, coverage, actor=session.actor, why=why, expected=if_match)
        if watching:
            watch(session, plane, begun.id, every=1.0, timeout=None, until_verdict=False)
            return
    session.show(begun, card_of)
    if session.settings.output == "table":
        where = "" if session.remote else "; it is looked at while `vedette serve` runs on this data"
        session.say(f"watch it: vedette experiment watch {begun.name}{where}")


@experiment.command("ramp", takes=WRITES, examples=("vedette experiment ramp tone 50%",))
@REF
@click.argument("coverage", help="In percent of the layer, such as 50%; more than now.")
@why
@if_match
@in_session
def ramp(session: Session, ref: str, coverage: str, why: str, if_match: int | None) -> None:
    """Raise the coverage; nobody who takes part moves, and it never shrinks."""
    with session.open() as plane:
        done = plane.experiments.ramp(ref, coverage, actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


for _verb in (watch_, results, looks):
    experiment.add_command(_verb)


@experiment.command("stop-arm", takes=WRITES, examples=("vedette experiment stop-arm tone hot --why 'too chatty'",))
@REF
@click.argument("arm", help="The arm's name.")
@yes
@why
@if_match
@in_session
def stop_arm(session: Session, ref: str, arm: str, yes: bool, why: str, if_match: int | None) -> None:  # noqa: FBT001 - a flag
    """Take one arm out at once, for good; nobody else moves."""
    with session.open() as plane:
        it = plane.experiments.get(ref)
        session.confirm(f"Take {arm} out of {it.name} for good?", yes=yes)
        done = plane.experiments.stop_arm(it.id, arm, actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


@experiment.command("stop", takes=WRITES, examples=("vedette experiment stop tone --why 'the prompt is wrong'",))
@REF
@yes
@why
@if_match
@in_session
def stop(session: Session, ref: str, yes: bool, why: str, if_match: int | None) -> None:  # noqa: FBT001 - a flag
    """End an experiment: it exposes nobody any more, and does not start again."""
    with session.open() as plane:
        it = plane.experiments.get(ref)
        session.confirm(f"Stop {it.name} for good? It does not start again.", yes=yes)
        done = plane.experiments.stop(it.id, actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


@experiment.command(
    "decide",
    takes=WRITES,
    examples=("vedette experiment decide tone --winner brief", "vedette experiment decide tone --why 'not worth it'"),
)
@REF
@click.option("--winner", default="", metavar="ARM", help="Who won. Default: nobody")
@yes
@why
@if_match
@in_session
def decide(session: Session, ref: str, winner: str, yes: bool, why: str, if_match: int | None) -> None:  # noqa: FBT001 - a flag
    """Say who won, or that nobody did; one that still runs is stopped first."""
    with session.open() as plane:
        it = plane.experiments.get(ref)
        ending = " It still runs, and is stopped for good." if it.status.phase == "running" else ""
        session.confirm(f"Decide that {winner or 'nobody'} won {it.name}?{ending}", yes=yes)
        done = plane.experiments.decide(it.id, winner, actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


@experiment.command("promote", takes=WRITES, examples=("vedette experiment promote tone",))
@REF
@why
@in_session
def promote(session: Session, ref: str, why: str) -> None:
    """Start the rollout of the version of the winner that was decided on."""
    with session.open() as plane:
        begun = plane.experiments.promote(ref, actor=session.actor, why=why)
    session.show(begun, rollout_card)
    if session.settings.output == "table":
        session.say(f"watch it: vedette rollout watch {begun.name}")


@experiment.command("archive", takes=WRITES, examples=("vedette experiment archive tone",))
@REF
@yes
@why
@if_match
@in_session
def archive(session: Session, ref: str, yes: bool, why: str, if_match: int | None) -> None:  # noqa: FBT001 - a flag
    """Put an experiment away for good; its record stays."""
    with session.open() as plane:
        it = plane.experiments.get(ref)
        session.confirm(f"Archive {it.name} for good?", yes=yes)
        done = plane.experiments.archive(it.id, actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


for _verb in (explain, breakdown, interactions):
    experiment.add_command(_verb)


@experiment.command(
    "scores",
    takes=WRITES,
    examples=(
        "vedette experiment scores judged -f scores.jsonl",
        "vedette experiment scores judged -f scores.csv   # columns prompt, variant, one a measure, and cluster if any",
        "vedette experiment scores judged -f models.csv --by model --cluster topic",
    ),
)
@REF
@click.option(
    "--file", "-f", "place", required=True, metavar="FILE", help="JSON lines, a JSON list, or CSV; - is stdin, in JSON."
)
@click.option("--item", default="prompt", show_default=True, metavar="COLUMN", help="What names the prompt.")
@click.option("--by", default="variant", show_default=True, metavar="COLUMN", help="What names the variant.")
@click.option(
    "--cluster", default="cluster", show_default=True, metavar="COLUMN", help="What prompts belong together by, if any."
)
@in_session
def scores(session: Session, ref: str, place: str, item: str, by: str, cluster: str) -> None:
    """Give an offline experiment its scores, one row a prompt and variant; the first ones start it."""
    rows = read_rows(place, {"prompt": item, "variant": by, "cluster": cluster})
    with session.open() as plane:
        session.show(plane.experiments.record_scores(ref, rows, actor=session.actor), scores_view)


@experiment.command(
    "list", examples=("vedette experiment list --phase running", "vedette experiment list --domain payments -o json")
)
@click.option("--domain", shell_complete=names.domain, help="Only this domain's.")
@click.option("--phase", type=click.Choice(_PHASES), help="Only those in this phase.")
@page_options
@in_session
def list_(session: Session, domain: str | None, phase: str | None, limit: int, after: str | None) -> None:
    """List experiments, the newest first."""
    from vedette.experiments.machine import Phase

    with session.open() as plane:
        wanted = Phase(phase) if phase else None
        page = plane.experiments.page(domain=domain, phase=wanted, after=after, limit=limit)
    session.show(page, list_view)
    more(session, page)


@experiment.command("show", examples=("vedette experiment show tone", "vedette experiment show tone -o yaml"))
@REF
@in_session
def show(session: Session, ref: str) -> None:
    """Show an experiment: what was asked of it, and where it is."""
    with session.open() as plane:
        session.show(plane.experiments.get(ref), card_of)
