"""Listings come in pages that neither repeat nor miss an item while others are added."""

import pytest
from sqlalchemy import Connection
from tests.store.things import domain, version

from vedette.kernel.errors import InvalidInput
from vedette.store import domains, versions


def _walk(connection: Connection, limit: int) -> list[list[str]]:
    """Read all pages of the domains' listing."""
    seen: list[list[str]] = []
    cursor = None
    while True:
        listed = domains.page(connection, after=cursor, limit=limit)
        seen.append([one.id for one in listed.items])
        if listed.next is None:
            return seen
        cursor = listed.next


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, [["a"], ["b"], ["c"]]), (2, [["a", "b"], ["c"]]), (3, [["a", "b", "c"]])]
)
def test_pages_cover_everything_once(store, limit, expected):
    """Pages of any size hold every item once, and the last one has no next."""
    with store.transaction() as connection:
        for name in ("b", "a", "c"):
            domains.create(connection, domain(name), actor="ada")
        assert _walk(connection, limit=limit) == expected


def test_empty_listing_is_one_empty_page(store):
    """A listing of nothing is a page without items and without next."""
    with store.reading() as connection:
        assert _walk(connection, limit=5) == [[]]


def test_cursor_stands_still_while_items_are_added(catalogue):
    """What is added between two pages, before or behind the cursor, shifts no item that was there."""
    with catalogue.transaction() as connection:
        first = versions.page(connection, "pay", limit=1)
        versions.create(connection, version("pay", "v4"))
        rest = versions.page(connection, "pay", after=first.next, limit=9)
    assert [one.name for one in first.items + rest.items] == ["v3", "v2", "v1"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "é", "NTU", "bnVsbA", "W10"])
def test_foreign_cursor_is_refused(store, cursor):
    """A cursor that is none, or one of a listing ordered otherwise, is refused and not guessed at."""
    with store.reading() as connection, pytest.raises(InvalidInput, match="cursor"):
        domains.page(connection, after=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_page_size_has_bounds(store, limit):
    """A page of no items, or of more than a thousand, is refused."""
    with store.reading() as connection, pytest.raises(InvalidInput, match="1 to 1000"):
        domains.page(connection, limit=limit)
