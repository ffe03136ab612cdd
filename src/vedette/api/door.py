"""Who makes a request, and whether it may: a bearer token, the session of the dashboard, or trust.

A token (``Authorization: Bearer vdt_…``) and a session's cookie say who it is; a header cannot say otherwise. With a
cookie a change needs the session's form key in ``X-Form-Key`` too, which no other site can read.

*Trust* is for the laptop: as long as nobody has taken possession of a server (there is no person and no token) and it
listens on the loopback only, whoever reaches it is an operator and names itself in ``X-Vedette-Actor``. Requests whose
``Host`` is no name of this machine are not trusted: they came through a proxy, or through a page that had its name
point here. The first person or token ends it, for good.
"""

import hmac
from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import Request

from vedette.control.people import People
from vedette.governance.roles import Caller, Permission, Role, permit
from vedette.kernel.errors import Denied

COOKIE = "vedette_session"
FORM_KEY = "X-Form-Key"
_TRUSTED = Caller(name="", role=Role.OPERATOR, kind="trusted")
_READS = frozenset({"plan_rollout", "replay_rollout", "plan_experiment"})
"""Operations that are a POST because they take a body, and change nothing."""


class Unknown(Denied):
    """It is not known who asks."""


@dataclass(frozen=True, slots=True)
class Door:
    """How requests are let in.

    Attributes:
        people: who may come in.
        trusting: whether requests without any proof are let in until somebody took possession.
        hosts: what ``Host`` such requests may name; None for anything.
    """

    people: People
    trusting: bool = True
    hosts: Collection[str] | None = None

    def caller(self, request: Request) -> Caller:
        """Say who asks.

        Raises:
            Unknown: the request proves nothing, or something that is not (or no longer) true.
        """
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            found = self.people.caller_of_token(secret.strip())
            if found is None:
                raise Unknown("this token is none, or was revoked, or is too old", hint="vedette token create NAME")
            return found
        if (cookie := request.cookies.get(COOKIE)) and (signed_in := self.people.caller_of_session(cookie)):
            caller, form_key = signed_in
            sent = request.headers.get(FORM_KEY, "")
            if request.method not in {"GET", "HEAD"} and not hmac.compare_digest(sent.encode(), form_key.encode()):
                raise Unknown("a change by a session needs the key of its forms", hint=f"send it as {FORM_KEY}")
            return caller
        if self.trusts(request):
            return _TRUSTED
        raise Unknown(
            "this server asks who you are",
            hint="make a token on it (`vedette token create NAME --role operator`) and set VEDETTE_TOKEN",
        )

    def trusts(self, request: Request) -> bool:
        """Say whether a request without any proof is let in."""
        known = self.hosts is None or request.headers.get("host", "") in self.hosts
        return self.trusting and known and not self.people.anybody()


def enter(request: Request) -> None:
    """Let a request of the API in: a dependency of every route, so that none is open by being forgotten.

    Raises:
        Unknown: it is not known who asks.
        Denied: the caller's role does not allow it.
    """
    door: Door = request.app.state.door
    request.state.caller = caller = door.caller(request)
    reads = request.method in {"GET", "HEAD"} or request.scope["route"].name in _READS
    permit(caller, Permission.READ if reads else Permission.OPERATE)


def loopback_hosts(port: int) -> frozenset[str]:
    """Give the names by which a machine reaches its own port."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")) | (
        frozenset({"127.0.0.1", "localhost", "[::1]"}) if port == 80 else frozenset()
    )
