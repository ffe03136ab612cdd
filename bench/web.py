"""How long the dashboard takes to answer: the fleet with 2,000 domains, one of them, a rollout with 10,000 looks.

Times are of the server alone: from the request to the last byte, in this process, over a plane on disk. Run it by
``python bench/web.py``; it prints the median and the slowest of 25 after a warm-up.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from starlette.testclient import TestClient

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.cache import Cache, Semantic
from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.plane import ControlPlane, open_plane
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.governance.roles import Role
from vedette.store import rollouts
from vedette.store.rollouts import StoredLook
from vedette.web.app import create_app

DOMAINS, LOOKS, ROUNDS = 2_000, 10_000, 25
ALLOWED = 200.0  # ms, at the median
_PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


def main() -> int:
    """Build the plane, ask for both pages, print how long they took: 0 when the medians are within what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=DOMAINS)
    parser.add_argument("--looks", type=int, default=LOOKS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_plane(folder, actor="bench") as plane:
        rollout = build(plane, asked.domains, asked.looks)
        worst = 0.0
        with signed_in(plane) as client:
            for what, path in (
                (f"fleet, {asked.domains:,} domains", "/"),
                ("fleet, sorted by traffic", "/?sort=traffic"),
                ("fleet, searched", "/?search=d-19"),
                ("domain with caches", "/domains/d-0000"),
                (f"rollout, {asked.looks:,} looks", f"/rollouts/{rollout}"),
            ):
                times, size = measure(client, path)
                middle = statistics.median(times)
                worst = max(worst, middle)
                print(f"{what:<28} median {middle:6.1f} ms   slowest {max(times):6.1f} ms   {size:,} bytes")
    return 0 if worst < ALLOWED else 1


def measure(client: TestClient, path: str) -> tuple[list[float], int]:
    """Ask for a page again and again; give the milliseconds of each round and the size."""
    times, size = [], 0
    for number in range(ROUNDS + 3):
        began = time.perf_counter()
        answer = client.get(path)
        took = 1000 * (time.perf_counter() - began)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")
        size = len(answer.content)
        if number >= 3:
            times.append(took)
    return times, size


@contextmanager
def signed_in(plane: ControlPlane) -> Iterator[TestClient]:
    """Open the site as somebody who signed in."""
    plane.people.accept(plane.people.invite("bench", Role.VIEWER), "bench", _PASSWORD)
    with TestClient(create_app(plane), follow_redirects=False) as client:
        client.post("/sign-in", data={"name": "bench", "password": _PASSWORD})
        yield client


def build(plane: ControlPlane, count: int, looks: int) -> str:
    """Make domains with versions, traffic and rollouts, and one rollout that was looked at very often; give its id."""
    backend = OpenAIBackend(url="http://127.0.0.1:9/v1", model="m")
    names = [f"d-{number:04}" for number in range(count)]
    config = DomainConfig(cache=Cache(semantic=Semantic()))
    with plane.changes.together():
        for name in names:
            spec = DomainSpec(title=f"Domain {name}", config=config)
            plane.domains.create(name, spec, labels={"team": f"t{hash(name) % 9}"})
            for version in ("v1", "v2"):
                plane.versions.register(name, version, VersionSpec(backend=backend))
            plane.versions.install(name, "v1")
        begun = [plane.canary.deploy_with_rollout(name, "v2") for name in names[::2]]
    now = plane.instruments.now()
    for minute in range(30):
        batch = [
            Outcome(
                id=f"o-{minute}-{name}",
                domain=name,
                at=now - timedelta(minutes=minute),
                assigned="v1",
                served="v1",
                plan_revision=2,
                bucket=7,
                status=OutcomeStatus.OK,
                measures={"error": 0.0, "latency_ms": 20.0},
            )
            for name in names
        ]
        for first in range(0, len(batch), 1000):
            plane.lake.ship(f"b-{minute}-{first}", batch[first : first + 1000])
    watch(plane, begun[0].id, looks)
    return begun[0].id


def watch(plane: ControlPlane, rollout: str, looks: int) -> None:
    """Store so many looks at a rollout, as its reconciler would have."""
    now = plane.instruments.now()
    cells = [
        {
            "revision": 3,
            "hour": 1,
            "canary": 900.0,
            "stable": 9000.0,
            "badCanary": 9.0,
            "badStable": 90.0,
            "judgedCanary": 9.0,
            "judgedTotal": 99.0,
            "expectedShare": 0.09,
        }
    ]
    seen = {
        "metrics": {"errors": {"kind": "rate", "basis": "requests", "dispersion": 1.0, "covered": 1.0, "cells": cells}},
        "exposures": [
            {"revision": 3, "hour": 1, "weight": 10.0, "canary": 900.0, "stable": 9000.0, "designEffect": 1.0}
        ],
    }
    rows = []
    for number in range(looks):
        ratio = 1.0 + 0.4 * ((number * 37) % 100 - 50) / (50 + number)
        verdict = {
            "metric": "errors",
            "finding": "clear",
            "method": "e-process on the rate ratio",
            "alpha": 0.05,
            "tolerance": 0.0,
            "sentence": "errors shows no regression",
            "canary": 0.01 * ratio,
            "stable": 0.01,
            "ratio": ratio,
            "low": ratio / (1 + 20 / (number + 20)),
            "high": ratio * (1 + 20 / (number + 20)),
            "logE": 0.1,
            "samples": float(number),
            "dryRun": False,
        }
        look = StoredLook(
            rollout=rollout,
            attempt=1,
            step=0,
            at=now + timedelta(seconds=number),
            watched=float(number),
            weight=10.0,
            observations=seen,
            verdicts=(verdict,),
        )
        rows.append(look)
    with plane.changes.store.transaction() as connection:
        for look in rows:
            rollouts.add_look(connection, look)


if __name__ == "__main__":
    sys.exit(main())
