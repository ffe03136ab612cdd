"""What people may do to an experiment from its page: every verb, and why not where it is not allowed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from vedette.experiments.machine import Event, Phase, follow
from vedette.experiments.report import ExperimentReport
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, VedetteError
from vedette.store.experiments import StoredExperiment
from vedette.web.ask import Ask, Way, go, number

DONE: Mapping[str, str] = {
    "start": "It has begun: units are exposed as soon as gateways have the plan.",
    "ramp": "More units take part; nobody who took part has moved.",
    "stop": "It has ended; its record is complete.",
    "stop-arm": "The arm was taken out; its units are served as the domain is.",
    "decide": "It is decided.",
    "promote": "The winner's rollout is begun.",
    "archive": "It is put away.",
}
"""What is said after each verb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One verb as the page shows it; ``why_not`` is empty when it is allowed. ``arms`` are what it may be about."""

    verb: str
    title: str
    promise: str
    tone: str
    why_not: str
    arms: tuple[str, ...] = ()
    nobody: bool = False
    chosen: str = ""
    coverage: float | None = None


_TEXTS: Mapping[str, tuple[str, str, str]] = {
    "start": ("Start", "Expose its share of the layer's units to it. What it compares cannot be changed then.", ""),
    "ramp": ("Ramp up", "Let more units take part. Coverage only grows, so that nobody moves between arms.", ""),
    "decide": ("Decide", "Say who won, or that nobody did. If it still runs it is stopped first.", ""),
    "promote": ("Promote", "Start a rollout of the winner's version, which then earns its traffic step by step.", ""),
    "stop-arm": ("Take an arm out", "Its units are served as the domain is, and nobody else moves.", "warns"),
    "stop": ("Stop", "It exposes nobody any more, and does not start again.", "danger"),
    "archive": ("Archive", "Put it away for good; its record stays.", ""),
}


def buttons(it: StoredExperiment, report: ExperimentReport | None, *, may: bool) -> list[Button]:
    """Lay out every verb with why not."""
    phase, spec = it.status.phase, it.spec
    names = tuple(variant.name for variant in spec.variants)
    gone = {one.arm for one in it.status.stopped_arms}
    left = tuple(name for name in names if name not in gone)
    shown = {
        Phase.DRAFT: ("start", "archive"),
        Phase.RUNNING: ("decide", "ramp", "stop-arm", "stop"),
        Phase.STOPPED: ("decide", "archive"),
        Phase.DECIDED: ("promote", "decide", "archive"),
        Phase.ARCHIVED: (),
    }[phase]
    made = []
    for verb in shown:
        title, promise, tone = _TEXTS[verb]
        made.append(
            Button(
                verb=verb,
                title=title,
                promise=promise,
                tone="primary" if verb == "decide" and report and report.verdict.final else tone,
                why_not=_why_not(it, verb) if may else "your role may look only",
                arms={"decide": left, "stop-arm": tuple(name for name in left if name != spec.control_name)}.get(
                    verb, ()
                ),
                nobody=verb == "decide",
                chosen=report.verdict.winner if report and verb == "decide" else "",
                coverage=spec.coverage if verb in {"start", "ramp"} else None,
            )
        )
    return made


_EVENTS = {
    "start": Event.START,
    "ramp": Event.RAMP,
    "stop": Event.STOP,
    "stop-arm": Event.STOP_ARM,
    "decide": Event.DECIDE,
    "archive": Event.ARCHIVE,
}


def _why_not(it: StoredExperiment, verb: str) -> str:
    if verb == "start" and it.spec.offline:
        return "it is offline: it begins with its scores (vedette experiment scores)"
    if verb == "promote":
        return _why_not_promote(it)
    if verb == "decide" and it.status.phase is Phase.RUNNING:
        return ""  # it is stopped first
    try:
        follow(it.status.phase, _EVENTS[verb])
    except VedetteError as error:
        return error.message
    return ""


def _why_not_promote(it: StoredExperiment) -> str:
    end = it.status.conclusion
    if end is None or not end.winner:
        return "nobody won"
    if end.winner == it.spec.control_name:
        return "the control won: there is nothing to take live"
    return "its rollout was started already" if it.status.rollout else ""


def act(ask: Ask) -> Response:
    """Do what a form asks for."""
    verb = ask.path["verb"]
    it = ask.plane.experiments.get(ask.path["ref"])
    verbs = _verbs(ask, it)
    if verb not in verbs:
        raise NotFound(f"{verb!r} is nothing one can do to an experiment")
    try:
        to = verbs[verb]()
    except VedetteError as error:
        from vedette.web.experiments import render  # the page and its verbs know each other

        return render(ask, error=error)
    return go(to or f"/experiments/{it.name}?done={verb}")


def _verbs(ask: Ask, it: StoredExperiment) -> Mapping[str, Callable[[], str]]:
    tests, by = ask.plane.experiments, ask.by
    why, arm = ask.form.get("why", "").strip()[:500], ask.form.get("arm", "").strip()

    def coverage() -> float:
        return number(ask.form.get("coverage", ""), "the coverage")

    def done(act: Callable[[], object]) -> Callable[[], str]:
        def do() -> str:
            act()
            return ""

        return do

    def promote() -> str:
        return f"/rollouts/{tests.promote(it.id, why=why, **by).id}?done=start"

    return {
        "start": done(lambda: tests.start(it.id, coverage(), why=why, **by)),
        "ramp": done(lambda: tests.ramp(it.id, coverage(), why=why, **by)),
        "stop": done(lambda: tests.stop(it.id, why=why, **by)),
        "stop-arm": done(lambda: tests.stop_arm(it.id, arm, why=why, **by)),
        "decide": done(lambda: tests.decide(it.id, arm, why=why, **by)),
        "archive": done(lambda: tests.archive(it.id, why=why, **by)),
        "promote": promote,
    }


WAYS = (Way(path="/experiments/{ref}/do/{verb}", view=act, needs=Permission.OPERATE, method="POST"),)
