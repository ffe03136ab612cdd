"""Backends behind TLS: reached when their certificate is trusted, and only then."""

import os
import shutil
import ssl
import subprocess

import pytest
from tests.gateway.stage import Stage
from tests.gateway.upstream import MockUpstream

from vedette.routing.plan import TrafficPlan

pytestmark = pytest.mark.skipif(  # on CI its absence fails the tests instead
    not shutil.which("openssl") and not os.environ.get("CI"), reason="openssl, which makes the certificate, is not here"
)


@pytest.fixture
def secure(stage, tmp_path):
    """A backend behind TLS, and its certificate."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    upstream = MockUpstream()
    stage.run(upstream.start(context))
    yield upstream, certificate
    stage.run(upstream.stop())


def plan_of(stage: Stage, upstream: MockUpstream, host: str) -> TrafficPlan:
    """Plan a canary behind TLS for everyone."""
    backend = stage.backend("ok", url=f"https://{host}:{upstream.port}/v1")
    return stage.plan("ok", canary="ok", percent=100, backends={"v2": backend})


def test_backend_behind_tls(stage, secure, monkeypatch):
    """A trusted backend is asked over TLS, in whole answers and in streams, over a kept connection."""
    upstream, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    stage.publish(plan_of(stage, upstream, "localhost"))
    answers = [stage.chat(stream=stream) for stream in (False, True, False)]
    assert [answer.headers["x-vedette-version"] for answer in answers] == ["v2"] * 3
    assert upstream.connections == 1


@pytest.mark.parametrize(("host", "trusted"), [("localhost", False), ("127.0.0.1", True)])
def test_backend_nobody_vouches_for(stage, secure, monkeypatch, host, trusted):
    """An unknown certificate, or one for another name, is no connection: the canary has failed, stable answers."""
    upstream, certificate = secure
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    stage.publish(plan_of(stage, upstream, host))
    assert stage.chat().headers["x-vedette-version"] == "v1"
    assert stage.outcome().measures["error"] == 1
    assert upstream.asked == []
