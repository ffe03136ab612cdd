"""What one answered request leaves behind."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from vedette.kernel.records import record


class OutcomeStatus(StrEnum):
    """How the request ended, from the user's side."""

    OK = "ok"
    ERROR = "error"
    CLIENT_CLOSED = "client_closed"  # the client left: exposed, but no failure of the version


@record
class Exposure:
    """One arm of one experiment that a request was served with, and the epoch of the split it was assigned under."""

    experiment: str
    arm: str
    epoch: int


@record
class Outcome:
    """One request: who was assigned, who answered, under which plan, and what was measured.

    Analysis is by ``assigned`` (intention to treat): a canary whose failures fall back to stable still failed.
    ``bucket`` is 0..1023, or -1 for a request without a unit (assigned at random, not sticky).
    ``measures`` are numbers by name: ``error`` and ``fallback`` are 0 or 1, ``latency_ms`` in milliseconds,
    ``tokens_in`` and ``tokens_out`` in tokens, and whatever feedback adds.
    ``exposures`` are the experiments that had the request, by intention to treat; ``dimensions`` say what kind of
    request it was, as those experiments break their results down. ``plan_revision`` is 0 where an experiment decided
    the version: such a request is no evidence for or against a rollout. ``unit`` is the pseudonym of its unit
    (`catalog.unit`) where the domain keeps units, and empty where it does not; what is brought from elsewhere names the
    unit itself there, which the control plane turns into that pseudonym, or forgets, having put the outcome into the
    unit's bucket where it names none.
    """

    id: str
    domain: str
    at: datetime
    assigned: str
    served: str
    plan_revision: int
    bucket: int = -1
    status: OutcomeStatus
    measures: Mapping[str, float]
    exposures: tuple[Exposure, ...] = ()
    dimensions: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""


@record
class Feedback:
    """A late judgement of one outcome: measures by name, such as ``correct: 1`` or ``score: 0.8``."""

    outcome_id: str
    measures: Mapping[str, float]
