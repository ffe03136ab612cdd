"""``vedette rollout``: take a version live step by step, watch it, and take it back."""

from typing import TYPE_CHECKING, Any

import click

from vedette.cli import names
from vedette.cli.domains import NAME, more
from vedette.cli.exits import NOT_PROMOTED, TIMED_OUT
from vedette.cli.rollout_views import (
    analytics_view,
    card_of,
    explanation_view,
    list_view,
    plan_view,
    replay_view,
)
from vedette.cli.schedules import schedule, schedule_options
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, Family, if_match, in_session, page_options, why, yes
from vedette.cli.versions import VERSION
from vedette.cli.watching import watch

if TYPE_CHECKING:
    from vedette.cli.session import Services

rollout = Family(
    "rollout",
    help="Take a version live step by step, watch it, and take it back.",
    examples=("vedette rollout start payments v2 --watch", "vedette rollout abort payments --why 'wrong prompt'"),
)
REF = click.argument(
    "ref", shell_complete=names.rollout, help="A rollout's name or id, or its domain: then the newest one."
)


@rollout.command(
    "plan",
    examples=(
        "vedette rollout plan payments v2",
        "vedette rollout plan payments v2 --ratio 1.5 --requests-per-minute 1000 --bad-rate 0.005",
    ),
)
@NAME
@VERSION
@schedule_options
@click.option("--metric", default="", help="The guarded rate to plan for. Default: the first one")
@click.option("--ratio", type=float, default=2.0, show_default=True, help="How many times worse it shall be seen.")
@click.option("--power", type=float, default=0.9, show_default=True, help="The chance to see it.")
@click.option("--requests-per-minute", type=float, help="Default: the domain's last day")
@click.option("--bad-rate", type=float, help="Stable's share of bad events. Default: the domain's last day")
@in_session
def plan(  # every flag by name
    session: Session,
    domain: str,
    version: str,
    metric: str,
    ratio: float,
    power: float,
    requests_per_minute: float | None,
    bad_rate: float | None,
    **given: Any,  # noqa: ANN401 - the schedule's flags
) -> None:
    """Say, before starting, how long each step must last to see a regression."""
    with session.open() as plane:
        found = plane.canary.plan(
            domain,
            version,
            schedule(given, domain, version),
            metric=metric,
            ratio=ratio,
            power=power,
            requests_per_minute=requests_per_minute,
            bad_rate=bad_rate,
        )
    session.show(found, plan_view)


@rollout.command(
    "start",
    takes=WRITES,
    examples=(
        "vedette rollout start payments v2 --watch",
        "vedette rollout start payments v2 --steps 1%:10m,10%:30m,50%:30m,100%:1h --guard errors=0.1",
        "vedette rollout start payments v2 -f rollout.yaml --dry-run",
    ),
)
@NAME
@VERSION
@schedule_options
@click.option("--name", default="", help="What to call it. Default: DOMAIN-VERSION")
@click.option("--dry-run", is_flag=True, help="Check everything and start nothing.")
@click.option("--watch", "watching", is_flag=True, help="Stay and watch it to its end.")
@in_session
def start(
    session: Session,
    domain: str,
    version: str,
    name: str,
    dry_run: bool,  # noqa: FBT001 - a flag
    watching: bool,  # noqa: FBT001 - a flag
    **given: Any,  # noqa: ANN401 - the schedule's flags
) -> None:
    """Begin to take a version live."""
    with session.open() as plane:
        begun = plane.canary.deploy_with_rollout(
            domain, version, schedule(given, domain, version), actor=session.actor, name=name, dry_run=dry_run
        )
        if watching and not dry_run:
            watch(session, plane, begun.id, every=1.0, timeout=None)
            return
    session.show(begun, card_of)
    if session.settings.output == "table":
        what = "nothing was started" if dry_run else f"watch it: vedette rollout watch {begun.name}"
        where = "" if session.remote or dry_run else "; it moves while `vedette serve` runs on this data"
        session.say(f"{what}{where}")


@rollout.command("list", examples=("vedette rollout list --active", "vedette rollout list --domain payments -o json"))
@click.option("--domain", shell_complete=names.domain, help="Only this domain's.")
@click.option("--active", is_flag=True, help="Only those not at their end.")
@page_options
@in_session
def list_(session: Session, domain: str | None, active: bool, limit: int, after: str | None) -> None:  # noqa: FBT001 - a flag
    """List rollouts, the newest first."""
    with session.open() as plane:
        page = plane.canary.page(domain=domain, active=active, after=after, limit=limit)
    session.show(page, list_view)
    more(session, page)


@rollout.command("get", examples=("vedette rollout get payments", "vedette rollout get payments --watch"))
@REF
@click.option("--watch", "watching", is_flag=True, help="Stay and watch it to its end.")
@in_session
def get(session: Session, ref: str, watching: bool) -> None:  # noqa: FBT001 - a flag
    """Show a rollout: its schedule and where it is."""
    with session.open() as plane:
        if watching:
            watch(session, plane, ref, every=1.0, timeout=None)
        else:
            session.show(plane.canary.get(ref), card_of)


@rollout.command(
    "watch",
    examples=(
        "vedette rollout watch payments",
        "vedette rollout watch payments --exit-status --timeout 2h   # in a pipeline: 0 only when promoted",
    ),
)
@REF
@click.option(
    "--exit-status", is_flag=True, help=f"Exit with {NOT_PROMOTED} when it ends in any other way than promoted."
)
@click.option("--timeout", metavar="DURATION", help=f"Give up after this long, with exit code {TIMED_OUT}.")
@click.option("--interval", metavar="DURATION", default="1s", show_default=True, help="How often to look.")
@click.pass_context
def watch_(ctx: click.Context, ref: str, exit_status: bool, timeout: str | None, interval: str) -> None:  # noqa: FBT001 - a flag
    """Watch a rollout to its end: weight, evidence, verdicts, and what holds it."""
    from vedette.kernel.clock import duration

    session = ctx.ensure_object(Session)
    limit = duration(timeout) if timeout else None
    with session.open() as plane:
        last = watch(session, plane, ref, every=max(duration(interval), 0.05), timeout=limit)
    if last is None:
        session.say(f"not at its end after {timeout}")
        ctx.exit(TIMED_OUT)
    if exit_status and last.rollout.status.phase != "promoted":
        ctx.exit(NOT_PROMOTED)


def _verb(name: str, promise: str, *examples: str) -> None:
    """Make one of the verbs that take nothing but the rollout."""

    @rollout.command(name, takes=WRITES, help=promise, examples=examples)
    @REF
    @why
    @if_match
    @in_session
    def verb(session: Session, ref: str, why: str, if_match: int | None) -> None:
        with session.open() as plane:
            done = getattr(plane.canary, name)(ref, actor=session.actor, why=why, expected=if_match)
        session.show(done, card_of)


_verb("pause", "Stand still until resumed; the evidence is judged on and may abort.", "vedette rollout pause payments")
_verb("resume", "Go on from a pause.", "vedette rollout resume payments --why 'looked at it, is fine'")


@rollout.command(
    "promote",
    takes=WRITES,
    examples=("vedette rollout promote payments", "vedette rollout promote payments --full --yes"),
)
@REF
@click.option("--full", is_flag=True, help="Make the version stable at once, without further steps.")
@yes
@why
@if_match
@in_session
def promote(session: Session, ref: str, full: bool, yes: bool, why: str, if_match: int | None) -> None:  # noqa: FBT001 - flags
    """Be done with this step, or with --full, with all of them."""
    with session.open() as plane:
        if full:
            session.confirm(f"Make {_version(plane, ref)} stable now, without looking at the evidence?", yes=yes)
        done = plane.canary.promote(ref, actor=session.actor, why=why, full=full, expected=if_match)
    session.show(done, card_of)


_verb(
    "abort",
    "Take the version back at once; nothing outranks this.",
    "vedette rollout abort payments --why 'wrong prompt'",
)
_verb("retry", "Begin again at the first step with new evidence.", "vedette rollout retry payments")


@rollout.command("undo", takes=WRITES, examples=("vedette rollout undo payments",))
@REF
@yes
@why
@if_match
@in_session
def undo(session: Session, ref: str, yes: bool, why: str, if_match: int | None) -> None:  # noqa: FBT001 - a flag
    """Return at once to the version that was stable before a promotion."""
    with session.open() as plane:
        session.confirm(f"Take {_version(plane, ref)} back from everyone now?", yes=yes)
        done = plane.canary.undo(ref, actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


@rollout.command("set-weight", takes=WRITES, examples=("vedette rollout set-weight payments 5%",))
@REF
@click.argument("weight", help="In percent, such as 5%.")
@why
@if_match
@in_session
def set_weight(session: Session, ref: str, weight: str, why: str, if_match: int | None) -> None:
    """Give the canary another weight now, up to that of its step."""
    from vedette.kernel.fields import percent

    with session.open() as plane:
        done = plane.canary.set_weight(ref, percent(weight), actor=session.actor, why=why, expected=if_match)
    session.show(done, card_of)


@rollout.command("explain", examples=("vedette rollout explain payments",))
@REF
@in_session
def explain(session: Session, ref: str) -> None:
    """Say why a rollout is where it is, with the evidence."""
    with session.open() as plane:
        session.show(plane.canary.explain(ref), explanation_view)


@rollout.command(
    "replay",
    examples=(
        "vedette rollout replay payments --alpha 0.01",
        "vedette rollout replay payments --steps 5%:10m,50%:10m,100%:10m --guard errors=0.1",
    ),
)
@REF
@schedule_options
@click.option("--attempt", type=click.IntRange(min=1), help="Default: the latest")
@in_session
def replay(session: Session, ref: str, attempt: int | None, **given: Any) -> None:  # noqa: ANN401 - the schedule's flags
    """Run recorded evidence through another schedule or other guardrails."""
    with session.open() as plane:
        known = plane.canary.get(ref)
        other = schedule(given, known.domain, known.spec.version)
        session.show(plane.canary.replay(known.id, other, attempt=attempt), replay_view)


@rollout.command("analytics", examples=("vedette rollout analytics payments -o json",))
@REF
@in_session
def analytics(session: Session, ref: str) -> None:
    """Say how long each step took, what the canary served, and how much exposure was saved."""
    with session.open() as plane:
        session.show(plane.canary.analytics(ref), analytics_view)


def _version(plane: "Services", ref: str) -> str:
    known = plane.canary.get(ref)
    return f"{known.spec.version} of {known.domain}"
