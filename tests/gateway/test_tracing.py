"""Traces: context is passed on, spans are exported of a share, in the collector's own language, at no one's expense."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.gateway.stage import wait_for

from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway.exporting import Collector
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.tracing import Tracer
from vedette.kernel.errors import InvalidInput
from vedette.routing.choose import Choice

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "them=1"}


class Collecting(ThreadingHTTPServer):
    """A collector that keeps what it is sent."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.taken = status, list[tuple[str, dict[str, str], Any]]()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Any]:
        """All spans so far."""
        found = [each for path, _, each in self.taken if path == "/v1/traces"]
        return [span for each in found for span in each["resourceSpans"][0]["scopeSpans"][0]["spans"]]

    def figures(self) -> dict[str, Any]:
        """The newest figures, by name."""
        said = [each for path, _, each in self.taken if path == "/v1/metrics"]
        metrics = said[-1]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"] if said else []
        return {metric["name"]: metric.get("sum") or metric.get("histogram") for metric in metrics}


class _Handler(BaseHTTPRequestHandler):
    server: Collecting

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collecting(status: int = 200) -> Iterator[Collecting]:
    """Run a collector."""
    with Collecting(status) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        yield collector
        collector.shutdown()


@pytest.fixture
def collector():
    """A collector that takes everything."""
    with collecting() as running:
        yield running


def said(span: Any) -> dict[str, Any]:
    """The attributes of a span, as plain values."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def ask(stage, headers: dict[str, str] | None = None, **fields: object) -> Any:
    """Chat, with header fields."""
    body = {"model": "payments", "user": "u1", "messages": [{"role": "user", "content": "a secret"}], **fields}
    return stage.ask(body, headers=headers or {})


def test_without_a_collector_the_context_is_passed_on_as_it_came(stage):
    """A caller's trace context reaches the backend byte for byte; a request without one gets none."""
    stage.publish(stage.plan())
    ask(stage, SAMPLED)
    ask(stage)
    with_context, without = stage.upstream.asked
    assert {name: with_context.headers[name] for name in SAMPLED} == SAMPLED
    assert "traceparent" not in without.headers


def test_a_sampled_request_is_a_span_of_its_caller_s_trace(make_stage, collector):
    """The span continues the caller's trace, is the backend's parent, and says who served what, and for how much."""
    stage = make_stage(otlp_endpoint=collector.url, otlp_interval=0.05, trace_share=0.0)
    stage.publish(stage.plan(canary="500", percent=100))
    ask(stage, SAMPLED)
    wait_for(collector.spans)
    [span] = collector.spans()
    assert (span["traceId"], span["parentSpanId"], span["traceState"], span["kind"]) == (TRACE, PARENT, "them=1", 2)
    assert [asked.headers["traceparent"] for asked in stage.upstream.asked] == [f"00-{TRACE}-{span['spanId']}-01"] * 2
    assert stage.upstream.asked[0].headers["tracestate"] == "them=1"
    outcome = stage.outcome()
    assert said(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vedette",
        "gen_ai.request.model": "payments",
        "gen_ai.response.model": "v1",
        "vedette.version.assigned": "v2",
        "vedette.plan.revision": "1",
        "vedette.request.id": outcome.id,
        "gen_ai.usage.input_tokens": "11",
        "gen_ai.usage.output_tokens": "2",
        "vedette.fallback": "1",
    }
    assert span["name"] == "chat payments"
    assert 0 < int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) < 20e9
    assert "status" not in span


def test_content_is_exported_nowhere(make_stage, collector):
    """Neither the question nor the answer is in anything a collector is sent."""
    stage = make_stage(otlp_endpoint=collector.url, otlp_interval=0.05, trace_share=100.0)
    stage.publish(stage.plan())
    assert ask(stage).status == 200
    wait_for(lambda: collector.spans() and collector.figures())
    assert "secret" not in json.dumps(collector.taken)
    assert "from ok" not in json.dumps(collector.taken)


@pytest.mark.parametrize("parent", [f"00-{TRACE}-{PARENT}-00", f"00-{'0' * 32}-{PARENT}-01", "nonsense"])
def test_a_request_that_is_not_to_be_recorded_is_not(make_stage, collector, parent):
    """A caller that does not record is passed on as it came; a context that is none counts as none, and has no span."""
    stage = make_stage(otlp_endpoint=collector.url, otlp_interval=0.05, trace_share=0.0)
    stage.publish(stage.plan())
    ask(stage, {"traceparent": parent})
    assert stage.upstream.asked[0].headers["traceparent"] == parent
    wait_for(lambda: len(collector.taken) > 2)
    assert collector.spans() == []


def test_a_failure_is_said_in_its_span(make_stage, collector):
    """A request that failed has the status error and says which; streams say when they began."""
    stage = make_stage(otlp_endpoint=collector.url, otlp_interval=0.05, trace_share=100.0)
    stage.publish(stage.plan(stable="error-middle"))
    ask(stage, stream=True)
    wait_for(collector.spans)
    [span] = collector.spans()
    assert span["status"] == {"code": 2}
    assert "parentSpanId" not in span
    assert said(span)["error.type"] == "error"
    assert said(span)["vedette.time_to_first_token_ms"] >= 0


def test_figures_are_exported_from_the_sums(make_stage, collector):
    """Durations are a histogram by domain and version, the rest are sums; they grow from one export to the next."""
    stage = make_stage(otlp_endpoint=collector.url, otlp_interval=0.05)
    stage.environment["OTEL_EXPORTER_OTLP_HEADERS"] = "api-key=a%20b"
    stage.environment["OTEL_SERVICE_NAME"] = "edge"
    stage.publish(stage.plan())
    for number in range(3):
        assert stage.chat(user=f"u{number}").status == 200
    stage.chat(model="nothing")

    def counted() -> bool:
        points = collector.figures().get("vedette.requests", {}).get("dataPoints", [])
        return [point["asInt"] for point in points] == ["3"]

    wait_for(counted)
    [point] = collector.figures()["gen_ai.server.request.duration"]["dataPoints"]
    assert said(point) == {"gen_ai.request.model": "payments", "vedette.version.assigned": "v1"}
    assert (point["count"], sum(map(int, point["bucketCounts"]))) == ("3", 3)
    assert len(point["bucketCounts"]) == len(point["explicitBounds"]) + 1
    [away] = collector.figures()["vedette.requests.turned_away"]["dataPoints"]
    assert (said(away), away["asInt"]) == ({"http.response.status_code": "404"}, "1")
    path, headers, body = collector.taken[-1]
    assert (path, headers["api-key"], headers["content-type"]) == ("/v1/metrics", "a b", "application/json")
    resource = said(body["resourceMetrics"][0]["resource"])
    assert resource["service.name"] == "edge"
    assert resource["service.instance.id"].endswith("/gateway")


@pytest.mark.parametrize("status", [0, 503])
def test_a_collector_that_is_away_costs_spans_and_nothing_else(make_stage, status, caplog):
    """Requests are answered while nobody takes the spans; what is lost is counted, and the log says so once."""
    with collecting(status or 200) as collector:
        url = collector.url if status else "http://127.0.0.1:9"
        stage = make_stage(otlp_endpoint=url, otlp_interval=0.02, trace_share=100.0)
        stage.publish(stage.plan())
        assert [stage.chat(user=f"u{number}").status for number in range(3)] == [200] * 3
        wait_for(lambda: stage.gateway.app.recorder.tracer.dropped == 3)
        assert stage.chat().status == 200
        stage.stop()
    assert sum("exporting to" in record.message for record in caplog.records) == 1


def test_spans_are_bounded(stage):
    """More spans than the exporter takes are dropped and counted, those under way as well as those that wait."""
    tracer, plan = Tracer(1.0), stage.plan()
    choice = Choice("v1", "stable", 1, -1)
    for number in range(5000):
        tracer.begin(str(number), "/v1/chat/completions", [])
    assert tracer.dropped == 5000 - 4096
    for number in range(5000):
        tracer.end(str(number), plan, choice, served="v1", status=OutcomeStatus.OK, measures={})
    assert (len(tracer.take()), tracer.take()) == (4096, [])


def test_where_to_export_to_is_read_as_opentelemetry_has_it():
    """The setting comes first, then the environment; neither is no export, and what is no URL is refused."""
    said = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318/"}
    assert Collector.of(GatewaySettings(), {}, "me") is None
    found = Collector.of(GatewaySettings(), said, "me")
    assert found is not None
    assert found.url == "http://otel:4318"
    first = Collector.of(GatewaySettings(otlp_endpoint="https://other"), said, "me")
    assert first is not None
    assert first.url == "https://other"
    with pytest.raises(InvalidInput, match="no collector"):
        Collector.of(GatewaySettings(otlp_endpoint="file:///etc/passwd"), {}, "me")
