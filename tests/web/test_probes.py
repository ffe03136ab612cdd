"""What an attacker would try: markup in every field, forms from elsewhere, frames, other people's doors."""

from html.parser import HTMLParser

import pytest
from tests.web.site import PASSWORD, form_key, send, sign_in

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.governance.roles import Permission, Role
from vedette.web.app import WAYS
from vedette.web.ask import PUBLIC
from vedette.web.experiments import TABS

PROBE = "\"'><i-probe onprobe=1>{{7*7}}</textarea><script>probe()"


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.scripted = set(), set(), []

    def handle_starttag(self, tag, attrs):
        """Take note of an element, and of addresses that are code."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.scripted += [value for _, value in attrs if value and value.strip().lower().startswith("javascript:")]


def elements(text):
    """Parse a page."""
    parser = Elements()
    parser.feed(text)
    return parser


@pytest.fixture
def probed(plane):
    """A plane with the probe in every field a user may fill."""
    plane.domains.create(
        "victim",
        DomainSpec(title=PROBE, description=PROBE, config=DomainConfig()),
        actor=PROBE,
        labels={"team": PROBE, PROBE: "x"},
    )
    for name in ("v1", "v2", "v3"):
        spec = VersionSpec(
            backend=OpenAIBackend(url="http://127.0.0.1:9/v1", model=PROBE),
            note=PROBE,
            training_run=PROBE,
            metrics={PROBE: 1.0},
        )
        plane.versions.register("victim", name, spec, actor=PROBE)
    plane.versions.install("victim", "v1", actor=PROBE, why=PROBE)
    plane.domains.update("victim", DomainSpec(title=PROBE * 2, description="other"), actor=PROBE)
    rollout = plane.canary.deploy_with_rollout("victim", "v2", actor=PROBE)
    plane.canary.pause(rollout.id, actor=PROBE, why=PROBE)
    plane.canary.abort(rollout.id, actor=PROBE, why=PROBE)
    words = {"name": "wordy", "override": {"prompt": {"system": PROBE}}}
    plane.experiments.create_test(
        "victim",
        ["v1", "v2", words],
        name="probe",
        metrics=["errors"],
        hypothesis=PROBE,
        dimensions=["x-plan"],
        actor=PROBE,
    )
    plane.experiments.start("probe", actor=PROBE, why=PROBE)
    plane.experiments.stop_arm("probe", "wordy", actor=PROBE, why=PROBE)
    plane.governance.audit_log("note.made", "victim", PROBE, {PROBE: PROBE, "changed": {PROBE: [PROBE, PROBE]}})
    now = plane.instruments.now()
    outcome = Outcome(
        id="o-1",
        domain="victim",
        at=now,
        assigned="v1",
        served="v1",
        plan_revision=2,
        bucket=3,
        status=OutcomeStatus.OK,
        measures={"error": 1.0},
        dimensions={"x-plan": PROBE},
    )
    plane.lake.ship("b-1", [outcome])
    return plane


def pages(plane):
    """Name every page, with the probe in whatever of its address can be anything."""
    rollout = plane.canary.get("victim").id
    last = plane.governance.head().sequence
    probe = {"search": PROBE, "label": PROBE, "sort": PROBE, "show": PROBE, "page": PROBE}
    return [
        ("/", probe),
        ("/", {"label": f"team={PROBE}"}),
        ("/domains/victim", {"done": PROBE}),
        ("/domains/victim/start", {"version": PROBE, "weight0": PROBE, "bake0": PROBE, "alpha": PROBE, "rpm": PROBE}),
        ("/rollouts", {"domain": PROBE}),
        (f"/rollouts/{rollout}", {"done": PROBE}),
        (f"/rollouts/{rollout}/replay", {"weight0": PROBE}),
        ("/experiments", {"domain": PROBE, "phase": PROBE}),
        *[(f"/experiments/probe/{tab}".rstrip("/"), {"mde": PROBE, "by": PROBE, "metric": PROBE}) for tab in TABS],
        ("/experiments/new", {"domain": "victim", "arm0.name": PROBE, "arm0.prompt": PROBE, "targeting": PROBE}),
        ("/explain", {"request": PROBE}),
        ("/explain", {"request": "o-1"}),
        ("/explain", {"domain": "victim", "unit": PROBE, "attributes": f"{PROBE}={PROBE}"}),
        ("/explain", {"domain": PROBE, "unit": PROBE}),
        ("/audit", {"actor": PROBE, "since": PROBE}),
        ("/audit", {"action": "note.made"}),
        ("/audit", {}),
        *[(f"/audit/{entry}", {}) for entry in range(1, last + 1)],
        ("/people", {"done": PROBE}),
        ("/jump", {"q": PROBE}),
        ("/jump", {"q": "victim"}),
        ("/help", {}),
        (f"/{PROBE}", {}),
    ]


def test_no_text_becomes_markup(admin, probed):
    """Whatever users write anywhere is text on every page: no element, no attribute, no script comes of it."""
    for path, query in pages(probed):
        answer = admin.get(path, params=query)
        assert answer.headers["content-type"].startswith("text/html"), path
        found = elements(answer.text)
        assert "i-probe" not in found.tags, (path, query)
        assert "onprobe" not in found.attributes, (path, query)
        assert found.scripted == [], path
        assert "<script>probe()" not in answer.text, path
        assert "49</textarea>" not in answer.text, path


def test_nothing_is_inline(admin, probed):
    """No page holds a script, a style or a handler of its own, so the policy can forbid them all."""
    for path, query in pages(probed):
        found = elements(admin.get(path, params=query).text)
        assert "style" not in found.tags, path
        assert "style" not in found.attributes, path
        assert not {name for name in found.attributes if name.startswith("on")}, path


def test_what_is_taken_away_is_no_page(admin, probed):
    """JSON and CSV say what they are, are not guessed to be pages, and hold no formula a spreadsheet would run."""
    for path in ("/domains/victim.json", "/domains/victim/versions.csv", "/fleet.csv", "/audit.csv", "/audit.jsonl"):
        answer = admin.get(path)
        assert answer.status_code == 200, path
        assert not answer.headers["content-type"].startswith("text/html"), path
        assert answer.headers["x-content-type-options"] == "nosniff"
    probed.domains.create("sums", DomainSpec(title="=HYPERLINK(1)"), actor="ann")
    assert "'=HYPERLINK(1)" in admin.get("/fleet.csv").text


def test_every_answer_forbids_frames_and_foreign_code(site):
    """Pages, errors and redirects carry the policy and may stand in nobody's frame."""
    for path in ("/", "/sign-in", "/nowhere", "/help", "/static/none.js"):
        headers = site.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"


def test_forms_from_elsewhere_are_refused(operator, furnished):
    """A form without the session's key, with another's, or from another origin changes nothing."""
    rollout = furnished.canary.deploy_with_rollout("support", "v2", actor="ann").id
    path = f"/rollouts/{rollout}/do/pause"
    key = form_key(operator)
    assert operator.post(path, data={}).status_code == 403
    assert operator.post(path, data={"form_key": "guess"}).status_code == 403
    assert operator.post(path, json={"form_key": key}).status_code == 403
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert operator.post(path, data={"form_key": key}, headers=headers).status_code == 403, headers
    assert furnished.canary.get(rollout).status.phase == "pending"
    assert operator.post(path, data={"form_key": key}, headers={"Origin": "http://testserver"}).status_code == 303
    assert furnished.canary.get(rollout).status.phase == "paused"


def test_a_key_of_another_session_is_none(site, furnished):
    """The key of one session's forms opens nothing in another's."""
    sign_in(site, "ann")
    stolen = form_key(site)
    site.cookies.clear()
    sign_in(site, "oda")
    rollout = furnished.canary.deploy_with_rollout("support", "v2", actor="ann").id
    assert site.post(f"/rollouts/{rollout}/do/pause", data={"form_key": stolen}).status_code == 403


def test_every_change_takes_the_role_it_names(viewer, furnished):
    """A viewer can send no form that is not public; an operator none that is an admin's."""
    for way in WAYS:
        if way.method == "POST" and way.needs not in {PUBLIC, Permission.READ}:
            path = way.path.replace("{ref}", "support").replace("{domain}", "support").replace("{verb}", "abort")
            answer = send(viewer, path.replace("{name}", "ann"))
            assert answer.status_code == 403, path
    viewer.cookies.clear()
    sign_in(viewer, "oda")
    for path in ("/people", "/people/invite", "/tokens", "/people/ann/role", "/people/ann/remove"):
        answer = viewer.get(path) if path == "/people" else send(viewer, path, role="admin", name="x")
        assert answer.status_code in {403, 405}, path
    assert {it.name: it.role for it in furnished.people.everybody()}["oda"] is Role.OPERATOR


def test_secrets_are_shown_once_and_stored_never(admin, plane, tmp_path):
    """A token and a link stand on the page that made them, and nowhere in the database or the record."""
    made = send(admin, "/tokens", page="/people", name="ci", role="operator").text
    secret = next(
        word for word in made.replace('"', " ").replace("=", " ").replace("<", " ").split() if word.startswith("vdt_")
    )
    invited = send(admin, "/people/invite", page="/people", name="eve", role="viewer").text
    key = invited.split("/welcome?key=")[1][:43]
    session = admin.cookies["vedette_session"]
    assert secret not in admin.get("/people").text
    stored = b"".join(path.read_bytes() for path in (tmp_path / "plane").glob("control.db*"))
    for hidden in (secret, key, session, PASSWORD):
        assert hidden.encode() not in stored
    assert plane.people.caller_of_token(secret).role is Role.OPERATOR
