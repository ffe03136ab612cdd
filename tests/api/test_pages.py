"""Listings a page at a time."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.people import ACTOR

from vedette.catalog.domain import DomainSpec


def walk(
    client: TestClient, address: str, limit: int, meanwhile: Callable[[], object] = lambda: None
) -> list[dict[str, Any]]:
    """Follow the Link of every page to the last one and give all the items."""
    items: list[dict[str, Any]] = []
    following: str | None = f"{address}{'&' if '?' in address else '?'}limit={limit}"
    while following:
        page = client.get(following)
        assert page.status_code == 200, page.text
        items += page.json()["items"]
        assert len(page.json()["items"]) <= limit
        following = page.links.get("next", {}).get("url")
        assert (following is None) == (page.json()["next"] is None)
        meanwhile()
    return items


def test_pages_join_to_the_whole_while_others_write(client, plane):
    """What is added between two pages shifts nothing: everything that was there comes once."""
    for name in "cegikmoq":
        plane.domains.create(name, DomainSpec(), actor="ann")
    fresh = iter("abdfhjln")
    items = walk(client, "/api/v1/domains", 3, lambda: plane.domains.create(next(fresh), DomainSpec(), actor="ann"))
    names = [item["id"] for item in items]
    assert set("cegikmoq") <= set(names)
    assert names == sorted(set(names))


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/domains/support/revisions",
        "/api/v1/domains/support/versions",
        "/api/v1/domains/support/plans",
        "/api/v1/rollouts?domain=support",
        "/api/v1/rollouts/support/decisions",
        "/api/v1/audit?newestFirst=true",
    ],
)
def test_every_listing_pages_alike(client, furnished, address):
    """One item a page gives the same items in the same order as all on one page."""
    furnished.canary.deploy_with_rollout("support", "v2", actor="ann")
    for verb in ("pause", "resume", "pause", "abort"):
        client.post(f"/api/v1/rollouts/support/{verb}", headers=ACTOR)
    for title in ("One", "Two"):
        client.put("/api/v1/domains/support", json={"title": title}, headers=ACTOR)
    whole = client.get(address).json()["items"]
    assert whole
    assert walk(client, address, 1) == whole


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=bm90IGpzb24", "after=LTE", "after=!"])
def test_a_page_that_is_none_is_refused(client, query):
    """A limit out of range and a cursor of no listing are wrong input."""
    assert client.get(f"/api/v1/domains?{query}").status_code == 422
