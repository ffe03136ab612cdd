"""Keys and limits hold whichever worker a client gets."""

import json
import pickle
import signal
import time

import pytest
from tests.gateway.stage import wait_for
from tests.gateway.test_keys import PEPPER, admitted
from tests.gateway.test_workers import Workers, start

from vedette.catalog.key import AdmittedKey, KeyRing
from vedette.catalog.limits import Limits
from vedette.gateway.feed import KeyFile, PlanFeed
from vedette.gateway.shipping import KeptFeed

__all__ = ["start"]  # a fixture
ENVIRONMENT = {"VEDETTE_KEY_PEPPER": PEPPER.decode()}


def hold(workers: Workers, revision: int, *keys: AdmittedKey) -> None:
    """Have the control plane hand out these keys."""
    draft = workers.folder / "keys.draft"
    draft.write_bytes(pickle.dumps(KeyRing(revision=revision, keys=keys)))
    draft.replace(workers.folder / "keys.pickle")


def ask(workers: Workers, secret: str = "") -> int:
    """Ask over a connection of its own."""
    connection = workers.connect()
    body = json.dumps({"model": "payments", "user": "u1", "messages": []})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {secret}"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def test_every_worker_admits_the_same_callers(start):
    """A key is admitted by all workers, also by new ones while the control plane is away, and by none once revoked."""
    workers = start(2, ENVIRONMENT, access="keys")
    secret, key = admitted(1)
    assert ask(workers, secret) == 401
    hold(workers, 1, key)
    wait_for(lambda: {ask(workers, secret) for _ in range(8)} == {200})
    (workers.folder / "feed.pickle").rename(workers.folder / "away")
    (workers.folder / "keys.pickle").write_bytes(b"")
    before = workers.pids()
    workers.process.send_signal(signal.SIGHUP)
    workers.wait_replaced(before)
    assert {ask(workers, secret) for _ in range(8)} == {200}
    (workers.folder / "away").rename(workers.folder / "feed.pickle")
    hold(workers, 2)
    wait_for(lambda: {ask(workers, secret) for _ in range(8)} == {401})


def test_workers_share_a_limit(start):
    """What one worker let in the others take off: soon nobody has more left than comes back."""
    workers = start(2, limits=Limits(requests_per_minute=30))
    first = [ask(workers) for _ in range(80)]
    assert 30 <= first.count(200) <= 75
    time.sleep(2.5)  # both have told each other by then
    begun = time.monotonic()
    later = [ask(workers) for _ in range(30)]
    assert later.count(200) <= 4 + (time.monotonic() - begun)
    assert b'vedette_limit_spent_total{of="requests",domain="payments"}' in workers.get("/metrics")


def test_keys_are_kept_by_the_supervisor(tmp_path):
    """The last keys are given from the file while the feed is away, to who has none; damaged ones are not."""

    class Feed:
        ring: KeyRing | None = KeyRing(revision=3, keys=(admitted(1)[1],))

        def keys(self, known: int) -> KeyRing | None:
            if self.ring is None:
                raise OSError("away")
            return None if known == 3 else self.ring

        poll = confirm = keys

    source: PlanFeed = Feed()  # type: ignore[assignment]  # what is asked of it here
    kept = KeptFeed(source, tmp_path / "plans.json")
    ring = kept.keys(-1)
    assert ring == Feed.ring
    assert kept.keys(3) is None
    Feed.ring = None
    again = KeptFeed(source, tmp_path / "plans.json")
    assert again.keys(-1) == ring == KeyFile(tmp_path / "keys.json").load()
    with pytest.raises(OSError, match="away"):
        again.keys(3)
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(OSError, match="away"):
        again.keys(-1)
