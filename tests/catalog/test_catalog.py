"""Domains, versions and backends: what may be said of them, and what their lives allow."""

import pytest

from vedette.catalog.backend import LocalBackend, OpenAIBackend
from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.catalog.lifecycle import LIFECYCLE, DomainEvent, DomainState, follow
from vedette.catalog.version import VersionSpec
from vedette.evidence.metric import BUILT_IN
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput, NotFound, Refused


@pytest.mark.parametrize("state", list(DomainState))
@pytest.mark.parametrize("event", list(DomainEvent))
def test_life_of_a_domain_is_the_table(state, event):
    """What the table does not know is refused by name, with what is allowed."""
    if (state, event) in LIFECYCLE:
        assert follow(state, event) is LIFECYCLE[state, event]
        return
    with pytest.raises(Refused, match=f"cannot {event} a domain that is {state}"):
        follow(state, event)


def test_deleted_is_the_end():
    """Nothing follows deletion, and every other state leads to it."""
    assert {state for state, _ in LIFECYCLE} == {DomainState.ACTIVE, DomainState.ARCHIVED}
    assert {state for (state, event), _ in LIFECYCLE.items() if event is DomainEvent.DELETE} == {
        DomainState.ACTIVE,
        DomainState.ARCHIVED,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"retries": 6},
        {"retries": -1},
        {"timeout": "soon"},
        {"assignment": {"unit": "moon"}},
        {"metrics": [{"name": "errors", "kind": "rate", "measure": "error"}]},
        {"metrics": [{"name": "a", "kind": "rate", "measure": "x"}, {"name": "a", "kind": "mean", "measure": "y"}]},
        {"metrics": [{"name": "a", "kind": "ratio", "measure": "x"}]},
        {"metrics": [{"name": "a", "kind": "mean", "measure": "x", "denominator": "y"}]},
        {"metrics": [{"name": "a", "kind": "quantile", "measure": "x", "quantile": 1}]},
        {"metrics": [{"name": "a", "kind": "rate", "measure": "X Y"}]},
        {"cache": True},
    ],
    ids=repr,
)
def test_configuration_without_meaning_is_refused(wrong):
    """Figures out of range, unknown fields, and metrics declared twice or that cannot be computed are refused."""
    with pytest.raises(InvalidInput):
        load(DomainSpec, {"config": wrong})


def test_metric_is_found_by_name_declared_or_built_in():
    """A domain knows its own metrics beside the built-in ones, and says which there are."""
    config = load(DomainConfig, {"metrics": [{"name": "quality", "kind": "rate", "measure": "correct"}]})
    assert config.metric("quality").measure == "correct"
    assert all(config.metric(metric.name) == metric for metric in BUILT_IN)
    with pytest.raises(NotFound, match="known here: errors, fallbacks"):
        config.metric("karma")


@pytest.mark.parametrize("url", ["", "host:80", "ftp://host", "http://", "http://host/v1?key=1", "http://host#x"])
def test_backend_needs_a_base_url(url):
    """Only an HTTP address without query or fragment can be a backend's base."""
    with pytest.raises(InvalidInput, match="no base URL"):
        OpenAIBackend(url=url, model="m")


@pytest.mark.parametrize("digest", ["", "a" * 63, "g" * 64, "A" * 64, "md5:" + "a" * 64])
def test_artefact_needs_its_digest(digest):
    """An artefact without a SHA-256 is refused; the prefix is optional."""
    with pytest.raises(InvalidInput, match="SHA-256"):
        LocalBackend(artefact="model.skops", digest=digest)
    assert LocalBackend(artefact="model.skops", digest="sha256:" + "a" * 64).format == "skops"


def test_version_reads_back_and_holds_no_secret():
    """A version's spec reads back from its JSON, and names where its key is found instead of holding it."""
    backend = {"kind": "openai", "url": "https://api.example.org/v1", "model": "m", "apiKeyEnv": "KEY", "timeout": "5s"}
    spec = load(VersionSpec, {"backend": backend, "parent": "v1", "metrics": {"accuracy": 0.9}})
    assert load(VersionSpec, dump(spec)) == spec
    assert isinstance(spec.backend, OpenAIBackend)
    assert (spec.backend.api_key_env, spec.backend.timeout) == ("KEY", 5.0)
    with pytest.raises(InvalidInput, match="unknown field"):
        load(VersionSpec, {"backend": backend | {"apiKey": "secret"}})
