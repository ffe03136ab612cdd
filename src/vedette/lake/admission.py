"""What may enter the record: outcomes and feedback that can be counted.

They are checked where they are handed in, so that nothing in the journal can ever be refused by the lake.
"""

from collections.abc import Mapping
from functools import lru_cache

from vedette.catalog.unit import is_pseudonym
from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import BUCKETS
from vedette.kernel.ids import check_name
from vedette.lake.record import Record

REQUESTS = "requests"
"""The measure every outcome has without bringing it: 1."""

SHADOW = "shadow"
"""The measure that is 1 of a copy whose answer nobody saw."""

_MAGNITUDES = frozenset({"latency_ms", "ttft_ms", "tokens_in", "tokens_out"})
_LONGEST_TEXT = 200
_LONGEST_DIMENSION = 64
_MOST_EXPOSURES = 64
_LARGEST = 1e100  # its square, summed up, is still a number
_LARGEST_REVISION = 2**31 - 1


def check_outcome(outcome: Outcome | Record) -> None:
    """Let a countable outcome pass.

    Raises:
        InvalidInput: Its id, domain, version, time, plan revision, bucket, a measure, exposure or dimension is none.
    """
    outcome_id, measures = outcome.id, outcome.measures
    if not 0 < len(outcome_id) <= _LONGEST_TEXT or not outcome_id.isprintable():
        _check_text(outcome_id)
    _check_words(outcome.domain, outcome.assigned, outcome.served, *measures)
    if outcome.at.tzinfo is None:
        raise InvalidInput(f"outcome {outcome.id} lacks the time zone of its time")
    if not 0 <= outcome.plan_revision <= _LARGEST_REVISION:
        raise InvalidInput(f"outcome {outcome.id} has plan revision {outcome.plan_revision}")
    if not -1 <= outcome.bucket < BUCKETS:
        raise InvalidInput(f"outcome {outcome.id} has bucket {outcome.bucket}", hint="0 to 1023, or -1 for no unit")
    values = measures.values()
    if not (sum(values) <= _LARGEST and min(values, default=0.0) >= 0.0):  # seldom; of a sum with a NaN neither is so
        _check_values(outcome_id, measures)
    if outcome.exposures or outcome.dimensions:
        _check_exposures(outcome)


def check_stored(outcome: Outcome | Record) -> None:
    """Let a countable outcome pass that holds no unit but by its pseudonym.

    Raises:
        InvalidInput: It is none; what it has for a unit is not said, for it may be somebody's name.
    """
    check_outcome(outcome)
    if outcome.unit and not is_pseudonym(outcome.unit):
        raise InvalidInput(f"outcome {outcome.id} names its unit", hint="only pseudonyms of units are stored")


def check_feedback(feedback: Feedback) -> None:
    """Let countable feedback pass.

    Raises:
        InvalidInput: It names no outcome, judges nothing, or a measure is none.
    """
    _check_text(feedback.outcome_id)
    if not feedback.measures:
        raise InvalidInput(f"feedback on {feedback.outcome_id} has no measures")
    _check_names(*feedback.measures)
    _check_values(feedback.outcome_id, feedback.measures)


def _check_text(text: str, longest: int = _LONGEST_TEXT) -> None:
    if not 0 < len(text) <= longest or not text.isprintable():
        raise InvalidInput(f"{text[:longest]!r} names nothing", hint=f"use 1 to {longest} printable signs")


@lru_cache(maxsize=4096)  # requests are many, versions and kinds of measures are few
def _check_words(domain: str, assigned: str, served: str, *measures: str) -> None:
    for text in (domain, assigned, served or "-"):
        _check_text(text)
    _check_names(*measures)


def _check_names(*measures: str) -> None:
    for name in measures:
        check_name(name, "measure")
    if REQUESTS in measures:
        raise InvalidInput(f"{REQUESTS!r} is counted for every outcome", hint="leave it out")


@lru_cache(maxsize=4096)
def _check_exposure(experiment: str, arm: str, epoch: int) -> None:
    _check_text(experiment)
    _check_text(arm)
    if not 0 <= epoch <= _LARGEST_REVISION:
        raise InvalidInput(f"an exposure to {experiment!r} has epoch {epoch}", hint="epochs count from 0")


def _check_exposures(outcome: Outcome | Record) -> None:
    if max(len(outcome.exposures), len(outcome.dimensions)) > _MOST_EXPOSURES:
        raise InvalidInput(
            f"outcome {outcome.id} has {len(outcome.exposures)} exposures and {len(outcome.dimensions)} dimensions",
            hint=f"at most {_MOST_EXPOSURES} of each",
        )
    for exposure in outcome.exposures:
        _check_exposure(exposure.experiment, exposure.arm, exposure.epoch)
    if len({exposure.experiment for exposure in outcome.exposures}) < len(outcome.exposures):
        raise InvalidInput(f"outcome {outcome.id} has two arms of one experiment", hint="a request is in one of them")
    for name, value in outcome.dimensions.items():
        _check_text(name, _LONGEST_DIMENSION)
        _check_text(value, _LONGEST_DIMENSION)


def _check_values(outcome_id: str, measures: Mapping[str, float]) -> None:
    for name, value in measures.items():
        if not abs(value) <= _LARGEST:  # NaN is refused too
            raise InvalidInput(f"outcome {outcome_id} has {name} = {value}", hint="measures are numbers up to 1e100")
        if value < 0 and name in _MAGNITUDES:
            raise InvalidInput(f"outcome {outcome_id} has {name} = {value}", hint="it is a magnitude, from 0 upwards")
