"""What a source may say: raw counters of one version, names filled in as they are, and no secret."""

import pytest

from vedette.evidence.metric import Metric, MetricKind
from vedette.evidence.source import PrometheusSource
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput

TOTAL = 'requests_total{version="$version"}'
BAD = 'requests_total{version="$version",code=~"5.."}'


def source(**fields: object) -> PrometheusSource:
    """Make a source of two counters."""
    said: dict[str, object] = {"prometheus": "http://prometheus:9090", "bad": BAD, "total": TOTAL}
    return load(PrometheusSource, said | fields)


def test_names_are_filled_in():
    """$version and $domain stand for the names, wherever a string holds them; all else stays as it is."""
    made = source(bad='requests_total{domain="$domain",pod=~"$domain-$version-.*",code=~"5..$"}')
    text = made.selector("bad", domain="pay", version="v2")
    assert text == 'requests_total{domain="pay",pod=~"pay-v2-.*",code=~"5..$"}'
    assert made.selector("total", domain="pay", version="v2") == 'requests_total{version="v2"}'


@pytest.mark.parametrize(
    ("name", "text", "pattern"),
    [
        ("v1.2", "v1.2", r"v1\\.2"),
        ('a"} or up{x="', 'a\\"} or up{x=\\"', 'a\\"\\\\} or up\\\\{x=\\"'),
        ("a\\b\nc", "a\\\\b\\nc", "a\\\\\\\\b\\nc"),
    ],
)
def test_names_cannot_leave_their_string(name, text, pattern):
    """A name is escaped as PromQL's strings want it, and in a regular expression it means its own letters."""
    made = source(bad='n{a="$version",b=~"$version"}')
    assert made.selector("bad", domain="pay", version=name) == f'n{{a="{text}",b=~"{pattern}"}}'


@pytest.mark.parametrize(
    "selector",
    [
        'requests_total{version="$version"}',
        '{__name__="requests_total", version="$version",}',
        ' job:requests:total { version = "$version" , code !~ "2..|3.." } ',
        'requests_total{version="$version",path="a{b}[5m](c)\\"d"}',
    ],
)
def test_plain_selectors_are_taken(selector):
    """Every plain selector of PromQL with double-quoted strings is one."""
    assert source(total=selector, bad=BAD).total == selector


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ('sum(increase(requests_total{version="$version"}[5m]))', "no selector"),
        ('requests_total{version="$version"}[5m]', "no selector"),
        ('requests_total{version="$version"} offset 5m', "no selector"),
        ('a{version="$version"} or b', "no selector"),
        ("requests_total{version='$version'}", "no selector"),
        ("requests_total{version=$version}", "no selector"),
        ("", "no selector"),
        ("requests_total", r"\$version"),
        ('requests_total{version="v2"}', r"\$version"),
        ('requests_total{version="$version",service="$service"}', r"no \$service"),
    ],
)
def test_what_is_no_counter_of_one_version_is_refused(selector, said):
    """Functions, ranges, and selectors of no version or of unknown names are refused."""
    with pytest.raises(InvalidInput, match=said):
        source(bad=selector)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prometheus": "prometheus:9090"}, "no base URL"),
        ({"prometheus": "http://ada:secret@prometheus:9090"}, "no password"),
        ({"bad": TOTAL}, "the same counter"),
        ({"tokenEnv": "T", "username": "ada", "passwordEnv": "P"}, "tokenEnv, or"),
        ({"username": "ada"}, "passwordEnv"),
        ({"tokenEnv": "VEDETTE_TOKEN"}, "secret for others"),
        ({"passwordEnv": "not a name", "username": "ada"}, "secret for others"),
        ({"dispersion": 0.5}, "dispersion"),
        ({"stale": 0}, "stale"),
        ({"token": "secret"}, "token"),
    ],
)
def test_wrong_sources_are_refused(fields, said):
    """Addresses that are none, passwords written down, and settings without meaning are refused."""
    with pytest.raises(InvalidInput, match=said):
        source(**fields)


def test_only_a_rate_that_is_better_lower_has_a_source():
    """A mean, a ratio or a quantile has no counts of bad events, and bad events are better lower."""
    made = Metric(name="mesh", kind=MetricKind.RATE, source=source())
    assert load(Metric, dump(made)) == made
    for fields in (
        {"kind": MetricKind.MEAN},
        {"kind": MetricKind.RATIO, "denominator": "requests"},
        {"kind": MetricKind.QUANTILE},
        {"kind": MetricKind.RATE, "better": "higher"},
    ):
        with pytest.raises(InvalidInput, match="source"):
            Metric(name="mesh", measure="mesh", source=source(), **fields)
    with pytest.raises(InvalidInput, match="measure"):
        Metric(name="errors-too", kind=MetricKind.RATE)
