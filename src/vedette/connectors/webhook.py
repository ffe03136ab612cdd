"""Telling other machines: one JSON document by POST, at least once, with an id by which repetitions are known."""

from collections.abc import Mapping
from typing import Any

import httpx

from vedette.kernel.errors import Unavailable


def post(url: str, body: Mapping[str, Any], effect_id: str, *, timeout: float = 10.0) -> None:
    """Post ``body`` to ``url``; the header ``Idempotency-Key`` carries the effect's id.

    Raises:
        Unavailable: nobody answered, or the answer was no success; it is worth trying again.
    """
    try:
        answer = httpx.post(url, json=body, headers={"idempotency-key": effect_id}, timeout=timeout)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} did not answer: {error}") from error
    if not answer.is_success:
        raise Unavailable(f"{url} answered {answer.status_code}")
