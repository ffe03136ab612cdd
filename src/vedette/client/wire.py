"""One HTTP connection to a control API: requests out, records in, problem documents raised as the errors they were."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from vedette.kernel.documents import load
from vedette.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidInput,
    LeaseLost,
    NotFound,
    Refused,
    StaleRevision,
    Unavailable,
    VedetteError,
)
from vedette.store.pages import Page

T = TypeVar("T")

_RAISED: Mapping[str, type[VedetteError]] = {
    "invalid-input": InvalidInput,
    "malformed": InvalidInput,
    "unsupported-media-type": InvalidInput,
    "too-large": InvalidInput,
    "not-found": NotFound,
    "conflict": Conflict,
    "stale-revision": StaleRevision,
    "refused": Refused,
    "denied": Denied,
    "unknown-caller": Denied,
    "corrupt": Corrupt,
    "lease-lost": LeaseLost,
    "unavailable": Unavailable,
}
"""The end of a problem's type, and the error it was."""

_PAUSES = (0.2, 1.0)  # seconds before a request is sent again
_CHECK = "check the address, and that `vedette serve` runs there"


class Wire:
    """Sends requests below ``url`` as ``actor``, or as whom ``token`` says.

    What could not be sent, or was answered by 503, is sent again twice: reads may be, and every POST carries an
    idempotency key, so it happens once however often it arrives.
    """

    def __init__(
        self, url: str, actor: str, timeout: float, transport: httpx.BaseTransport | None, token: str = ""
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is no server", hint="write http://host:port")
        self.url, self.actor = url.rstrip("/"), actor
        proof = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=timeout, transport=transport, headers=proof)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, cls: type[T], path: str, **query: object) -> T:
        """Read one thing."""
        return self._read(cls, self._send("GET", path, query))

    def page(self, cls: type[T], path: str, **query: object) -> Page[T]:
        """Read a page of things."""
        answer = self._send("GET", path, query)
        return Page(items=tuple(self._read(cls, item) for item in answer["items"]), next=answer["next"])

    def lines(self, cls: type[T], path: str, **query: object) -> Iterator[T]:
        """Read things one a line, however many."""
        try:
            with self._http.stream("GET", path, params=_plain(query)) as answer:
                if not answer.is_success:
                    answer.read()
                    self._opened(answer)
                for line in answer.iter_lines():
                    yield self._read(cls, json.loads(line))
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"{self.url} broke off: {error}", hint="try again") from error

    def ask(self, cls: type[T], path: str, body: object) -> T:
        """Ask a question too long for an address; nothing is written."""
        return self._read(cls, self._send("POST", path, {}, body))

    def ask_lines(self, cls: type[T], path: str, lines: bytes, **query: object) -> T:
        """Send what counts once however often it arrives, a JSON document a line."""
        return self._read(cls, self._send("POST", path, query, lines))

    def send(
        self,
        cls: type[T],
        method: str,
        path: str,
        body: object = None,
        *,
        actor: str = "",
        expected: int | None = None,
        request_id: str = "",
        **query: object,
    ) -> T:
        """Ask for a change, at revision ``expected`` if that is given, and read what came of it.

        ``body`` is plain data, or the text of documents.
        """
        who = actor or self.actor
        if not who.strip() or not who.isascii() or not who.isprintable():
            raise InvalidInput(f"every change names its actor, in ASCII, not {who!r}", hint="pass actor=")
        headers = {"X-Vedette-Actor": who.strip()}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        if expected is not None:
            headers["If-Match"] = f'"{expected}"'
        if request_id:
            headers["X-Request-Id"] = request_id
        return self._read(cls, self._send(method, path, query, body, headers))

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
        again = _PAUSES if method in {"GET", "POST"} else ()
        request: dict[str, Any] = {"params": _plain(query), "headers": dict(headers or {})}
        if isinstance(body, str):
            request["content"] = body.encode()
            request["headers"]["Content-Type"] = "application/yaml"
        elif isinstance(body, bytes):
            request["content"] = body
            request["headers"]["Content-Type"] = "application/x-ndjson"
        elif body is not None:
            request["json"] = body
        for pause in (*again, None):
            try:
                answer = self._http.request(method, path, **request)
            except httpx.HTTPError as error:
                if pause is None or not isinstance(error, httpx.TransportError):
                    raise Unavailable(
                        f"{self.url} does not answer: {str(error) or type(error).__name__}", hint=_CHECK
                    ) from error
            else:
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or pause is None:
                    return self._opened(answer)
            time.sleep(pause)
        raise AssertionError("unreachable")  # pragma: no cover - the last round returns or raises

    def _opened(self, answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
        try:
            data = answer.json()
        except ValueError:
            data = None
        if answer.is_success and data is not None:
            return data
        slug = str(data.get("type", "")).rpartition(":")[2] if isinstance(data, dict) else ""
        if slug not in _RAISED:
            said = data.get("detail") if isinstance(data, dict) else answer.reason_phrase
            raise Unavailable(f"{self.url} answered {answer.status_code}: {said}", hint=_CHECK)
        raise _RAISED[slug](data["detail"], hint=data.get("hint", ""), **_details(data))

    def _read(self, cls: type[T], value: object) -> T:
        try:
            return load(cls, value)
        except InvalidInput as error:
            raise Unavailable(
                f"{self.url} answered what this version cannot read: {error.message}",
                hint="use the same version of vedette on both sides",
            ) from error


def named(name: str) -> str:
    """Make a name one part of a path, whatever it holds."""
    return quote(name, safe="") or "%00"


def _details(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.get("details", {}).items() if name not in {"message", "hint"}}


def _plain(query: Mapping[str, object]) -> dict[str, str | list[str]]:
    """Write query values as the API reads them; None is left out, and each item of a list is said by itself."""
    return {
        name: [_said(item) for item in value] if isinstance(value, list) else _said(value)
        for name, value in query.items()
        if value is not None
    }


def _said(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
