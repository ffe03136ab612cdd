"""Backends behind TLS: reached when their certificate is trusted, and only then."""

import pytest
from tests.certificates import certified, needs_openssl
from tests.gateway.stage import Stage
from tests.gateway.upstream import MockUpstream

from vedette.routing.plan import TrafficPlan

pytestmark = needs_openssl


@pytest.fixture
def secure(stage, tmp_path):
    """A backend behind TLS, and its certificate."""
    certificate, context = certified(tmp_path)
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
