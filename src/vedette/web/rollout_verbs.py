"""What people may do to a rollout from its page: every verb, when it is allowed, and what it is confirmed with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.control.rollout_story import Story
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, VedetteError
from vedette.store.rollouts import StoredRollout
from vedette.web import ask as asking
from vedette.web.ask import Ask, By, Way, go

DONE: Mapping[str, str] = {
    "promote": "This step is approved. The next look climbs, unless a guardrail says no.",
    "promote-fully": "The version serves everyone now.",
    "pause": "It stands still until somebody resumes it. Evidence is still judged, and may abort it.",
    "resume": "It goes on.",
    "abort": "The version was taken back; stable serves everyone.",
    "retry": "It begins again at the first step, with new evidence.",
    "undo": "The version before serves everyone again.",
    "set-weight": "The weight is changed; the step bakes anew under it.",
    "start": "The rollout is begun. It moves as soon as a gateway confirms its first step.",
}
"""What is said after each verb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One verb as the page shows it; ``why_not`` is empty when it is allowed."""

    verb: str
    title: str
    promise: str
    tone: str
    asks: bool
    why_not: str
    weight: float | None = None
    most: float | None = None


_TEXTS: Mapping[str, tuple[str, str, str]] = {
    "promote": ("Promote", "Be done with this step and climb at the next look, unless a guardrail says no.", ""),
    "pause": ("Pause", "Stand still at this weight until somebody resumes. Evidence is judged on, and may abort.", ""),
    "resume": (
        "Resume",
        "Go on from the pause. A regression or a broken split it paused for is overruled by this.",
        "",
    ),
    "abort": ("Abort", "Take the version back at once: stable serves everyone. Only a retry begins again.", "danger"),
    "set-weight": ("Set weight", "Give the canary another share now, up to that of its step.", ""),
    "promote-fully": (
        "Promote fully",
        "Make the version stable at once, skipping every step left and its analysis.",
        "warns",
    ),
    "retry": ("Retry", "Begin again at the first step, with new evidence.", ""),
    "undo": ("Undo", "Return everyone to the version that was stable before, at once.", "danger"),
}
_AT_ONCE = frozenset({"pause"})
"""Verbs that harm nothing and are done without asking."""


def buttons(told: Story, *, may: bool) -> list[Button]:
    """Lay out every verb: those that make sense at this phase, legal or not, each with why not."""
    status = told.rollout.status
    ended = status.phase in {"promoted", "aborted", "undone"}
    wanted = ("retry", "undo") if ended else ("promote", "resume", "pause", "abort", "set-weight", "promote-fully")
    return [
        Button(
            verb=verb,
            title=_TEXTS[verb][0],
            promise=_TEXTS[verb][1],
            tone="primary" if verb == "promote" and status.phase == "paused" else _TEXTS[verb][2],
            asks=verb not in _AT_ONCE,
            why_not=told.refused[verb] if may else "your role may look only",
            weight=status.weight if verb == "set-weight" else None,
            most=told.rollout.spec.weight_of(status.step) if verb == "set-weight" else None,
        )
        for verb in wanted
    ]


def command(it: StoredRollout) -> str:
    """Say the command that shows the rollout."""
    return f"vedette rollout get {it.name}"


class _Said(By):
    """Who asks, and what they say about it."""

    why: str


def act(ask: Ask) -> Response:
    """Do what a form asks for; what is dangerous asks first."""
    verb, ref = ask.path["verb"], ask.path["ref"]
    if verb not in _TEXTS:
        raise NotFound(f"{verb!r} is nothing one can do to a rollout")
    it = ask.plane.canary.get(ref)
    if verb not in _AT_ONCE and ask.form.get("confirmed") != "yes":
        title, promise, tone = _TEXTS[verb]
        return ask.page("confirm.html", it=it, verb=verb, title=title, promise=promise, tone=tone)
    try:
        _verbs(ask, it)[verb]()
    except VedetteError as error:
        from vedette.web.rollouts import render  # the page and its verbs know each other

        return render(ask, error=error, status=kind_of(error).status)
    return go(f"/rollouts/{it.id}?done={verb}")


def _verbs(ask: Ask, it: StoredRollout) -> Mapping[str, Callable[[], object]]:
    canary = ask.plane.canary
    by = _Said(**ask.by, why=ask.form.get("why", "").strip()[:500])
    said = ask.form.get("revision", "")
    expected = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else None

    def weight() -> object:
        share = asking.number(ask.form.get("weight", ""), "the weight")
        return canary.set_weight(it.id, share, expected=expected, **by)

    return {
        "promote": lambda: canary.promote(it.id, expected=expected, **by),
        "promote-fully": lambda: canary.promote(it.id, full=True, expected=expected, **by),
        "pause": lambda: canary.pause(it.id, **by),  # whatever it is at, for standing still harms nothing
        "resume": lambda: canary.resume(it.id, expected=expected, **by),
        "abort": lambda: canary.abort(it.id, **by),  # whatever it is at: nothing outranks this
        "retry": lambda: canary.retry(it.id, expected=expected, **by),
        "undo": lambda: canary.undo(it.id, expected=expected, **by),
        "set-weight": weight,
    }


WAYS = (Way(path="/rollouts/{ref}/do/{verb}", view=act, needs=Permission.OPERATE, method="POST"),)
