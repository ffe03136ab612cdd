"""Who acts in these tests."""

ACTOR = {"X-Vedette-Actor": "ann"}
"""The header that names who asks."""
