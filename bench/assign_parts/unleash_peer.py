"""Unleash's SDK, offline from a bootstrap: a feature with a constraint on a country and two variants."""

import json

from loop import serve
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

_FEATURES = {
    "version": 1,
    "features": [
        {
            "name": "tone",
            "enabled": True,
            "strategies": [
                {
                    "name": "flexibleRollout",
                    "constraints": [{"contextName": "country", "operator": "IN", "values": ["de"]}],
                    "parameters": {"rollout": "100", "stickiness": "userId", "groupId": "tone"},
                    "variants": [
                        {"name": "control", "weight": 850, "weightType": "variable", "stickiness": "userId"},
                        {"name": "treatment", "weight": 150, "weightType": "variable", "stickiness": "userId"},
                    ],
                }
            ],
        }
    ],
}
_cache = FileCache("bench")
_cache.bootstrap_from_dict(json.loads(json.dumps(_FEATURES)))
_client = UnleashClient("http://127.0.0.1:1", "bench", cache=_cache, disable_metrics=True, disable_registration=True)
_client.initialize_client(fetch_toggles=False)


def call(unit: str) -> object:
    """Evaluate the variant for a user."""
    return _client.get_variant("tone", {"userId": unit, "country": "de"})["name"]


serve(call)
