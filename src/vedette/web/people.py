"""People and tokens, for admins: invite, change, remove, make and revoke."""

from collections.abc import Callable
from datetime import timedelta

from starlette.responses import Response

from vedette.governance.roles import GRANTS, Permission, Role
from vedette.kernel.errors import InvalidInput, VedetteError
from vedette.web.ask import Ask, Way, go

_DONE = {
    "role": "The role is changed.",
    "remove": "They are let in no more.",
    "revoke": "The token lets nobody in any more.",
}


def show(ask: Ask) -> Response:
    """Show people and tokens."""
    return _page(ask)


def invite(ask: Ask) -> Response:
    """Make a link for somebody, and show it once."""
    try:
        secret = ask.plane.people.invite(ask.form.get("name", "").strip(), _role(ask), **ask.by)
    except VedetteError as error:
        return _page(ask, error=error)
    return _page(ask, link=f"{ask.request.url.scheme}://{ask.request.url.netloc}/welcome?key={secret}")


def change(ask: Ask) -> Response:
    """Give a person another role."""
    return _do(ask, "role", lambda: ask.plane.people.set_role(ask.path["name"], _role(ask), **ask.by))


def remove(ask: Ask) -> Response:
    """Let a person in no more."""
    return _do(ask, "remove", lambda: ask.plane.people.leave(ask.path["name"], **ask.by))


def create_token(ask: Ask) -> Response:
    """Make a token, and show its secret once."""
    days = ask.form.get("days", "").strip()
    try:
        if days and not (days.isascii() and days.isdigit() and 0 < int(days) < 10_000):
            raise InvalidInput("how long a token is good is a number of days")
        lasts = timedelta(days=int(days)) if days else None
        secret = ask.plane.people.create_token(ask.form.get("name", "").strip(), _role(ask), lasts=lasts, **ask.by)
    except VedetteError as error:
        return _page(ask, error=error)
    return _page(ask, secret=secret)


def revoke(ask: Ask) -> Response:
    """Let a token in no more."""
    return _do(ask, "revoke", lambda: ask.plane.people.revoke_token(ask.path["name"], **ask.by))


def _do(ask: Ask, done: str, act: Callable[[], object]) -> Response:
    try:
        act()
    except VedetteError as error:
        return _page(ask, error=error)
    return go(f"/people?done={done}")


def _role(ask: Ask) -> Role:
    said = ask.form.get("role", "")
    if said not in set(Role):
        raise InvalidInput(f"{said!r} is no role", hint=f"one of {', '.join(Role)}")
    return Role(said)


def _page(ask: Ask, *, error: VedetteError | None = None, link: str = "", secret: str = "") -> Response:
    people, tokens = ask.plane.people.everybody(), ask.plane.people.tokens()
    return ask.page(
        "people.html",
        status=409 if error else 200,
        people=people,
        tokens=tokens,
        roles=list(Role),
        grants={role: ", ".join(sorted(GRANTS[role])) for role in Role},
        error=error,
        link=link,
        secret=secret,
        base=f"{ask.request.url.scheme}://{ask.request.url.netloc}",
        done=_DONE.get(ask.query("done"), ""),
        hello=bool(ask.query("hello")),
    )


_ADMIN = Permission.ADMINISTER
WAYS = (
    Way(path="/people", view=show, needs=_ADMIN),
    Way(path="/people/invite", view=invite, needs=_ADMIN, method="POST"),
    Way(path="/people/{name}/role", view=change, needs=_ADMIN, method="POST"),
    Way(path="/people/{name}/remove", view=remove, needs=_ADMIN, method="POST"),
    Way(path="/tokens", view=create_token, needs=_ADMIN, method="POST"),
    Way(path="/tokens/{name}/revoke", view=revoke, needs=_ADMIN, method="POST"),
)
