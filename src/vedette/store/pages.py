"""Listings a page at a time: the cursor names the last item seen, so what is added meanwhile shifts nothing."""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record

T = TypeVar("T")

LARGEST = 1000


@record
class Page(Generic[T]):
    """Some items, and the cursor after which the next ones come; None when these were the last."""

    items: tuple[T, ...]
    next: str | None = None


def page_of(
    connection: Connection,
    query: Select[Any],
    key: ColumnElement[Any],
    build: Callable[[Row[Any]], T],
    *,
    after: str | None,
    limit: int,
    newest_first: bool = False,
) -> Page[T]:
    """Read one page of ``query`` in the order of ``key``, a unique column of text or whole numbers that it selects.

    Raises:
        InvalidInput: the limit is not 1 to 1,000, or ``after`` is no cursor of this listing.
    """
    if not 1 <= limit <= LARGEST:
        raise InvalidInput(f"a page holds 1 to {LARGEST} items, not {limit}")
    if after is not None:
        place = _place(after, key.type.python_type)
        query = query.where(key < place if newest_first else key > place)
    ordered = query.order_by(key.desc() if newest_first else key.asc()).limit(limit + 1)
    rows = connection.execute(ordered).all()
    more = len(rows) > limit
    last = rows[limit - 1]._mapping[key] if more else None  # noqa: SLF001 - the documented way to read a row by column
    return Page(items=tuple(build(row) for row in rows[:limit]), next=_cursor(last) if more else None)


def _cursor(place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _place(cursor: str, kind: type) -> object:
    try:
        place: object = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        place = None
    if type(place) is not kind:
        raise InvalidInput("that cursor is none of this listing's", hint="pass what `next` of the page before said")
    return place
