"""OTLP over HTTP, in its JSON form: spans and figures as OpenTelemetry's collectors take them.

Figures are exported from the sums the gateway keeps anyway, never made anew for a request. Numbers of 64 bits are
written as text, as protobuf's JSON has it.

Source: OpenTelemetry protocol 1.x (opentelemetry-proto), encoding of protobuf 3 as JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from vedette.gateway.metrics import BOUNDS, Metrics
from vedette.gateway.tracing import NAMES, Span

_SERVER: Final = 2  # SpanKind
_FAILED: Final = 2  # StatusCode
_CUMULATIVE: Final = 2  # AggregationTemporality
_SCOPE: Final = {"name": "vedette.gateway"}

Json = dict[str, Any]


def spans_of(resource: Mapping[str, str], spans: Iterable[Span]) -> Json:
    """Write an ExportTraceServiceRequest."""
    scope = {"scope": _SCOPE, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": _resource(resource), "scopeSpans": [scope]}]}


def figures_of(resource: Mapping[str, str], figures: Metrics, begun: int, now: int) -> Json:
    """Write an ExportMetricsServiceRequest of what was counted from ``begun`` to ``now``, nanoseconds since 1970."""
    times = {"startTimeUnixNano": str(begun), "timeUnixNano": str(now)}
    metrics = [_durations(figures, times), *_counters(figures, times)]
    scope = {"scope": _SCOPE, "metrics": metrics}
    return {"resourceMetrics": [{"resource": _resource(resource), "scopeMetrics": [scope]}]}


def _span(span: Span) -> Json:
    made: Json = {
        "traceId": span.trace,
        "spanId": span.id,
        "name": span.name,
        "kind": _SERVER,
        "startTimeUnixNano": str(span.begun),
        "endTimeUnixNano": str(span.ended),
        "attributes": _attributes(span.attributes),
        "flags": 1,
    }
    if span.parent:
        made["parentSpanId"] = span.parent
    if span.state:
        made["traceState"] = span.state
    if span.failed:
        made["status"] = {"code": _FAILED}
    return made


def _durations(figures: Metrics, times: Json) -> Json:
    points = [
        {
            "attributes": _attributes({NAMES["domain"]: domain, NAMES["assigned"]: version}),
            **times,
            "count": str(sum(each.buckets)),
            "sum": each.seconds,
            "bucketCounts": [str(count) for count in each.buckets],
            "explicitBounds": list(BOUNDS),
        }
        for (domain, version), each in sorted(figures.versions.items())
    ]
    histogram = {"aggregationTemporality": _CUMULATIVE, "dataPoints": points}
    return {"name": "gen_ai.server.request.duration", "unit": "s", "histogram": histogram}


def _counters(figures: Metrics, times: Json) -> Iterable[Json]:
    names = ((NAMES["domain"], NAMES["assigned"]), (NAMES["domain"], NAMES["assigned"], "vedette.status"))
    answered = {
        (*of, status): count for of, each in figures.versions.items() for status, count in each.answered.items()
    }
    yield _counter("vedette.requests", "{request}", names[1], answered, times)
    for name, attribute in (
        ("vedette.request.errors", "errors"),
        ("vedette.request.fallbacks", "fallbacks"),
        ("vedette.request.retries", "retries"),
        ("vedette.request.hedges", "hedges"),
    ):
        counted = {of: getattr(each, attribute) for of, each in figures.versions.items()}
        yield _counter(name, "{request}", names[0], counted, times)
    exposed = (NAMES["domain"], "vedette.experiment", "vedette.arm")
    yield _counter("vedette.experiment.exposures", "{request}", exposed, figures.exposures, times)
    away = {(str(status),): count for status, count in figures.turned_away.items()}
    yield _counter("vedette.requests.turned_away", "{request}", ("http.response.status_code",), away, times)
    used = (NAMES["domain"], "vedette.of")
    yield _counter("vedette.used", "1", used, figures.used, times)
    yield _counter("vedette.outcomes.lost", "{outcome}", (), {(): figures.outcomes_lost}, times)


def _counter(name: str, unit: str, labels: Sequence[str], counted: Mapping[Any, float], times: Json) -> Json:
    points = [
        {
            "attributes": _attributes(dict(zip(labels, of, strict=True))),
            **times,
            **({"asInt": str(count)} if isinstance(count, int) else {"asDouble": count}),
        }
        for of, count in sorted(counted.items())
    ]
    total = {"aggregationTemporality": _CUMULATIVE, "isMonotonic": True, "dataPoints": points}
    return {"name": name, "unit": unit, "sum": total}


def _resource(said: Mapping[str, str]) -> Json:
    return {"attributes": _attributes(said)}


def _attributes(said: Mapping[str, str | int | float]) -> list[Json]:
    return [{"key": name, "value": _value(value)} for name, value in said.items()]


def _value(value: str | float) -> Json:
    if isinstance(value, str):
        return {"stringValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"doubleValue": value}
