"""What people may do to an experiment from its page: every verb, when it is allowed, and what it is confirmed with."""

from collections.abc import Callable, Mapping

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.control.experiment_story import ExperimentStory, story
from vedette.experiments.advance import alive
from vedette.experiments.machine import Phase
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, VedetteError
from vedette.kernel.records import record
from vedette.routing.layers import PLACES
from vedette.store.experiments import StoredExperiment
from vedette.web import ask as asking
from vedette.web.ask import Ask, By, Way, go

DONE: Mapping[str, str] = {
    "create": "It is drafted and exposes nobody yet.",
    "start": "It runs: gateways expose its first units as soon as they have the new plan.",
    "ramp": "The coverage is raised; nobody who took part moved.",
    "stop-arm": "The arm is taken out: its units are served as the domain is, and nobody else moved.",
    "stop": "It is stopped and exposes nobody any more; its record is complete.",
    "decide": "The decision is in the record.",
    "archive": "It is put away; its record stays.",
}
"""What is said after each verb."""


@record
class Choices:
    """What a verb's form asks for beside the reason: a coverage in percent, an arm, or a winner."""

    coverage: float | None = None
    arms: tuple[str, ...] = ()
    winners: tuple[str, ...] = ()
    chosen: str = ""


@record
class Button:
    """One verb as the page shows it; ``why_not`` is empty when it is allowed."""

    verb: str
    title: str
    promise: str
    tone: str
    why_not: str
    choices: Choices


_TEXTS: Mapping[str, tuple[str, str, str]] = {
    "start": ("Start", "Expose it to its units. What it asks cannot be changed afterwards.", "primary"),
    "ramp": ("Ramp up", "Expose it to a larger share of its layer. Nobody who takes part moves; it never shrinks.", ""),
    "stop-arm": (
        "Take an arm out",
        "Take one arm out at once, for good: its units are served as the domain is.",
        "warns",
    ),
    "stop": ("Stop", "End it for good: it exposes nobody any more, and does not start again.", "danger"),
    "decide": ("Decide", "Say who won, or that nobody did. One that still runs is stopped for good first.", ""),
    "promote": ("Take the winner live", "Begin the rollout of the winner's version, as the spec says.", "primary"),
    "archive": ("Archive", "Put it away for good; its record stays.", ""),
}
_SHOWN: Mapping[Phase, tuple[str, ...]] = {
    Phase.DRAFT: ("start", "archive"),
    Phase.RUNNING: ("ramp", "stop-arm", "decide", "stop", "promote", "archive"),
    Phase.STOPPED: ("decide", "promote", "archive"),
    Phase.DECIDED: ("promote", "decide", "archive"),
    Phase.ARCHIVED: (),
}
"""The verbs a page shows in each phase, legal or not."""


def buttons(told: ExperimentStory, *, may: bool) -> list[Button]:
    """Lay out the verbs that make sense in this phase, each with why not."""
    return [
        _button(told, verb, told.refused[verb] if may else "your role may look only")
        for verb in _SHOWN[told.experiment.status.phase]
    ]


def _button(told: ExperimentStory, verb: str, why_not: str) -> Button:
    title, promise, tone = _TEXTS[verb]
    report = told.explanation.report if told.explanation else None
    if verb == "decide" and told.experiment.status.phase != Phase.DECIDED and report and report.verdict.final:
        tone = "primary"  # there is nothing left to wait for
    return Button(verb=verb, title=title, promise=promise, tone=tone, why_not=why_not, choices=_choices(told, verb))


def _choices(told: ExperimentStory, verb: str) -> Choices:
    it = told.experiment
    left = alive(it.spec, it.status)
    if verb == "start":
        return Choices(coverage=it.spec.coverage)
    if verb == "ramp":
        return Choices(coverage=min(2 * 100 * it.status.exposed / PLACES, 100.0))
    if verb == "stop-arm":
        return Choices(arms=tuple(arm for arm in left if arm != it.spec.control_name))
    if verb == "decide":
        report = told.explanation.report if told.explanation else None
        return Choices(winners=left, chosen=report.verdict.winner if report else "")
    return Choices()


class _Said(By):
    """Who asks, and what they say about it."""

    why: str


def act(ask: Ask) -> Response:
    """Do what a form asks for, once it is confirmed."""
    verb, ref = ask.path["verb"], ask.path["ref"]
    if verb not in _TEXTS:
        raise NotFound(f"{verb!r} is nothing one can do to an experiment")
    it = ask.plane.experiments.get(ref)
    if ask.form.get("confirmed") != "yes":
        return ask.page("experiment_confirm.html", it=it, button=_button(story(ask.plane, it.id), verb, ""))
    try:
        done = _verbs(ask, it)[verb]()
    except VedetteError as error:
        from vedette.web.experiments import render  # the page and its verbs know each other

        return render(ask, error=error, status=kind_of(error).status)
    return go(done or f"/experiments/{it.name}?done={verb}")


def _verbs(ask: Ask, it: StoredExperiment) -> Mapping[str, Callable[[], str]]:
    """Give what does each verb; it answers where to go, or nothing for the experiment's page."""
    known, form = ask.plane.experiments, ask.form
    by = _Said(**ask.by, why=form.get("why", "").strip()[:500])
    said = form.get("revision", "")
    expected = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None

    def done(_: object) -> str:
        return ""

    def coverage() -> float:
        return asking.number(form.get("coverage", ""), "the coverage")

    return {
        "start": lambda: done(known.start(it.id, coverage(), expected=expected, **by)),
        "ramp": lambda: done(known.ramp(it.id, coverage(), expected=expected, **by)),
        # Taking harm away is never too late: whatever the experiment is at.
        "stop-arm": lambda: done(known.stop_arm(it.id, form.get("arm", ""), **by)),
        "stop": lambda: done(known.stop(it.id, **by)),
        "decide": lambda: done(known.decide(it.id, form.get("winner", ""), expected=expected, **by)),
        "archive": lambda: done(known.archive(it.id, expected=expected, **by)),
        "promote": lambda: f"/rollouts/{known.promote(it.id, **by).id}?done=start",
    }


WAYS = (Way(path="/experiments/{ref}/do/{verb}", view=act, needs=Permission.OPERATE, method="POST"),)
