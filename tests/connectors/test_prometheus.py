"""Asking a Prometheus: samples as they were scraped, secrets by name, and every failure said as it is."""

import base64
import json
from typing import Any

import pytest
from tests.certificates import certified, needs_openssl
from tests.connectors.fake_prometheus import serving

from vedette.connectors import prometheus
from vedette.connectors.prometheus import Asker
from vedette.evidence.source import PrometheusSource
from vedette.kernel.errors import InvalidInput, Unavailable

QUERY = 'n{version="v2"}'


@pytest.fixture
def server():
    """A scripted Prometheus with two series of v2."""
    with serving() as made:
        for at, value in ((10.0, 0), (20.0, 3), (30.0, 7)):
            made.scrape(at, "n", value, version="v2", code="200")
        made.scrape(20.0, "n", 1, version="v2", code="500")
        made.scrape(20.0, "n", 99, version="v1", code="200")
        yield made


def source(url: str, **fields: Any) -> PrometheusSource:
    """Make a source at this address."""
    return PrometheusSource(
        prometheus=url, bad='n{version="$version",code="500"}', total='n{version="$version"}', **fields
    )


def ask(url: str, environment: dict[str, str] | None = None, *, timeout: float = 5.0, **fields: Any):
    """Ask for the samples of v2."""
    with Asker(source(url, **fields), timeout=timeout, environment=environment or {}) as asker:
        return asker.samples(QUERY, since=15.0, until=30.0)


def test_samples_are_given_as_they_were_scraped(server):
    """Every series with every sample of the time asked for, and no series of another version."""
    found = {dict(it.labels)["code"]: list(zip(it.times, it.values, strict=True)) for it in ask(server.url + "/")}
    assert found == {"200": [(20.0, 3.0), (30.0, 7.0)], "500": [(20.0, 1.0)]}
    assert server.asked == [QUERY + "[15000ms]"]
    assert "authorization" not in server.headers


def test_secrets_are_read_from_the_environment(server):
    """A bearer token, or a name with a password, comes from the variable that the source names."""
    token: dict[str, Any] = {"token_env": "MESH_TOKEN"}
    password: dict[str, Any] = {"username": "ada", "password_env": "MESH_PASSWORD"}
    ask(server.url, {"MESH_TOKEN": " t0ken\n"}, **token)
    assert server.headers["authorization"] == "Bearer t0ken"
    ask(server.url, {"MESH_PASSWORD": "s3cret"}, **password)
    assert base64.b64decode(server.headers["authorization"].removeprefix("Basic ")) == b"ada:s3cret"
    with pytest.raises(Unavailable, match="MESH_TOKEN holds no secret"):
        ask(server.url, **token)


@pytest.mark.parametrize(
    ("code", "body", "error", "said"),
    [
        (
            400,
            {"status": "error", "errorType": "bad_data", "error": "parse error: unexpected end"},
            Unavailable,
            "answered 400: bad_data: parse error: unexpected end",
        ),
        (200, {"status": "success", "warnings": ["store-2 is gone"], "data": {}}, Unavailable, "in part: store-2 is"),
        (302, None, Unavailable, "answered 302, and not as a Prometheus does"),
        (401, None, Unavailable, "answered 401"),
        (200, ["x"], Unavailable, "not as a Prometheus does"),
        (200, {"status": "success", "data": {"resultType": "vector", "result": []}}, InvalidInput, "no samples"),
        (200, {"status": "success", "data": None}, InvalidInput, "no samples"),
        (
            200,
            {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "histograms": []}]}},
            InvalidInput,
            "native histograms",
        ),
        (
            200,
            {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "x"]]}]}},
            InvalidInput,
            "holds no samples",
        ),
        (200, {"status": "success", "data": {"resultType": "matrix", "result": [7]}}, InvalidInput, "holds no samples"),
    ],
)
def test_failures_are_said_as_they_are(server, code, body, error, said):
    """What Prometheus says is wrong is passed on; parts of an answer, and answers of others, are none."""
    server.answer = (code, b"<html>" if body is None else json.dumps(body).encode())
    with pytest.raises(error, match=said):
        ask(server.url)


def test_answer_without_end_is_cut(server, monkeypatch):
    """An answer larger than is read is refused, and the refusal says what to do."""
    monkeypatch.setattr(prometheus, "LARGEST", 1000)
    server.answer = (200, b" " * 100_000)
    with pytest.raises(InvalidInput, match="fewer series"):
        ask(server.url)


def test_silence_is_not_waited_for(server):
    """A server that takes a question and says nothing, and one that is not there, did not answer."""
    server.held.clear()
    with pytest.raises(Unavailable, match="did not answer"):
        ask(server.url, timeout=0.05)
    with pytest.raises(Unavailable, match="did not answer"):
        ask("http://127.0.0.1:1")


def test_answer_that_trickles_is_cut(server, monkeypatch):
    """An answer of which a byte comes now and then, never late enough for the connection, has to end in time too."""
    seconds = iter([0.0, 4.0, 6.0])
    monkeypatch.setattr("vedette.connectors.prometheus.time.monotonic", lambda: next(seconds, 6.0))
    server.answer = (200, b" " * 300_000)
    with pytest.raises(Unavailable, match="within 5 s"):
        ask(server.url)


@needs_openssl
def test_certificate_is_checked(tmp_path, monkeypatch):
    """A server behind TLS is asked when somebody vouches for its certificate, and only then."""
    certificate, context = certified(tmp_path)
    with serving(context) as server:
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            ask(server.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert ask(server.url) == ()
