"""The page of one domain: who may ask it, and what its caches are worth."""

from datetime import timedelta

import pytest
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from tests.web import claims
from tests.web.claims import HIT, MISS, answered, verified

from vedette.catalog.backend import LocalBackend
from vedette.catalog.cache import Semantic
from vedette.catalog.domain import DomainSpec
from vedette.catalog.key import KeySpec
from vedette.catalog.shadow import Shadow
from vedette.connectors import pepper
from vedette.connectors.local import digest_of

SIMILAR = HIT | {"similar": 1.0}


@pytest.fixture(autouse=True)
def _own_pepper(monkeypatch):
    monkeypatch.setenv(pepper.VARIABLE, "a pepper for tests")


def card(site, name):
    """Read one card of the page of claims."""
    page = site.get("/domains/claims").text
    return page[page.index(f'id="{name}"') :].partition("</section>")[0]


def test_a_domain_shows_its_keys_and_when_they_end(viewer, plane):
    """Keys that open the domain stand on its page, with what limits them; ends that are near are marked."""
    claims.claims(plane)
    claims.keys(plane)
    plane.keys.create("gone", actor="ann")
    plane.keys.revoke("gone", actor="ann")
    keys = card(viewer, "keys")
    assert '<span class="badge act">' in keys
    assert "expires in 3 d</span>" in keys
    assert ">expires in 90 d</small>" in keys
    assert "&lt;b&gt;partner&lt;/b&gt;" in keys
    assert "60 requests a minute" in keys
    assert "gone" not in keys


def test_a_key_that_has_expired_is_shown_as_such(viewer, plane, monkeypatch):
    """Once its moment has passed a key is shown as expired."""
    claims.claims(plane)
    now = plane.instruments.now()
    plane.keys.create("brief", KeySpec(expires_at=now + timedelta(hours=1)), actor="ann")
    monkeypatch.setattr(plane.instruments, "now", lambda: now + timedelta(hours=4, minutes=1))
    assert "expired 3 h ago</span>" in card(viewer, "keys")


def test_a_domain_without_keys_says_how_to_make_one(viewer, furnished):
    """An open domain shows no keys; one that wants them and has none says that nobody is answered, and the command."""
    assert 'id="keys"' not in viewer.get("/domains/support").text
    claims.claims(furnished)
    keys = card(viewer, "keys")
    assert "nobody is answered" in keys
    assert "vedette key create mobile-app --domain claims" in keys


def test_a_domain_shows_how_the_version_in_its_shadow_fares(viewer, plane):
    """Copies, how many failed and how long they took stand beside callers' answers, which they do not count in."""
    claims.claims(plane, shadow=Shadow(version="v2", share=5))
    assert "No request has been copied" in card(viewer, "shadow")
    answered(plane, 98, {"error": 0.0, "latency_ms": 300.0})
    answered(plane, 2, {"error": 1.0, "latency_ms": 300.0})
    answered(plane, 9, {"error": 0.0, "latency_ms": 800.0, "shadow": 1.0}, version="v2")
    answered(plane, 1, {"error": 1.0, "latency_ms": 1800.0, "shadow": 1.0}, version="v2")
    said = card(viewer, "shadow")
    assert "v2 is asked 5% of the requests too" in said
    assert '<p class="big">10</p><p class="note">of 100 requests</p>' in said
    assert '<p class="big">10%</p><p class="note">1 of 10; of callers\' answers 2%</p>' in said
    assert '<p class="big">900 ms</p><p class="note">callers\' answers 300 ms</p>' in said
    assert "2%" in card(viewer, "traffic")
    assert 'id="shadow"' not in viewer.get("/domains/support").text


def test_a_domain_shows_what_its_cache_is_worth(viewer, plane):
    """Hit rate, hits and the time they saved stand on the page; false hits only where questions are compared."""
    claims.claims(plane)
    assert "No request has asked the cache" in card(viewer, "cache")
    answered(plane, 30, HIT)
    answered(plane, 70, MISS)
    said = card(viewer, "cache")
    assert '<p class="big">30%</p>' in said
    assert '<p class="big">24s</p>' in said  # 30 hits, 800 ms each
    assert "a hit took 2 ms, an answer 802 ms" in said
    assert "of 100 requests that asked</p>" in said
    assert "Hit rate by hour, last day; 30% over all" in said
    assert "False hits" not in said


@pytest.mark.parametrize(
    ("count", "false", "badge"),
    [(0, 0, "none verified yet"), (20, 1, "not certain yet"), (400, 80, "more than tolerated"), (900, 0, "within")],
)
def test_a_domain_shows_how_many_similar_hits_were_false(viewer, plane, count, false, badge):
    """Of similar hits the verified and the false ones stand there, with the interval, beside what is tolerated."""
    claims.claims(plane, semantic=Semantic(tolerated=2.0))
    answered(plane, 10, SIMILAR)
    answered(plane, 10, MISS)
    verified(plane, count, false=false)
    said = card(viewer, "cache")
    assert badge in said
    assert "10 of them for a similar question" in said
    assert (f"{false} of {count} verified: " in said) == bool(count)
    if count == 20:
        assert "1 of 20 verified: 0% to 37.7% of similar hits, 2% tolerated" in said
    assert "when lexical@0.95 began" in said


def test_hours_of_the_cache_can_be_had_as_csv(viewer, plane, monkeypatch):
    """The last 24 hours, one a row; a domain without a cache has none."""
    now = plane.instruments.now()
    monkeypatch.setattr(plane.instruments, "now", lambda: now)
    claims.claims(plane, semantic=Semantic())
    answered(plane, 3, SIMILAR, at=now - timedelta(hours=5))
    answered(plane, 1, MISS)
    verified(plane, 2, false=1)
    header, *rows = viewer.get("/domains/claims/cache.csv").text.strip().splitlines()
    assert header.lstrip("\ufeff") == "hour,asked,hits,similar,ms of a hit,ms without,seconds saved,verified,false"
    assert [row.split(",", 1)[1] for row in (rows[-6], rows[-1])] == ["3,3,3,2.0,,,0,0", "1,0,0,,,,2,1"]
    assert len(rows) == 24
    plane.domains.update("claims", DomainSpec(), actor="ann")
    assert len(viewer.get("/domains/claims/cache.csv").text.strip().splitlines()) == 1
    assert 'id="cache"' not in viewer.get("/domains/claims").text


def test_batches_are_left_to_where_they_are_measured(viewer, plane, tmp_path):
    """Of a model that is asked in batches the page says where their sizes stand: outcomes do not hold them."""
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(["cat", "lion"], ["tame", "wild"]), path)
    claims.claims(plane, backend=LocalBackend(artefact=str(path), digest=digest_of(path), batch=32))
    said = card(viewer, "plan")
    assert "up to 32 texts" in said
    assert "vedette_local_batches_total" in said
