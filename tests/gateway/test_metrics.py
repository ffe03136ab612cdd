"""The gateway's own figures."""

import re

from vedette.gateway.metrics import Metrics

SAMPLE = re.compile(r'[a-z_]+(\{([a-z]+="([^"\\\n]|\\.)*"(,|(?=\})))+\})? [0-9.e+-]+')


def test_metrics_tell_weight_revision_requests_and_errors(stage):
    """The text names the canary's weight, the plan's revision, and what became of the requests by assigned version."""
    stage.publish(stage.plan(canary="500", percent=100, revision=9, retries=0))
    stage.chat()
    stage.chat(model="nobody")
    stage.outcomes(1)
    answer = stage.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    assert all(line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line) for line in lines)
    for expected in (
        'vedette_rollout_weight{domain="payments",version="v2"} 1.0',
        'vedette_plan_revision{domain="payments"} 9',
        'vedette_requests_total{domain="payments",version="v2",status="ok"} 1',
        'vedette_request_errors_total{domain="payments",version="v2"} 1',
        'vedette_request_fallbacks_total{domain="payments",version="v2"} 1',
        'vedette_request_duration_seconds_count{domain="payments",version="v2"} 1',
        'vedette_request_duration_seconds_bucket{domain="payments",version="v2",le="+Inf"} 1',
        'vedette_requests_turned_away_total{status="404"} 1',
        "vedette_outcomes_shipped_total 1",
    ):
        assert expected in lines


def test_histogram_counts_up():
    """Buckets hold everything up to their bound, the last one all."""
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.3, 1000.0):
        metrics.of("d", "v").observe("ok", seconds, error=False, fallback=False)
    text = metrics.text([], []).decode()
    assert 'le="0.005"} 2\n' in text
    assert 'le="0.5"} 3\n' in text
    assert 'le="120.0"} 3\n' in text
    assert 'le="+Inf"} 4\n' in text
    assert "vedette_request_duration_seconds_sum" in text


def test_labels_are_escaped():
    """A name with quotes or line ends cannot break the text."""
    metrics = Metrics()
    metrics.of('a"b\\c\nd', "v").observe("ok", 0.1, error=False, fallback=False)
    line = next(
        line for line in metrics.text([], []).decode().splitlines() if line.startswith("vedette_requests_total{")
    )
    assert SAMPLE.fullmatch(line)
    assert r'domain="a\"b\\c\nd"' in line
