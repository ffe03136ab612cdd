"""The page of one domain: who may ask it."""

from datetime import timedelta

import pytest

from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.catalog.key import KeySpec
from vedette.catalog.limits import Rates
from vedette.connectors import pepper


@pytest.fixture(autouse=True)
def _own_pepper(monkeypatch):
    monkeypatch.setenv(pepper.VARIABLE, "a pepper for tests")


def guarded(plane):
    """Let the domain support answer callers with keys alone."""
    plane.domains.update("support", DomainSpec(config=DomainConfig(access="keys")), actor="ann")


def test_a_domain_shows_its_keys_and_when_they_end(viewer, furnished):
    """Keys that open the domain stand on its page, with what limits them; ends that are near are marked."""
    guarded(furnished)
    now = furnished.instruments.now()
    for name, days in (("soon", 3.5), ("later", 90.5)):
        spec = KeySpec(domains=("support",), expires_at=now + timedelta(days=days), note=f"<b>{name}</b>")
        furnished.keys.create(name, spec, actor="ann")
    furnished.keys.create("lasting", KeySpec(limits=Rates(requests_per_minute=60)), actor="ann")
    furnished.keys.create("gone", actor="ann")
    furnished.keys.revoke("gone", actor="ann")
    page = viewer.get("/domains/support").text
    keys = page[page.index('id="keys"') : page.index('id="tenures"')]
    assert '<span class="badge act">' in keys
    assert "expires in 3 d</span>" in keys
    assert ">expires in 90 d</small>" in keys
    assert "&lt;b&gt;soon&lt;/b&gt;" in keys
    assert "60 requests a minute" in keys
    assert "gone" not in keys


def test_a_key_that_has_expired_is_shown_as_such(viewer, furnished, monkeypatch):
    """Once its moment has passed a key is shown as expired."""
    guarded(furnished)
    now = furnished.instruments.now()
    furnished.keys.create("brief", KeySpec(expires_at=now + timedelta(hours=1)), actor="ann")
    monkeypatch.setattr(furnished.instruments, "now", lambda: now + timedelta(hours=4, minutes=1))
    assert "expired 3 h ago</span>" in viewer.get("/domains/support").text


def test_a_domain_without_keys_says_how_to_make_one(viewer, furnished):
    """An open domain shows no keys; one that wants them and has none says that nobody is answered, and the command."""
    assert 'id="keys"' not in viewer.get("/domains/support").text
    guarded(furnished)
    page = viewer.get("/domains/support").text
    assert "nobody is answered" in page
    assert "vedette key create mobile-app --domain support" in page
