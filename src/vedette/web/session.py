"""Signing in and out, opening an invitation, and choosing the colours."""

from starlette.responses import Response

from vedette.api.door import COOKIE
from vedette.governance.roles import Role
from vedette.kernel.errors import Denied, VedetteError
from vedette.web.ask import PUBLIC, Ask, Way, go
from vedette.web.security import forget, remember

_YEAR = 31_536_000
_THEMES = ("auto", "light", "dark")


def sign_in(ask: Ask) -> Response:
    """Show the form to sign in, or how to take possession of a server that is nobody's yet."""
    if ask.caller:
        return go(ask.query("next", "/"))
    return ask.page("sign_in.html", claimed=ask.plane.people.anybody(), name="", error="", next=ask.query("next", "/"))


def do_sign_in(ask: Ask) -> Response:
    """Begin a session."""
    name, to = ask.form.get("name", "").strip(), ask.form.get("next", "/")
    address = ask.request.client.host if ask.request.client else ""
    try:
        begun = ask.plane.people.sign_in(
            name, ask.form.get("password", ""), address=address, request_id=ask.by["request_id"]
        )
    except Denied as error:
        return ask.page("sign_in.html", status=403, claimed=True, name=name, error=str(error), next=to)
    return remember(go(to), ask.request, begun.secret)


def sign_out(ask: Ask) -> Response:
    """End the session."""
    ask.plane.people.sign_out(ask.request.cookies.get(COOKIE, ""), request_id=ask.by["request_id"])
    return forget(go("/sign-in"))


def welcome(ask: Ask) -> Response:
    """Show what an invitation asks for."""
    invited = ask.plane.people.invitation(ask.query("key"))
    return ask.page("welcome.html", invited=invited, key=ask.query("key"), error="", name=invited.name)


def do_welcome(ask: Ask) -> Response:
    """Open an invitation: make the person, and sign in."""
    key = ask.form.get("key", "")
    invited = ask.plane.people.invitation(key)
    name = invited.name or ask.form.get("name", "").strip().lower()
    try:
        begun = ask.plane.people.accept(key, name, ask.form.get("password", ""), request_id=ask.by["request_id"])
    except VedetteError as error:
        return ask.page("welcome.html", status=422, invited=invited, key=key, error=str(error), name=name)
    to = "/people?hello=1" if begun.person.role is Role.ADMIN else "/"
    return remember(go(to), ask.request, begun.secret)


def choose_theme(ask: Ask) -> Response:
    """Keep the colours in a cookie."""
    theme = ask.form.get("theme", "auto")
    response = go(ask.form.get("back", "/"))
    response.set_cookie(
        "vedette_theme", theme if theme in _THEMES else "auto", max_age=_YEAR, samesite="lax", httponly=True
    )
    return response


WAYS = (
    Way(path="/sign-in", view=sign_in, needs=PUBLIC),
    Way(path="/sign-in", view=do_sign_in, needs=PUBLIC, method="POST"),
    Way(path="/sign-out", view=sign_out, needs=PUBLIC, method="POST"),
    Way(path="/welcome", view=welcome, needs=PUBLIC),
    Way(path="/welcome", view=do_welcome, needs=PUBLIC, method="POST"),
    Way(path="/theme", view=choose_theme, needs=PUBLIC, method="POST"),
)
