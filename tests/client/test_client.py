"""The SDK against a real control API: the plane's methods, records and errors, over HTTP."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.client.conftest import BACKEND

import vedette
from vedette.catalog.backend import LocalBackend
from vedette.catalog.domain import DomainSpec
from vedette.catalog.lifecycle import DomainState
from vedette.catalog.version import VersionSpec
from vedette.client.client import Client
from vedette.control.plane import ControlPlane, open_plane
from vedette.evidence.outcome import Feedback, Outcome, OutcomeStatus
from vedette.governance.audit import Head
from vedette.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidInput,
    LeaseLost,
    NotFound,
    Refused,
    StaleRevision,
    Unavailable,
    VedetteError,
)
from vedette.rollouts.spec import RolloutSpec, Step

SERVICES = ("domains", "versions", "canary", "experiments", "governance", "lake", "outcomes", "traffic")


def outcome(number: int, plan: int, version: str, *, failed: bool = False) -> Outcome:
    """One loose request of a version."""
    return Outcome(
        id=f"o{number}",
        domain="payments",
        at=datetime.now(UTC),
        assigned=version,
        served=version,
        plan_revision=plan,
        bucket=-1,
        status=OutcomeStatus.OK,
        measures={"error": float(failed), "latency_ms": 5.0},
    )


def work(plane: ControlPlane, *outcomes: Outcome, passes: int = 2) -> None:
    """Ship outcomes, let a gateway confirm the plan, and reconcile."""
    if outcomes:
        plane.lake.ship(f"b-{outcomes[0].id}", outcomes)
    for _ in range(passes):
        plane.traffic.confirm("gateway", {"payments": plane.traffic.plan("payments").revision})
        plane.reconciler.tick()


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_has_the_methods_of_the_plane_with_their_arguments(both, service):
    """Whatever the client offers, the plane offers under the same name with the same arguments, in the same order."""
    plane, client = both
    for name, method in inspect.getmembers(getattr(client, service), inspect.ismethod):
        if not name.startswith("_"):
            mine = list(inspect.signature(method).parameters)
            theirs = list(inspect.signature(getattr(getattr(plane, service), name)).parameters)
            assert [argument for argument in theirs if argument in mine] == mine, name
            assert set(theirs) - set(mine) <= {"request_id"}, name


def test_reading_gives_the_plane_s_own_records(both):
    """Domains, versions, tenures, plans and entries read by the client equal those read by the plane."""
    plane, client = both
    now = datetime.now(UTC)
    asked: list[Callable[[Any], object]] = [
        lambda it: it.domains.get("payments"),
        lambda it: it.domains.page(),
        lambda it: it.domains.page(state=DomainState.ARCHIVED),
        lambda it: it.domains.revisions("payments"),
        lambda it: it.versions.get("payments", "v1"),
        lambda it: it.versions.page("payments", limit=1),
        lambda it: it.versions.aliases("payments"),
        lambda it: it.versions.tenures("payments"),
        lambda it: it.versions.serving("payments", now),
        lambda it: it.traffic.plan("payments"),
        lambda it: it.traffic.choose("payments", "tenant-7"),
        lambda it: it.canary.page(active=True),
        lambda it: it.governance.entries(domain="payments", newest_first=True, limit=2),
        lambda it: it.governance.entries(since=now - timedelta(hours=1), until=now, action="version.register"),
        lambda it: list(it.governance.export()),
        lambda it: it.governance.head(),
        lambda it: it.governance.verify(it.governance.head()),
    ]
    for ask in asked:
        assert ask(client) == ask(plane)


def test_pages_go_on_after_their_cursor(both):
    """A page's cursor gives the next page, to the end."""
    _, client = both
    first = client.versions.page("payments", limit=1)
    second = client.versions.page("payments", limit=1, after=first.next)
    assert [first.items[0].name, second.items[0].name, second.next] == ["v2", "v1", None]


def test_a_domain_lives_its_life_over_http(both):
    """Create, update, archive, restore and delete give the records the plane then has, under their actors."""
    plane, client = both
    client.domains.create("legal", DomainSpec(title="Law"), labels={"a": "b"}, actor="bob")
    updated = client.domains.update("legal", DomainSpec(title="Laws"), expected_revision=1)
    assert updated == plane.domains.get("legal")
    assert updated.labels == {"a": "b"}
    assert client.domains.archive("legal").state is DomainState.ARCHIVED
    assert client.domains.restore("legal", expected_revision=3).state is DomainState.ACTIVE
    assert client.domains.delete("legal").state is DomainState.DELETED
    entries = plane.governance.entries(domain="legal").items
    assert [e.actor for e in entries if e.action.startswith("domain.")] == ["bob", "ada", "ada", "ada", "ada"]


def test_a_version_is_registered_and_installed(both):
    """Register and install over HTTP are the plane's."""
    plane, client = both
    client.domains.create("legal", DomainSpec())
    made = client.versions.register("legal", "v1", VersionSpec(backend=BACKEND, note="n"))
    assert made == plane.versions.get("legal", "v1")
    assert client.versions.install("legal", "v1", why="first").version == "v1"
    assert client.versions.aliases("legal") == {"stable": "v1"}


def test_a_rollout_is_started_steered_and_understood(both):
    """A rollout goes its way by the client's verbs; explanation, looks, decisions, analytics and replay are read."""
    plane, client = both
    spec = RolloutSpec(domain="payments", version="v2", steps=(Step(weight=50, bake=0), Step(weight=100, bake=0)))
    assert client.canary.deploy_with_rollout("payments", "v2", spec, dry_run=True).status.phase == "pending"
    assert client.canary.page().items == ()
    begun = client.canary.deploy_with_rollout("payments", "v2", spec, name="mine")
    assert begun == plane.canary.get("mine")
    work(plane)
    revision = plane.traffic.plan("payments").revision
    work(plane, *(outcome(n, revision, ("v1", "v2")[n % 2]) for n in range(200)), passes=1)
    assert client.canary.explain("mine").verdicts == plane.canary.explain("mine").verdicts
    assert client.canary.looks("mine", newest_first=True) == plane.canary.looks("mine", newest_first=True)
    assert client.canary.decisions("mine") == plane.canary.decisions("mine")
    assert client.canary.analytics("mine") == plane.canary.analytics("mine")
    for schedule in (None, {"alpha": 0.01}, ["10%", "100%"], spec):
        assert client.canary.replay("mine", schedule) == plane.canary.replay("mine", schedule)
    given = {"requests_per_minute": 600.0, "bad_rate": 0.01}
    assert client.canary.plan("payments", "v2", **given) == plane.canary.plan("payments", "v2", **given)
    assert client.canary.pause("mine", why="wait").status.phase == "paused"
    assert client.canary.resume("mine").status.phase == "progressing"
    assert client.canary.set_weight("mine", 12.5).status.weight == 12.5
    assert client.canary.promote("mine").status.passed
    stale = client.canary.get("mine").revision
    assert client.canary.promote("mine", full=True, expected=stale).status.phase == "promoted"
    assert client.canary.undo("mine").status.phase == "undone"
    assert client.canary.retry("mine").status.attempt == 2
    assert client.canary.abort("mine", why="enough").status.because == "enough"


def test_outcomes_are_brought_and_judged(both):
    """Outcomes made elsewhere count once by their id, and take late judgements."""
    _, client = both
    made = [outcome(n, 1, "v1") for n in range(3)]
    assert (client.lake.ship("a", made), client.lake.ship("b", made)) == (3, 0)
    assert client.lake.feedback([Feedback(outcome_id="o1", measures={"correct": 1.0})]).accepted == 1
    assert client.lake.outcome("o1").measures["correct"] == 1.0


def test_documents_are_applied(both):
    """Apply gives what each document did; a dry run keeps nothing; complaints call the text <body>."""
    plane, client = both
    text = "apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: legal}\nspec: {title: Law}\n"
    assert [item.result for item in client.apply(text, dry_run=True)] == ["created"]
    assert [item.id for item in plane.domains.page().items] == ["payments"]
    assert [item.name for item in client.apply(text)] == ["legal"]
    with pytest.raises(InvalidInput, match=r"^<body>:4:8: "):
        client.apply(text.replace("title", "titel"))


def test_entries_of_one_s_own_are_written(both):
    """audit_log writes an entry by its user, and the record stays sound."""
    plane, client = both
    entry = client.governance.audit_log("review.approve", "payments", "carol", {"ticket": 7})
    assert plane.governance.entries(newest_first=True, limit=1).items[0] == entry
    assert entry.actor == "carol"
    assert plane.governance.verify(Head(sequence=entry.sequence, entry_hash=entry.entry_hash)) == ()


def test_errors_are_those_of_the_plane(both):
    """What the plane refuses, the client raises: the same class, message and hint."""
    plane, client = both
    artefact = LocalBackend(artefact="/nowhere/model.skops", digest="0" * 64)
    asked: dict[type[VedetteError], Callable[[Any], object]] = {
        InvalidInput: lambda it: it.domains.create("No Name", DomainSpec(), actor="ada"),
        NotFound: lambda it: it.domains.get("nowhere"),
        Conflict: lambda it: it.domains.create("payments", DomainSpec(), actor="ada"),
        StaleRevision: lambda it: it.domains.archive("payments", actor="ada", expected_revision=9),
        Refused: lambda it: it.domains.delete("payments", actor="ada"),
    }
    for kind, ask in asked.items():
        with pytest.raises(kind) as here:
            ask(plane)
        with pytest.raises(kind) as there:
            ask(client)
        assert type(there.value) is kind
        assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    with pytest.raises(NotFound):
        client.versions.register("payments", "v3", VersionSpec(backend=artefact))
    with pytest.raises(InvalidInput, match="is for payments/v2"):
        client.canary.deploy_with_rollout("payments", "v1", RolloutSpec(domain="payments", version="v2"))


@pytest.mark.parametrize("actor", ["", " ", "Zoë"])
def test_a_change_without_an_actor_is_not_sent(actor):
    """A change that names nobody, or nobody HTTP can name, is refused before it is sent."""
    with Client("http://127.0.0.1:9", actor=actor) as client, pytest.raises(InvalidInput, match="names its actor"):
        client.canary.abort("payments")


def answering(*answers: httpx.Response | Exception) -> tuple[Client, list[httpx.Request]]:
    """A client whose requests get these answers in turn, and what was sent."""
    sent: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return Client("http://server", actor="ada", transport=httpx.MockTransport(answer)), sent


@pytest.fixture
def _no_pauses(monkeypatch):
    monkeypatch.setattr("vedette.client.wire.time.sleep", lambda _: None)


@pytest.mark.usefixtures("_no_pauses")
def test_what_did_not_arrive_is_sent_again_with_the_same_key():
    """A POST that broke off or met a busy server is sent again under one idempotency key."""
    tenure = {"version": "v1", "since": "2026-01-01T00:00:00Z", "until": None, "cause": ""}
    client, sent = answering(httpx.ConnectError("no"), httpx.Response(503), httpx.Response(200, json=tenure))
    assert client.versions.install("payments", "v1").version == "v1"
    assert len({request.headers["Idempotency-Key"] for request in sent}) == 1
    assert len(sent) == 3


@pytest.mark.usefixtures("_no_pauses")
def test_a_server_that_stays_away_is_unavailable():
    """After three tries a read is given up; a PUT or DELETE, which has no key, is sent once."""
    client, sent = answering(*[httpx.ConnectError("refused")] * 4)
    with pytest.raises(Unavailable, match="http://server does not answer: refused"):
        client.domains.get("payments")
    assert len(sent) == 3
    with pytest.raises(Unavailable):
        client.domains.delete("payments")
    assert len(sent) == 4


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(200, text="<html>"), Unavailable, "answered 200"),
        (httpx.Response(404, json={"detail": "Not Found"}), Unavailable, "answered 404: Not Found"),
        (httpx.Response(200, json={"id": "payments"}), Unavailable, "cannot read"),
        (httpx.Response(403, json={"type": "urn:vedette:problem:denied", "detail": "no"}), Denied, "no"),
        (httpx.Response(500, json={"type": "urn:vedette:problem:corrupt", "detail": "torn"}), Corrupt, "torn"),
        (httpx.Response(409, json={"type": "urn:vedette:problem:lease-lost", "detail": "gone"}), LeaseLost, "gone"),
    ],
)
def test_answers_of_strangers_and_problems_are_told_apart(answer, kind, said):
    """A problem is raised as the error it was; what is no control API's answer is Unavailable, with what to check."""
    client, _ = answering(answer)
    with pytest.raises(kind, match=said):
        client.domains.get("payments")


def test_an_export_that_breaks_off_is_not_taken_for_whole():
    """A line that ends in the middle raises instead of ending the export."""
    client, _ = answering(httpx.Response(200, text='{"sequence": 1, '))
    with pytest.raises(Unavailable, match="broke off"):
        list(client.governance.export())


def test_names_cannot_leave_their_place_in_the_address():
    """A name with slashes or dots is one part of the path, and never another route."""
    client, sent = answering(*[httpx.Response(404, json={"type": "urn:vedette:problem:not-found", "detail": "no"})] * 2)
    for name in ("../rollouts", "a/b?c#d"):
        with pytest.raises(NotFound):
            client.domains.get(name)
    assert [request.url.raw_path.count(b"/") for request in sent] == [4, 4]


def test_every_public_name_is_there():
    """Each name of vedette.__all__ can be used, and what is not there is an AttributeError."""
    assert all(getattr(vedette, name) is not None for name in vedette.__all__)
    assert vedette.open is open_plane
    assert sorted(vedette.__all__) == sorted(dir(vedette))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = vedette.Nothing


def test_importing_vedette_imports_nothing_heavy():
    """`import vedette` loads no other module of its own, and none of the libraries."""
    code = "import sys, vedette; print([m for m in sys.modules if m.split('.')[0] in %r])"
    heavy = ["sqlalchemy", "pydantic", "numpy", "httpx", "fastapi"]
    done = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
