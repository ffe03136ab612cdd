"""Outcomes of a server: what is brought from elsewhere, and late judgements; the same methods as `vedette.lake`'s."""

from collections.abc import Sequence

from vedette.client.wire import Wire, named
from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.documents import dump
from vedette.kernel.records import record
from vedette.lake.outcomes import FeedbackResult


@record
class _Shipped:
    stored: int
    duplicate: int


class Outcomes:
    """The outcome store of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def ship(self, batch_id: str, outcomes: Sequence[Outcome]) -> int:  # noqa: ARG002 - outcomes count once by their own ids
        """Store the outcomes that are new; gives how many were."""
        return self._wire.ask(_Shipped, "/outcomes", {"items": [dump(outcome) for outcome in outcomes]}).stored

    def outcome(self, outcome_id: str) -> Outcome:
        """Give one outcome, with whatever feedback has added to it."""
        return self._wire.get(Outcome, f"/outcomes/{named(outcome_id)}")

    def feedback(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes; those of outcomes not there yet wait for them."""
        return self._wire.ask(FeedbackResult, "/outcomes/feedback", {"items": [dump(item) for item in items]})
