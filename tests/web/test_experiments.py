"""Experiments on the dashboard: what a page says, what it lets people do, and what it does not let through."""

import csv
import html
import io

import pytest
from tests.web.lab import BRIEF, WARM, Lab
from tests.web.site import form_key, send

PAGES = ("", "/results", "/health", "/design")
PROBE = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture
def lab(plane):
    """The laboratory, nothing drafted."""
    return Lab(plane)


def act(client, name, verb, **fields):
    """Send a verb as the page's form does, confirmed."""
    return send(client, f"/experiments/{name}/do/{verb}", confirmed="yes", **fields)


def test_no_experiment_teaches_how_to_make_one(viewer, lab):
    """An empty list shows the command, and the form."""
    page = viewer.get("/experiments").text
    assert "vedette experiment create" in page
    assert 'href="/experiments/new"' in page
    assert lab.plane.experiments.page().items == ()


def test_a_running_experiment_says_what_it_found(viewer, lab):
    """The banner is the verdict's own sentence, and every page has its picture with the numbers behind it."""
    lab.draft(dimensions=["x-plan"], hypothesis="Brief is as good.")
    lab.run(turns=3, correct={"brief": 0.85}, attributes=lambda user: {"x-plan": ("free", "pro")[user % 2]})
    report = lab.plane.experiments.results("tone")
    overview, results, health, design = (viewer.get(f"/experiments/tone{page}").text for page in PAGES)
    assert html.escape(report.verdict.sentence, quote=False) in overview
    assert report.verdict.winner == "brief"
    assert overview.count("<svg") > 2
    assert "Be brief." in overview
    assert "Brief is as good." in overview
    assert "within what is tolerated" in overview or "nothing against it" in overview
    assert "What the leader is worth" in results
    assert "x-plan" in results
    assert ">pro<" in results
    assert "as intended" in health
    assert "Layer default" in design
    assert "is found with probability 80%" in html.unescape(design)


def test_the_list_says_what_each_says(viewer, lab):
    """Each row has the verdict's sentence; chips choose the phase, and the address keeps it."""
    lab.draft()
    lab.draft(name="later", layer="other")
    lab.run(correct={"brief": 0.9})
    page = viewer.get("/experiments").text
    assert lab.plane.experiments.results("tone").verdict.sentence.split(":")[0] in page
    drafts = viewer.get("/experiments?phase=draft").text
    assert "later" in drafts
    assert "/experiments/tone" not in drafts
    assert viewer.get("/experiments?phase=nonsense").status_code == 200


def test_a_broken_guardrail_and_the_arm_it_took_out_are_named(viewer, lab):
    """Harm comes first: the page says which arm was taken out and why."""
    lab.draft(variants=("base", BRIEF, WARM))
    lab.run(turns=4, error={"warm": 0.5})
    page = viewer.get("/experiments/tone").text
    assert "taken out" in page
    assert "warm is worse in errors than the 10 % tolerated" in page


def test_a_bandit_shows_its_weights_over_time(viewer, lab):
    """A split that moved is drawn, and the health page compares each split with what it was to be."""
    lab.draft(allocation={"kind": "top-two", "every": 0.001, "burnIn": 20})
    lab.run(turns=4, correct={"brief": 0.8})
    assert lab.plane.experiments.get("tone").status.epoch > 1
    assert "Split over time" in viewer.get("/experiments/tone").text
    assert "earlier</summary>" in viewer.get("/experiments/tone/health").text


def test_a_group_sequential_design_lays_its_looks_out(viewer, lab):
    """The design page says at how many requests each look is, and which were taken."""
    lab.draft(monitoring={"kind": "group-sequential", "units": 3000, "looks": 5})
    lab.run(turns=2)
    page = viewer.get("/experiments/tone/design").text
    assert "at 5 planned looks over 3,000 units" in page
    assert "to come" in page


def test_an_experiment_lives_its_life_on_its_page(operator, lab):
    """Start, ramp, take an arm out, decide, take live: each from the page, each by who did it, in the record."""
    lab.draft(variants=("v1", "v2", BRIEF), coverage=20, reserve=60)
    assert act(operator, "tone", "start", coverage="20%").headers["location"].endswith("done=start")
    assert act(operator, "tone", "ramp", coverage="40", why="nothing against it").status_code == 303
    assert act(operator, "tone", "stop-arm", arm="brief").status_code == 303
    assert act(operator, "tone", "decide", winner="v2", why="it is better").status_code == 303
    gone = act(operator, "tone", "promote")
    assert gone.headers["location"].startswith("/rollouts/")
    it = lab.plane.experiments.get("tone")
    assert it.status.conclusion.winner == "v2"
    assert it.status.conclusion.by == "oda"
    done = [entry.action for entry in lab.plane.governance.entries(actor="oda", limit=100).items]
    assert {"experiment.start", "experiment.ramp", "experiment.stop-arm", "experiment.decide"} <= set(done)
    assert act(operator, "tone", "archive").status_code == 303
    assert "do/start" not in operator.get("/experiments/tone").text


def test_what_is_not_allowed_is_disabled_with_its_reason(operator, lab):
    """A verb that would be refused is no button, and the refusal's own words stand beside it."""
    lab.draft(variants=("v1", "v2"))
    lab.draft(name="second", variants=("v1", "v2"))
    lab.plane.experiments.start("tone", actor="oda")
    page = operator.get("/experiments/second").text
    assert "do/start" not in page
    assert "0 % free, and 100 % are asked for" in page
    assert "do/ramp" not in operator.get("/experiments/tone").text


def test_nothing_happens_unconfirmed(operator, lab):
    """A verb sent without its confirmation asks for it and changes nothing."""
    lab.draft()
    page = send(operator, "/experiments/tone/do/start")
    assert page.status_code == 200
    assert "Expose it to its units" in page.text
    assert lab.plane.experiments.get("tone").status.phase == "draft"


def test_a_failed_verb_says_why_at_its_status(operator, lab):
    """What was refused is said on the page, and the status is the API's."""
    lab.draft()
    lab.plane.experiments.start("tone", actor="oda")
    for verb, fields, status in (
        ("start", {"coverage": "5"}, 409),
        ("ramp", {"coverage": "much"}, 422),
        ("stop-arm", {"arm": "nobody"}, 422),
        ("decide", {"winner": PROBE}, 422),
        ("ramp", {"coverage": "100", "revision": "1"}, 412),
    ):
        answer = act(operator, "tone", verb, **fields)
        assert answer.status_code == status, (verb, answer.status_code)
        assert 'role="alert"' in answer.text
        assert PROBE not in answer.text
    assert act(operator, "tone", "dance").status_code == 404


def test_viewers_look_and_do_not_touch(viewer, lab):
    """A viewer sees every page, no verb, and is denied what they send anyway."""
    lab.draft()
    for page in PAGES:
        answer = viewer.get(f"/experiments/tone{page}")
        assert answer.status_code == 200
        assert "/do/" not in answer.text
    assert "your role may look only" in viewer.get("/experiments/tone").text
    assert act(viewer, "tone", "start", coverage="10").status_code == 403
    assert send(viewer, "/experiments/new", domain="support").status_code == 403
    assert lab.plane.experiments.get("tone").status.phase == "draft"


def test_a_form_of_another_site_does_nothing(operator, lab):
    """Neither a foreign origin nor a missing key starts an experiment."""
    lab.draft()
    path, fields = "/experiments/tone/do/start", {"confirmed": "yes", "coverage": "10"}
    assert operator.post(path, data=fields).status_code == 403
    keyed = fields | {"form_key": form_key(operator)}
    assert operator.post(path, data=keyed, headers={"Origin": "https://evil.example"}).status_code == 403
    assert operator.post(path, data=keyed, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert lab.plane.experiments.get("tone").status.phase == "draft"


def test_nothing_users_write_becomes_markup(operator, lab):
    """Every field of an experiment that people fill is shown as text on every page."""
    variants = (
        "base",
        {
            "name": "probe",
            "override": {
                "prompt": {"system": PROBE, "template": PROBE + "{query}"},
                "parameters": {"stop": PROBE},
                "values": {"note": PROBE},
            },
        },
    )
    rule = {"attribute": "x-plan", "test": "is", "values": [PROBE]}
    lab.draft(variants=variants, hypothesis=PROBE, targeting=[rule])
    lab.draft(name="cut", layer="cut", variants=("base", WARM), dimensions=["x-plan"])
    lab.plane.experiments.start("tone", actor="oda", why=PROBE)
    lab.run("cut", turns=1, users=200, attributes=lambda _: {"x-plan": PROBE})
    lab.plane.experiments.stop_arm("cut", "warm", actor="oda", why=PROBE)
    for path in ("/experiments", *(f"/experiments/{name}{page}" for name in ("tone", "cut") for page in PAGES)):
        page = operator.get(path)
        assert page.status_code == 200, path
        assert "<img" not in page.text, path
    assert html.escape(PROBE) in operator.get("/experiments/tone").text.replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
    typed = operator.get("/experiments/new", params={"arm0.name": PROBE, "hypothesis": PROBE, "targeting": PROBE})
    assert "<img" not in typed.text


def test_a_form_drafts_an_experiment(operator, lab):
    """What was typed becomes the spec, and the draft is its author's."""
    made = send(
        operator,
        "/experiments/new",
        domain="support",
        name="typed",
        hypothesis="It helps.",
        **{
            "rows": "3",
            "arm0.name": "base",
            "arm1.name": "brief",
            "arm1.prompt": "Be brief.",
            "arm1.parameters": "temperature=0.5\nmax_tokens=200",
            "arm1.weight": "3",
            "role.accuracy": "primary",
            "role.errors": "guardrail",
            "margin.errors": "15%",
        },
        coverage="20",
        reserve="50",
        targeting="x-plan=pro, team\n!x-bot",
        dimensions="X-Country, user",
        monitoring="group-sequential",
        units="9000",
        looks="6",
        bandit="yes",
        days="14",
    )
    assert made.headers["location"] == "/experiments/typed?done=create"
    it = lab.plane.experiments.get("typed")
    spec = it.spec
    assert it.created_by == "oda"
    assert [variant.name for variant in spec.variants] == ["base", "brief"]
    assert spec.variants[1].weight == 3
    assert spec.variants[1].override.parameters == {"temperature": 0.5, "max_tokens": 200}
    assert {use.metric: (use.role, use.margin) for use in spec.metrics} == {
        "accuracy": ("primary", 0.0),
        "errors": ("guardrail", 0.15),
    }
    assert [rule.test for rule in spec.targeting] == ["is", "is-missing"]
    assert spec.targeting[0].values == ("pro", "team")
    assert spec.dimensions == ("x-country", "user")
    assert (spec.coverage, spec.most_coverage, spec.max_duration) == (20, 50, 14 * 86_400)
    assert (spec.monitoring.units, spec.monitoring.looks, spec.allocation.kind) == (9000, 6, "top-two")


def test_a_wrong_form_is_shown_again_as_it_was_typed(operator, lab):
    """What cannot be says why, keeps what was typed, and drafts nothing."""
    fields = {"arm0.name": "base", "arm1.name": "brief", "arm1.parameters": "loud", "role.accuracy": "primary"}
    answer = send(operator, "/experiments/new", domain="support", name="typed", rows="2", **fields)
    assert answer.status_code == 422
    assert "&#39;loud&#39; of arm brief is no parameter" in answer.text
    assert 'value="brief"' in answer.text
    assert lab.plane.experiments.page().items == ()


def test_a_form_is_planned_beside_it(viewer, lab):
    """The form says how many requests it takes before anything is drafted; a viewer may ask that too."""
    asked = {"domain": "support", "rows": "2", "arm0.name": "base", "arm1.name": "v2", "arm1.version": "v2"}
    asked |= {"role.accuracy": "primary", "baseline": "0.5", "mde": "10", "traffic": "5000"}
    page = viewer.get("/experiments/new", params=asked)
    assert "An effect of +10%" in page.text
    assert "<svg" in page.text
    assert lab.plane.experiments.page().items == ()


@pytest.mark.parametrize("sheet", ["effects", "estimates", "arms", "looks", "decisions", "split"])
def test_every_table_is_there_as_csv(viewer, lab, sheet):
    """Each table can be taken away, with a header and the rows of the page."""
    lab.draft()
    lab.run(turns=1)
    answer = viewer.get(f"/experiments/tone/{sheet}.csv")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert answer.headers["content-type"].startswith("text/csv")
    assert len(rows) > 1
    assert viewer.get("/experiments/tone/nonsense.csv").status_code == 404


def test_breakdown_and_interactions_are_there_as_csv(viewer, lab):
    """Cuts can be taken away as well."""
    lab.draft(dimensions=["x-plan"])
    lab.draft(name="other", layer="other", variants=("base", {"name": "x", "override": {"values": {"x": 1}}}))
    lab.plane.experiments.start("other", actor="oda")
    lab.run(turns=2, attributes=lambda user: {"x-plan": ("free", "pro")[user % 2]})
    assert "pro," in viewer.get("/experiments/tone/breakdown.csv?by=x-plan").text
    assert "other," in viewer.get("/experiments/tone/interactions.csv").text
    assert viewer.get("/experiments/tone/breakdown.csv?by=x-none").status_code == 422
    assert "other" in viewer.get("/experiments.csv").text


def test_an_offline_experiment_has_no_traffic_to_show(viewer, lab):
    """One that is judged on prompts shows its results, and says that there is no split."""
    lab.draft(name="judged", variants=("a", "b"), offline=True, metrics=[{"metric": "accuracy", "role": "primary"}])
    assert "vedette experiment scores judged" in viewer.get("/experiments/judged").text
    rows = [
        {"prompt": f"p{number}", "variant": name, "correct": float((number + extra) % 3 > 0)}
        for number in range(60)
        for name, extra in (("a", 0), ("b", number % 2))
    ]
    lab.plane.experiments.record_scores("judged", rows, actor="oda")
    pages = [viewer.get(f"/experiments/judged{page}") for page in PAGES]
    assert [page.status_code for page in pages] == [200] * 4
    assert "60 prompts" in pages[0].text
    assert "no split that could break" in pages[2].text


def test_its_json_is_what_the_api_says(viewer, lab):
    """Copied JSON is the experiment as the API gives it."""
    made = lab.draft()
    assert viewer.get("/experiments/tone.json").json() == viewer.get(f"/api/v1/experiments/{made.id}").json()
    assert viewer.get("/experiments/none").status_code == 404
    assert viewer.get("/experiments/tone/nonsense").status_code == 404
