"""GrowthBook's SDK: one feature with a rule for a country and two variations, one object for all users."""

from growthbook import GrowthBook
from loop import serve

_RULE = {
    "condition": {"country": "de"},
    "variations": ["control", "treatment"],
    "weights": [0.85, 0.15],
    "coverage": 1.0,
    "hashAttribute": "id",
    "key": "tone",
}
_book = GrowthBook(features={"tone": {"defaultValue": "control", "rules": [_RULE]}})


def call(unit: str) -> object:
    """Evaluate the feature for a user."""
    _book.set_attributes({"id": unit, "country": "de"})
    return _book.get_feature_value("tone", "control")


serve(call)
