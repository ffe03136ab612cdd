"""What a view gets, how it answers, and the rules that hold for every request before a view sees it.

- Nobody comes in unknown: a way is for people who signed in with a permission, unless it says `PUBLIC`.
- A form is believed only from our own pages: its origin is ours, and it carries the key of the session.
- What a view raises becomes a page that says what, why and what to do.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict
from urllib.parse import parse_qsl, quote, urlsplit

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from vedette.api.door import COOKIE
from vedette.api.problems import kind_of
from vedette.control.plane import ControlPlane
from vedette.governance.roles import Caller, Permission, permit
from vedette.kernel.documents import dump
from vedette.kernel.errors import Denied, InvalidInput, VedetteError
from vedette.kernel.tables import Table
from vedette.web.templates import Templates

PUBLIC: Literal["public"] = "public"
"""For those who have not signed in: signing in itself, the colour scheme, help."""

_FORM_FIELDS = 400


class By(TypedDict):
    """Who asks for a change, and under which request id."""

    actor: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a view: who asks, for what, with which form.

    ``caller`` is None on public ways before anyone signed in. ``form`` holds the last value of each field.
    """

    request: Request
    plane: ControlPlane
    templates: Templates
    caller: Caller | None
    form_key: str
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def by(self) -> By:
        """What changes take: the actor, and the id of the request."""
        return By(actor=self.caller.name if self.caller else "", request_id=self.request.state.request_id)

    @property
    def path(self) -> Mapping[str, str]:
        """The parts of the address that vary."""
        return self.request.path_params

    def query(self, name: str, default: str = "") -> str:
        """Give a value of the address's query."""
        return self.request.query_params.get(name, default)

    def may(self, permission: Permission) -> bool:
        """Say whether who asks has a permission."""
        return self.caller is not None and self.caller.may(permission)

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:  # noqa: ANN401 - a template's values
        """Answer by a page."""
        shared = {
            "ask": self,
            "caller": self.caller,
            "form_key": self.form_key,
            "theme": self.request.cookies.get("vedette_theme", "auto"),
            "now": self.plane.instruments.now(),
            "here": self.request.url.path,
            "here_whole": self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else ""),
        }
        body = self.templates.render(template, {**shared, **context})
        return Response(body, status_code=status, media_type="text/html")


View = Callable[[Ask], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One address: which view answers it, by which method, and who may come."""

    path: str
    view: View
    needs: Permission | Literal["public"]
    method: Literal["GET", "POST"] = "GET"


def go(to: str, *, status: int = 303) -> Response:
    """Answer by sending the browser to an address of ours; anything else becomes the home page."""
    return RedirectResponse(local(to), status_code=status)


def local(to: str) -> str:
    """Give an address if it is one of this site, else that of the home page."""
    parts = urlsplit(to)
    ours = to.startswith("/") and not to.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return to if ours and to.isprintable() and "\\" not in to else "/"


def as_csv(name: str, table: Table) -> Response:
    """Answer by a table as CSV; what a spreadsheet would take for a formula is kept text by an apostrophe."""
    guarded = Table(table.columns, tuple(tuple(map(no_formula, row)) for row in table.rows), title=table.title)
    headers = {"Content-Disposition": f'attachment; filename="{quote(name)}.csv"'}
    return Response("\ufeff" + guarded.to_csv(), media_type="text/csv", headers=headers)


def as_json(value: object) -> Response:
    """Answer by a record as JSON, as the API writes it."""
    return Response(json.dumps(dump(value), indent=2, ensure_ascii=False), media_type="application/json")


def no_formula(cell: object) -> object:
    """Keep text that a spreadsheet would take for a formula text, by an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def routes(ways: tuple[Way, ...], templates: Templates) -> list[Route]:
    """Make the routes of ways."""
    return [Route(way.path, _endpoint(way, templates), methods=[way.method]) for way in ways]


def _endpoint(way: Way, templates: Templates) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        form: Mapping[str, str] = {}
        if way.method == "POST":
            form = await _form(request)
        return await to_thread.run_sync(_answer, way, templates, request, form)

    return endpoint


def _answer(way: Way, templates: Templates, request: Request, form: Mapping[str, str]) -> Response:
    plane: ControlPlane = request.app.state.plane
    ask = Ask(request, plane, templates, None, "")
    try:
        found = plane.people.caller_of_session(request.cookies.get(COOKIE, ""))
        caller, form_key = found or (None, "")
        ask = Ask(request, plane, templates, caller, form_key, form)
        if way.method == "POST":
            _check_origin(request)
        if way.needs != PUBLIC:
            if caller is None:
                return _to_sign_in(request, way)
            if way.method == "POST":
                _check_form_key(form, form_key)
            permit(caller, way.needs)
        return way.view(ask)
    except VedetteError as error:
        return failure(ask, error)


def failure(ask: Ask, error: VedetteError) -> Response:
    """Answer an error by a page."""
    kind = kind_of(error)
    return ask.page(
        "problem.html", status=kind.status, title=kind.title, code=kind.status, message=error.message, hint=error.hint
    )


def _to_sign_in(request: Request, way: Way) -> Response:
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "") if way.method == "GET" else "/"
    return go(f"/sign-in?next={quote(back, safe='')}" if back != "/" else "/sign-in")


async def _form(request: Request) -> Mapping[str, str]:
    """Read a form as browsers send it; what is no form is an empty one, and fails for want of its key."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return {}
    body = (await request.body()).decode(errors="replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_FORM_FIELDS))
    except ValueError:
        return {}


def _check_origin(request: Request) -> None:
    origin, site = request.headers.get("origin", ""), request.headers.get("sec-fetch-site", "")
    foreign = bool(origin) and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign or site in {"cross-site", "same-site"}:
        raise Denied("this form was sent from another site", hint="open the page here and send it again")


def _check_form_key(form: Mapping[str, str], form_key: str) -> None:
    if not hmac.compare_digest(form.get("form_key", "").encode(), form_key.encode()):
        raise Denied("this form is not of your session", hint="go back, load the page again, and send it again")


def number(text: str, what: str) -> float:
    """Read a number from a form.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise InvalidInput(f"{what} must be a number, not {text!r}") from None
