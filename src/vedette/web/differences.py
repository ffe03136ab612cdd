"""What differs between two documents, field by field, as people read it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from vedette.kernel.records import record

NOTHING = ""
"""Where a field was not there."""


@record
class Difference:
    """One field that differs: its path, and what it was and became, as JSON; empty where it was not there."""

    path: str
    before: str
    after: str


def differences(before: Any, after: Any) -> tuple[Difference, ...]:  # noqa: ANN401 - JSON is whatever JSON is
    """Compare two plain documents."""
    first, second = dict(_leaves(before)), dict(_leaves(after))
    paths = [*first, *(path for path in second if path not in first)]
    return tuple(
        Difference(path=path, before=first.get(path, NOTHING), after=second.get(path, NOTHING))
        for path in paths
        if first.get(path) != second.get(path)
    )


def recorded(details: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Read the differences an audit entry keeps as ``changed: {field: [before, after]}``."""
    changed = details.get("changed")
    if not isinstance(changed, Mapping):
        return ()
    found: list[Difference] = []
    for name, pair in changed.items():
        if isinstance(pair, (list, tuple)) and len(pair) == 2:
            found += differences({name: pair[0]}, {name: pair[1]})
    return tuple(found)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON is whatever JSON is
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)) and value:
        for place, item in enumerate(value):
            yield from _leaves(item, f"{path}[{place}]")
    elif value is not None and path:
        yield path, json.dumps(value, ensure_ascii=False, default=str)
