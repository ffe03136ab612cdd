"""Experiments that tests of the API draft, start and serve over HTTP."""

from datetime import UTC, datetime
from typing import Any

from tests.api.people import ACTOR

from vedette.kernel.documents import dump

ADDRESS = "/api/v1/experiments"
SPEC = {"domain": "support", "variants": ["v1", "v2"], "metrics": ["errors"]}
WORDS: dict[str, Any] = {"name": "brief", "override": {"prompt": {"system": "Be brief."}}}
JUDGED = {"domain": "support", "variants": ["a", "b"], "metrics": ["errors"], "offline": True, "minUnits": 2}


def create(client: Any, name: str = "tone", **changes: Any) -> dict[str, Any]:
    """Draft an experiment over HTTP."""
    response = client.post(ADDRESS, json={"name": name, "spec": SPEC | changes}, headers=ACTOR)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def do(client: Any, verb: str, status: int = 200, name: str = "tone", **body: Any) -> dict[str, Any]:
    """Ask for a verb and give the answer, having seen its status."""
    response = client.post(f"{ADDRESS}/{name}/{verb}", json=body, headers=ACTOR)
    assert response.status_code == status, response.text
    said: dict[str, Any] = response.json()
    return said


def serve(client: Any, plane: Any, users: int = 900, failing: str = "", by: str = "") -> list[dict[str, Any]]:
    """Record over HTTP what users saw by the plan in force; every other answer of the arm ``failing`` is an error.

    Experiments are named by their ids, or all of them by the name ``by``.
    """
    compiled = plane.traffic.compiled("support")
    items = []
    for user in range(users):
        choice, seen = compiled.assign(f"user-{user}", {"x-plan": "pro" if user % 3 else "free"})
        arms = [exposure.arm for exposure in seen.exposures]
        items.append(
            {
                "id": f"o-{compiled.plan.revision}-{user}",
                "domain": "support",
                "at": datetime.now(UTC).isoformat(),
                "assigned": choice.version,
                "served": choice.version,
                "planRevision": 0 if choice.arm == "experiment" else compiled.plan.revision,
                "bucket": choice.bucket,
                "status": "ok",
                "measures": {"error": float(failing in arms and user % 2) if user % 40 else 1.0, "latency_ms": 5.0},
                "exposures": [dump(it) | ({"experiment": by} if by else {}) for it in seen.exposures],
                "dimensions": dict(seen.dimensions),
            }
        )
    response = client.post("/api/v1/outcomes", json={"items": items})
    assert response.json() == {"stored": users, "duplicate": 0}, response.text
    return items
