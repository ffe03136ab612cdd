"""What routes take from a request beside its body: names, times, pages, preconditions, who asks, and only once.

An ETag is the revision of what was read, quoted (``"7"``); what has no revision carries the digest of its content. Tags
are strong; the ``W/`` a compressing proxy puts before one is read past. ``If-Match`` with that tag makes a write
conditional (412 when someone was faster); ``*``, or no header, writes whatever the revision is.

``Idempotency-Key`` on a POST makes it happen once: the change and its answer are kept in one transaction for a day, and
the same request by the same actor gets that answer again, marked ``Idempotency-Replayed: true``. The same key with
another request is a conflict (409). A request that failed leaves no key behind.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypedDict, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import StringConstraints

from vedette.control.plane import ControlPlane
from vedette.governance.roles import Caller
from vedette.kernel.documents import adapter, dump
from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import digest
from vedette.kernel.ids import NAME
from vedette.store.pages import LARGEST, Page

T = TypeVar("T")

NAMED = f"^{NAME.pattern}$"
"""The pattern of every name users choose."""

DomainId = Annotated[str, Path(pattern=NAMED, description="The domain's id.")]
VersionName = Annotated[str, Path(pattern=NAMED, description="The version's name within its domain.")]
RolloutRef = Annotated[
    str, Path(pattern=NAMED, description="The rollout's id, its name, or its domain's id (then the newest one).")
]
ExperimentRef = Annotated[str, Path(pattern=NAMED, description="The experiment's id or its name.")]
OutcomeId = Annotated[str, Path(pattern=r"^[!-.0-~]{1,200}$", description="The id of one outcome.")]


async def _plane(request: Request) -> ControlPlane:
    plane: ControlPlane = request.app.state.plane
    return plane


Plane = Annotated[ControlPlane, Depends(_plane)]
"""The control plane behind the app."""


_REPLAYED = {"Idempotency-Replayed": "true"}


class NotModified(Exception):
    """What the client has is what there is."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


class Answered(Exception):
    """The answer to a request with an idempotency key: raised, because a route promises its record."""

    def __init__(self, answer: Mapping[str, Any], *, replayed: bool) -> None:
        super().__init__()
        self.answer = answer
        self.replayed = replayed


async def respond_not_modified(_: Request, error: Exception) -> Response:
    """Answer `NotModified`."""
    assert isinstance(error, NotModified)  # noqa: S101 - registered for these only
    return Response(status_code=304, headers={"ETag": error.tag})


async def respond_answered(_: Request, error: Exception) -> Response:
    """Answer `Answered`."""
    assert isinstance(error, Answered)  # noqa: S101 - registered for these only
    marked = _REPLAYED if error.replayed else {}
    headers = {**error.answer["headers"], **marked}
    return Response(
        error.answer["body"], status_code=error.answer["status"], headers=headers, media_type="application/json"
    )


def tag_of(value: object) -> str:
    """Give the ETag of a record."""
    revision = getattr(value, "revision", None)
    return f'"{revision if isinstance(revision, int) else digest(dump(value))[:16]}"'


@dataclass(frozen=True, slots=True)
class Reading:
    """A read of one thing, answered by 304 when the client has it already."""

    response: Response
    known: str

    def give(self, value: T) -> T:
        """Give the thing with its ETag.

        Raises:
            NotModified: the client has it.
        """
        tag = tag_of(value)
        if self.known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in self.known.split(",")):
            raise NotModified(tag)
        self.response.headers["ETag"] = tag
        return value


async def _reading(
    response: Response, if_none_match: Annotated[str, Header(description="ETags the client has.")] = ""
) -> Reading:
    return Reading(response, if_none_match)


Read = Annotated[Reading, Depends(_reading)]


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a listing is asked for."""

    request: Request
    response: Response
    after: str | None
    limit: int

    def give(self, page: Page[T]) -> Page[T]:
        """Give the page, with a Link to the next one if there is one."""
        if page.next is not None:
            url = self.request.url.include_query_params(after=page.next)
            self.response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return page


async def _paging(
    request: Request,
    response: Response,
    after: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,512}$", description="The cursor that `next` of a page named.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST, description="How many items at most.")] = 50,
) -> Paging:
    return Paging(request, response, after, limit)


Pages = Annotated[Paging, Depends(_paging)]


async def _newest_first(
    newest_first: Annotated[bool, Query(alias="newestFirst", description="The newest one first.")] = False,  # noqa: FBT002 - a query
) -> bool:
    return newest_first


NewestFirst = Annotated[bool, Depends(_newest_first)]
"""In which order a listing is asked for."""

_UNIT = Query(min_length=1, max_length=1000, description="A user, a tenant, a session …")
Unit = Annotated[str, _UNIT]
AnyUnit = Annotated[str | None, _UNIT]

_Attribute = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}=", max_length=1000)]


async def _attributes(
    attribute: Annotated[
        list[_Attribute] | None,
        Query(description="What targeting looks at, as name=value: a header in lower case, or user. Repeatable."),
    ] = None,
) -> Mapping[str, str]:
    return dict(said.split("=", 1) for said in attribute or ())


Attributes = Annotated[Mapping[str, str], Depends(_attributes)]
"""What is known of the request that a unit makes."""

_Said = Annotated[
    str,
    Header(
        alias="X-Vedette-Actor",
        pattern=r"^([!-~]+( [!-~]+)*)?$",
        max_length=200,
        description="Who asks, for the audit log, where no token says it; with one this is not read.",
    ),
]


async def _actor(request: Request, said: _Said = "") -> str:
    """Give who is written into the audit log: whom the request proves to be, else whom it says to be."""
    caller: Caller = request.state.caller
    if caller.name or said:
        return caller.name or said
    raise InvalidInput("every change names its actor", hint="send X-Vedette-Actor: who does it, for the audit log")


Actor = Annotated[str, Depends(_actor)]
_IfMatch = Annotated[
    str,
    Header(
        pattern=r'^(|\*|(W/)?"[0-9]{1,9}")$',
        description="The ETag the change is meant for, or `*`; 412 when something changed it since.",
    ),
]
_Key = Annotated[
    str,
    Header(
        pattern=r"^[!-~]{0,200}$",
        description="A key of your own: the same request with the same key happens once and is answered alike.",
    ),
]


def _nowhere(_: object) -> str:
    return ""


class By(TypedDict):
    """Who asks a verb, for which revision, under which request id."""

    actor: str
    expected: int | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Writing:
    """A change: who asks, under which request id, for which revision (None: whichever is there), and with which key."""

    plane: ControlPlane
    response: Response
    actor: str
    request_id: str
    expected: int | None
    key: str
    fingerprint: str

    @property
    def by(self) -> By:
        """What the verbs of a service take from a request."""
        return By(actor=self.actor, expected=self.expected, request_id=self.request_id)

    def give(self, action: Callable[[], T], *, status: int = 200, location: Callable[[T], str] = _nowhere) -> T:
        """Do ``action``, once when there is a key, and give what it gave with its ETag and its Location.

        Raises:
            Answered: there is a key; the answer is in the exception.
        """
        if self.key:
            self._answer(action, status, location)
        value = action()
        self.response.status_code = status
        self.response.headers.update(_headers(value, location(value)))
        return value

    def give_kept(self, action: Callable[[str], tuple[T, bool]]) -> T:
        """Do ``action``, which keeps its answer itself under the key it is given (empty: there is none).

        For work that no transaction holds. It says whether the answer is one that was kept.
        """
        value, replayed = action(f"{self.actor}/{self.key}" if self.key else "")
        self.response.headers.update(_headers(value, "") | (_REPLAYED if replayed else {}))
        return value

    def _answer(self, action: Callable[[], T], status: int, location: Callable[[T], str]) -> NoReturn:
        def answered() -> Mapping[str, Any]:
            value = action()
            body = adapter(type(value)).dump_json(value, by_alias=True).decode()
            return {"status": status, "headers": _headers(value, location(value)), "body": body}

        answer, replayed = self.plane.changes.once(f"{self.actor}/{self.key}", self.fingerprint, answered)
        raise Answered(answer, replayed=replayed)


def _headers(value: object, location: str) -> dict[str, str]:
    return {"ETag": tag_of(value)} | ({"Location": location} if location else {})


async def _write(request: Request, response: Response, plane: Plane, actor: Actor, if_match: _IfMatch = "") -> Writing:
    return await _writing(request, response, plane, actor, if_match, "")


async def _create(
    request: Request, response: Response, plane: Plane, actor: Actor, idempotency_key: _Key = ""
) -> Writing:
    return await _writing(request, response, plane, actor, "", idempotency_key)


async def _act(
    request: Request,
    response: Response,
    plane: Plane,
    actor: Actor,
    if_match: _IfMatch = "",
    idempotency_key: _Key = "",
) -> Writing:
    return await _writing(request, response, plane, actor, if_match, idempotency_key)


async def _writing(
    request: Request, response: Response, plane: ControlPlane, actor: str, if_match: str, key: str
) -> Writing:
    asked = {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "ifMatch": if_match,
        "body": hashlib.sha256(await request.body()).hexdigest(),
    }
    return Writing(
        plane=plane,
        response=response,
        actor=actor,
        request_id=request.state.request_id,
        expected=None if if_match in {"", "*"} else int(if_match.removeprefix("W/").strip('"')),
        key=key,
        fingerprint=digest(asked),
    )


Write = Annotated[Writing, Depends(_write)]
"""A PUT or DELETE: conditional if it likes, and idempotent by itself."""

Create = Annotated[Writing, Depends(_create)]
"""A POST that makes something new."""

Act = Annotated[Writing, Depends(_act)]
"""A POST that changes something that is there."""
