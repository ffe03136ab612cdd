"""LaunchDarkly's SDK, offline from a test data source: a flag with a rule for a country and a rollout of 85 to 15."""

import ldclient
from ldclient.config import Config
from ldclient.context import Context
from ldclient.integrations.test_data import TestData
from loop import serve

_FLAG = {
    "key": "tone",
    "version": 1,
    "on": True,
    "salt": "tone",
    "variations": ["control", "treatment"],
    "fallthrough": {"variation": 0},
    "offVariation": 0,
    "targets": [],
    "prerequisites": [],
    "rules": [
        {
            "id": "country",
            "clauses": [{"attribute": "country", "op": "in", "values": ["de"], "negate": False}],
            "rollout": {"variations": [{"variation": 0, "weight": 85_000}, {"variation": 1, "weight": 15_000}]},
        }
    ],
}


class _Built:
    """A flag as the test data source takes it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def _copy(self) -> "_Built":
        return self

    def _build(self, version: int) -> dict[str, object]:
        return {**_FLAG, "version": version}


_source = TestData.data_source()
_source.update(_Built("tone"))
ldclient.set_config(Config("sdk-unused", update_processor_class=_source, send_events=False, diagnostic_opt_out=True))
_client = ldclient.get()


def call(unit: str) -> object:
    """Evaluate the flag for a user."""
    return _client.variation("tone", Context.builder(unit).set("country", "de").build(), "control")


serve(call)
