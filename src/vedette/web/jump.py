"""Finding one's way: the jump menu, and the page of help."""

from starlette.responses import Response

from vedette.governance.roles import Permission
from vedette.web.ask import PUBLIC, Ask, Way

PLACES = (
    ("Fleet", "/", "every domain and what needs a hand"),
    ("Rollouts", "/rollouts", "every rollout, the newest first"),
    ("Experiments", "/experiments", "every experiment, the newest first"),
    ("Explain", "/explain", "why a request or a unit got its answer"),
    ("Audit", "/audit", "who did what, and the proof"),
)
_ADDRESS = {"domain": "/domains/", "rollout": "/rollouts/", "experiment": "/experiments/"}


def jump(ask: Ask) -> Response:
    """Find domains, rollouts, experiments and pages by a part of their name."""
    asked = ask.query("q").strip()[:100]
    found = [(name, said, _ADDRESS[kind] + name, kind) for kind, name, said in ask.plane.fleet.find(asked)]
    places = [(name, said, to, "page") for name, to, said in PLACES if asked.lower() in name.lower()]
    return ask.page("jump.html", asked=asked, found=[*found, *places][:20])


def help_(ask: Ask) -> Response:
    """Show keys, and what the words mean."""
    return ask.page("help.html")


WAYS = (
    Way(path="/jump", view=jump, needs=Permission.READ),
    Way(path="/help", view=help_, needs=PUBLIC),
)
