"""Telling those who asked to be told: a row in the outbox for each web address, in the change that is told of."""

from collections.abc import Iterable, Mapping
from typing import Any

from vedette.control.change import Change
from vedette.store import outbox


def tell(change: Change, key: str, urls: Iterable[str], body: Mapping[str, Any]) -> None:
    """Have ``body`` posted to each address; ``key`` names what is told, so that telling it again adds nothing."""
    for index, url in enumerate(urls):
        payload = {"url": url, "body": body}
        outbox.add(change.connection, f"{key}/{index}", kind="webhook", payload=payload, at=change.at)
