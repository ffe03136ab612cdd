"""Eppo's SDK, offline from a configuration: a flag with a rule for a country and a split of 85 to 15."""

import json

import eppo_client
from eppo_client import ClientConfig, Configuration
from eppo_client.assignment_logger import AssignmentLogger
from loop import serve

_FLAG = {
    "key": "tone",
    "enabled": True,
    "variationType": "STRING",
    "variations": {name: {"key": name, "value": name} for name in ("control", "treatment")},
    "totalShards": 10_000,
    "allocations": [
        {
            "key": "all",
            "doLog": False,
            "rules": [{"conditions": [{"attribute": "country", "operator": "ONE_OF", "value": ["de"]}]}],
            "splits": [
                {
                    "variationKey": name,
                    "shards": [{"salt": "tone", "ranges": [{"start": begin, "end": end}]}],
                }
                for name, begin, end in (("control", 0, 8_500), ("treatment", 8_500, 10_000))
            ],
        }
    ],
}
_CONFIGURATION = {
    "createdAt": "2026-01-01T00:00:00Z",
    "format": "SERVER",
    "environment": {"name": "bench"},
    "flags": {"tone": _FLAG},
}
_client = eppo_client.init(
    ClientConfig(
        api_key="unused",
        assignment_logger=AssignmentLogger(),
        initial_configuration=Configuration(flags_configuration=json.dumps(_CONFIGURATION).encode()),
        poll_interval_seconds=None,
    )
)
_ATTRIBUTES = {"country": "de"}


def call(unit: str) -> object:
    """Evaluate the flag for a user."""
    return _client.get_string_assignment("tone", unit, _ATTRIBUTES, "control")


serve(call)
