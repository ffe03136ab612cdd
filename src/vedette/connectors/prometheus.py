"""Asking a Prometheus, or what speaks its HTTP API, for the samples of counters as they were scraped."""

import json
import os
import ssl
import time
from collections.abc import Mapping
from typing import Any, Self

import httpx
import numpy as np

from vedette.evidence.counters import Series
from vedette.evidence.source import PrometheusSource
from vedette.kernel.errors import InvalidInput, Unavailable

LARGEST = 16 << 20
"""Bytes of one answer: more than half a million samples."""


class Asker:
    """One connection to a source's Prometheus, for a few questions in a row; use it as a context.

    Args:
        source: where, and by which environment variables' secrets.
        timeout: seconds for one whole answer.
        environment: where the secrets are; this process's unless given.

    Raises:
        Unavailable: a secret that the source names is not set here.
    """

    def __init__(
        self, source: PrometheusSource, *, timeout: float = 5.0, environment: Mapping[str, str] | None = None
    ) -> None:
        environment = os.environ if environment is None else environment
        self._url, self._timeout = source.prometheus.rstrip("/"), timeout
        headers, auth = {}, None
        if source.token_env:
            headers["authorization"] = f"Bearer {_secret(environment, source.token_env)}"
        elif source.username:
            auth = httpx.BasicAuth(source.username, _secret(environment, source.password_env))
        # Loading certificates takes longer than the questions do; without TLS a context that trusts nobody will do.
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self._url.startswith("http://") else True
        self._client = httpx.Client(headers=headers, auth=auth, timeout=timeout, verify=trust)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def samples(self, selector: str, *, since: float, until: float) -> tuple[Series, ...]:
        """Give every sample of the selector's series from ``since`` to ``until`` (Unix seconds).

        Raises:
            Unavailable: it did not answer in time, refused, or answered with a part of what it has.
            InvalidInput: the answer is no samples of counters, or too large.
        """
        query = {"query": f"{selector}[{max(1, round(1000 * (until - since)))}ms]", "time": f"{until:.3f}"}
        try:
            with self._client.stream("GET", f"{self._url}/api/v1/query", params=query) as answer:
                body, code = self._read(answer), answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self._url} did not answer: {str(error) or type(error).__name__}") from error
        return tuple(_series(each) for each in self._result(body, code))

    def _read(self, answer: httpx.Response) -> bytes:
        """Read a whole answer, neither too large nor too slow: a timeout of httpx is one between two bytes."""
        deadline, parts, size = time.monotonic() + self._timeout, [], 0
        for part in answer.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise InvalidInput(
                    f"{self._url} answered more than {LARGEST >> 20} MB",
                    hint="let the selector name fewer series",
                )
            if time.monotonic() > deadline:
                raise Unavailable(f"{self._url} did not answer within {self._timeout:g} s")
        return b"".join(parts)

    def _result(self, body: bytes, code: int) -> list[Any]:
        """Take the answer out of its envelope, or say what Prometheus says is wrong."""
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        if not isinstance(said, dict) or said.get("status") not in {"success", "error"}:
            raise Unavailable(f"{self._url} answered {code}, and not as a Prometheus does")
        if said["status"] == "error":
            raise Unavailable(f"{self._url} answered {code}: {said.get('errorType')}: {str(said.get('error'))[:300]}")
        if warnings := said.get("warnings"):
            raise Unavailable(f"{self._url} answered in part: {'; '.join(map(str, warnings))[:300]}")
        data = said.get("data")
        found = data.get("result") if isinstance(data, dict) and data.get("resultType") == "matrix" else None
        if not isinstance(found, list):
            raise InvalidInput(f"{self._url} answered no samples")
        return found


def _series(found: Any) -> Series:  # noqa: ANN401 - a part of somebody else's JSON
    try:
        if "histograms" in found:
            raise InvalidInput("the selector finds native histograms, which are no counters")
        pairs = found["values"]
        return Series(
            labels=frozenset((str(name), str(value)) for name, value in found["metric"].items()),
            times=np.array([float(at) for at, _ in pairs]),
            values=np.array([float(value) for _, value in pairs]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"the answer holds no samples: {error!r}") from error


def _secret(environment: Mapping[str, str], name: str) -> str:
    secret = environment.get(name, "").strip()
    if not secret:
        raise Unavailable(f"environment variable {name} holds no secret on this server")
    return secret
