"""Outcomes of a server: what is brought from elsewhere, and late judgements.

`Outcomes` has the methods of `vedette.control.outcomes`, `Lake` those of `vedette.lake` that a server lets one call.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from vedette.client.wire import Wire, named
from vedette.control.outcomes import Erased, Shipped
from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.documents import adapter, dump
from vedette.lake.outcomes import FeedbackResult
from vedette.store.pages import Page

_MOST = 1000  # outcomes, and feedback, the API takes at once
_LARGEST = 800_000  # bytes; it takes a million


class Outcomes:
    """The way into a server's lake."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def record(self, outcomes: Sequence[Outcome], *, remember: bool = False) -> Shipped:
        """Record outcomes that were made elsewhere, however many, in as many requests as it takes.

        What was recorded before a request fails stays, so sending all of them again goes on from there.
        """
        stored = 0
        for lines in _bodies(outcomes):
            stored += self._wire.ask_lines(Shipped, "/outcomes", lines, remember=remember).stored
        return Shipped(stored=stored, duplicate=len(outcomes) - stored)

    def judge(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes; those of outcomes not there yet wait for them, for a day."""
        found = [
            self._wire.ask(
                FeedbackResult,
                "/outcomes/feedback",
                {"items": [dump(item) for item in items[begin : begin + _MOST]]},
            )
            for begin in range(0, max(len(items), 1), _MOST)
        ]
        return FeedbackResult(
            accepted=sum(each.accepted for each in found),
            duplicate=sum(each.duplicate for each in found),
            unknown=tuple(dict.fromkeys(outcome_id for each in found for outcome_id in each.unknown)),
        )

    def page(self, domain: str, *, after: str | None = None, limit: int = 50) -> Page[Outcome]:
        """List the outcomes of a domain, the newest first."""
        return self._wire.page(Outcome, f"/domains/{named(domain)}/outcomes", after=after, limit=limit)

    def of_unit(self, domain: str, unit: str, *, after: str | None = None, limit: int = 50) -> Page[Outcome]:
        """Give what is kept of a unit, the newest first."""
        query = urlencode({"limit": limit} | ({"after": after} if after else {}))
        return self._wire.ask(Page[Outcome], f"/domains/{named(domain)}/units/show?{query}", {"unit": unit})

    def erase_unit(
        self, domain: str, unit: str, *, dry_run: bool = False, actor: str = "", request_id: str = ""
    ) -> Erased:
        """Erase every outcome of a unit, those too that are on their way still; with ``dry_run`` only count them."""
        path = f"/domains/{named(domain)}/units/erase"
        body = {"unit": unit, "dryRun": dry_run}
        return self._wire.send(Erased, "POST", path, body, actor=actor, request_id=request_id)


class Lake:
    """The lake of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._outcomes = Outcomes(wire)

    def ship(self, batch_id: str, outcomes: Sequence[Outcome], *, remember: bool = False) -> int:  # noqa: ARG002 - outcomes count once by their own ids
        """Store the outcomes that are new; gives how many were."""
        return self._outcomes.record(outcomes, remember=remember).stored

    def outcome(self, outcome_id: str) -> Outcome:
        """Give one outcome, with whatever feedback has added to it."""
        return self._wire.get(Outcome, f"/outcomes/{named(outcome_id)}")

    def feedback(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes; those of outcomes not there yet wait for them."""
        return self._outcomes.judge(items)


def _bodies(outcomes: Sequence[Outcome]) -> Iterator[bytes]:
    """Write outcomes a line each, in bodies that are neither too long nor too large."""
    lines: list[bytes] = []
    size = 0
    written = adapter(Outcome)
    for outcome in outcomes:
        line = written.dump_json(outcome, by_alias=True)
        if lines and (len(lines) == _MOST or size + len(line) > _LARGEST):
            yield b"\n".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield b"\n".join(lines)
