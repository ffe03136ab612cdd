"""The dashboard in a real browser over a real demo: seen, trusted, acted on; with and without JavaScript."""

import time

import pytest
from playwright.sync_api import Route, expect
from tests.web import claims
from tests.web.browser import axe, launched, sign_in, watched
from tests.web.living import living
from tests.web.site import PASSWORD

from vedette.catalog.cache import Semantic
from vedette.catalog.shadow import Shadow
from vedette.governance.roles import Role


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo that is up."""
    with living(tmp_path_factory.mktemp("demo") / "data") as it:
        claims.claims(it.plane, semantic=Semantic(), shadow=Shadow(version="v2"))
        claims.answered(it.plane, 20, {"error": 0.0, "latency_ms": 800.0, "shadow": 1.0}, version="v2")
        claims.keys(it.plane)
        claims.answered(it.plane, 60, claims.HIT | {"similar": 1.0})
        claims.answered(it.plane, 140, claims.MISS)
        claims.verified(it.plane, 40, false=2)
        yield it


@pytest.fixture(scope="module")
def chromium():
    """A browser."""
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(chromium, demo):
    """Open pages for a person, each in a context of its own; whatever they did wrong fails the test."""
    contexts, pages = [], []

    def open_page(name="", **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        it = watched(context, demo.base)
        pages.append(it)
        return sign_in(it, name) if name else it

    yield open_page
    for context in contexts:
        context.close()
    assert [fault for it in pages for fault in it.faults] == []


def every_page(demo):
    """Name an address of every view, each with something to show."""
    rollouts = {it.name: it.id for it in demo.plane.canary.page(limit=50).items}
    request = demo.plane.lake.outcomes("pathology", limit=1).items[0].id
    return [
        "/",
        "/?show=attention",
        "/?search=nothing-of-the-kind",
        "/domains/digits",
        "/domains/legal",
        "/domains/claims",
        "/domains/legal/start",
        "/rollouts",
        "/rollouts?active=1",
        f"/rollouts/{rollouts['legal-slowly']}",
        f"/rollouts/{rollouts['pathology-by-hand']}",
        f"/rollouts/{rollouts['digits-v2-misjoined-labels']}",
        f"/rollouts/{rollouts['digits-v2-curved']}",
        f"/rollouts/{rollouts['legal-v2-three-states']}/replay",
        "/experiments",
        "/experiments/border",
        "/experiments/border/results?by=user",
        "/experiments/border/health",
        "/experiments/border/design",
        "/experiments/catalogue",
        "/experiments/catalogue/design",
        "/experiments/new?domain=digits&rows=2",
        "/explain",
        f"/explain?request={request}",
        "/explain?domain=legal&unit=joe",
        "/explain?domain=digits&unit=joe&attributes=user%3Djoe",
        "/audit",
        "/audit?action=rollout.&domain=digits",
        "/audit/12",
        f"/audit/{demo.plane.governance.head().sequence}",
        "/people",
        "/help",
        "/jump?q=legal",
        "/nowhere",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible_and_keeps_to_its_policy(opened, demo, scheme):
    """No violation by axe on any view; nothing refused by the policy, logged as an error, or asked of another host."""
    it = opened("ann", color_scheme=scheme)
    found = []
    for path in every_page(demo):
        page = it.go(path)
        expect(page.locator("h1").first).to_be_visible()
        found += axe(page)
    it.faults = [fault for fault in it.faults if "/nowhere" not in fault and "404" not in fault]
    assert found == []


def test_every_view_fits_a_telephone(opened, demo):
    """On a narrow screen no page is wider than the screen; what is wide scrolls inside."""
    it = opened("ann")
    it.page.set_viewport_size({"width": 390, "height": 844})
    wide = []
    for path in every_page(demo)[:-1]:
        page = it.go(path)
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            wide.append(path)
    assert wide == []


def test_the_link_makes_an_admin_who_sees_why_a_version_was_taken_back(opened, demo):
    """Whoever opens the link chooses a name, is told what changes, and needs two clicks to know why."""
    key = demo.plane.people.invite("", Role.ADMIN)
    it = opened()
    page = it.go(f"/welcome?key={key}")
    page.fill("[name=name]", "newcomer")
    page.fill("[name=password]", PASSWORD)
    page.click("text=Come in")
    expect(page.locator("text=This server is yours now")).to_be_visible()
    page.click("nav >> text=Rollouts")
    page.click("text=digits-v2-misjoined-labels")
    expect(page.locator(".banner")).to_contain_text("accuracy is worse")
    expect(page.locator(".tile", has_text="accuracy").first).to_contain_text("regression")
    expect(page.locator(".tile svg").first).to_be_visible()


def test_acting_on_a_rollout_changes_it_and_a_second_tab_follows(opened, demo):
    """Pause, resume, set weight, promote and abort from the page are done; another tab shows each without reloading."""
    first, second = opened("oda"), opened("vic")
    rollout = demo.plane.canary.get("legal-slowly").id
    page, other = first.go(f"/rollouts/{rollout}"), second.go(f"/rollouts/{rollout}")
    badge = other.locator(".head .badge")
    expect(badge).to_contain_text("progressing")
    expect(other.locator("[data-livesign]")).to_be_visible()

    page.click(".actions >> text=Pause")
    expect(page.locator(".head .badge")).to_contain_text("paused")
    expect(badge).to_contain_text("paused")
    assert demo.plane.canary.get(rollout).status.phase == "paused"

    page.click(".actions >> text=Resume")
    page.click("#ask-resume .primary")
    expect(badge).to_contain_text("progressing")

    page.click(".actions >> text=Set weight")
    page.fill("#ask-set-weight [name=weight]", "2")
    page.click("#ask-set-weight .primary")
    expect(page.locator(".head .sub")).to_contain_text("2% of traffic")
    expect(other.locator(".head .sub")).to_contain_text("2% of traffic")

    page.click(".actions >> text=Abort")
    page.fill("#ask-abort [name=why]", "tried it")
    page.click("#ask-abort .danger")
    expect(page.locator(".banner")).to_contain_text("tried it")
    expect(badge).to_contain_text("taken back")
    ended = demo.plane.canary.get(rollout)
    assert (ended.status.phase, ended.status.because) == ("aborted", "tried it")
    by = {it.actor for it in demo.plane.governance.entries(action="rollout.abort").items if rollout in it.resource}
    assert by == {"oda"}

    page.click(".actions >> text=Retry")
    page.click("#ask-retry .primary")
    expect(page.locator(".head .sub")).to_contain_text("attempt 2")


def test_approving_a_step_climbs(opened, demo):
    """A rollout that waits for approval is named on the fleet, and promote sends it on."""
    rollout = demo.plane.canary.get("pathology-by-hand").id
    it = opened("oda")
    deadline = time.monotonic() + 90
    while demo.plane.canary.get(rollout).status.phase != "paused" and time.monotonic() < deadline:
        time.sleep(0.3)
    page = it.go("/?show=attention")
    expect(page.locator("tr.act", has_text="pathology")).to_contain_text("waits for approval")
    page.click("tr.act .way a")
    page.click(".actions >> button:text-is('Promote')")
    page.click("#ask-promote .primary")
    expect(page.locator(".head .sub")).to_contain_text("step 2 of 2")


def test_news_does_not_take_away_what_one_is_doing(opened, demo):
    """While a question is open, or something is typed, the page waits with its news."""
    it = opened("oda")
    page = it.go(f"/rollouts/{demo.plane.canary.get('pathology-by-hand').id}")
    page.click(".actions >> text=Abort")
    page.fill("#ask-abort [name=why]", "thinking about it")
    time.sleep(3)
    expect(page.locator("#ask-abort [name=why]")).to_have_value("thinking about it")
    expect(page.locator("#ask-abort")).to_be_visible()


def test_everything_is_done_without_javascript(opened, demo):
    """With scripts off one signs in, filters, plans, starts, pauses and aborts a rollout, and reads the record."""
    it = opened("oda", java_script_enabled=False)
    page = it.page
    page.fill("[name=search]", "digits")
    page.click("text=Show >> nth=0")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.click("tbody th a")
    page.click("text=Start a rollout")
    page.select_option("[name=version]", "v2-misjoined-labels")
    page.fill("[name=bake0]", "10m")
    page.fill("[name=rpm]", "600")
    page.click("text=Plan again")
    expect(page.locator("#plan ~ p").first).to_contain_text("with probability 90%")
    expect(page.locator("[name=bake0]")).to_have_value("10m")
    page.fill("[name=name]", "by-form")
    page.click("text=Begin the rollout")
    expect(page.locator(".alert.good").first).to_contain_text("The rollout is begun")
    page.click(".actions >> text=Pause")
    expect(page.locator(".head .badge")).to_contain_text("paused")
    page.click(".actions >> text=Abort")
    page.fill("#ask-abort [name=why]", "no script needed")
    page.click("#ask-abort .danger")
    expect(page.locator(".head .badge")).to_contain_text("taken back")
    assert demo.plane.canary.get("by-form").status.because == "no script needed"
    page.click("nav >> text=Audit")
    expect(page.locator("tbody")).to_contain_text("rollout.abort")
    expect(page.locator(".proof")).to_contain_text("verified")


def test_who_may_look_only_is_told_so(opened, demo):
    """A viewer sees every verb disabled, with the reason."""
    it = opened("vic")
    page = it.go(f"/rollouts/{demo.plane.canary.get('pathology-by-hand').id}")
    off = page.locator(".actions button:disabled")
    assert off.count() == page.locator(".actions > *").count() > 0
    expect(page.locator(".actions .tip").first).to_contain_text("look only")
    expect(page.locator("nav >> text=People")).to_have_count(0)


def test_keys_lead_everywhere(opened):
    """A slash opens the jump menu, a question mark the help, g and a letter the pages."""
    it = opened("ann")
    page = it.page
    page.keyboard.press("/")
    page.keyboard.type("patho")
    expect(page.locator("dialog [data-results] a").first).to_contain_text("pathology")
    page.keyboard.press("Enter")
    page.wait_for_url("**/domains/pathology")
    page.keyboard.press("?")
    expect(page.locator("dialog h1")).to_contain_text("Keys")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/audit")


def test_keys_typed_ahead_of_a_slow_server_are_not_lost(opened):
    """Letters typed at once after the slash are all looked for, and Enter goes where they lead, not where one did."""
    page = opened("ann").page

    def slowly(route: Route) -> None:
        time.sleep(0.2)
        route.continue_()

    page.route("**/jump*", slowly)
    page.keyboard.press("/")
    page.keyboard.type("patho")
    page.keyboard.press("Enter")
    page.wait_for_url("**/domains/pathology")


def test_an_experiment_is_decided_from_its_page(opened, demo):
    """The verdict stands on top, and deciding it ends the experiment under the person's name."""
    it = opened("oda")
    deadline = time.monotonic() + 120
    while demo.plane.experiments.results("border").units < 400 and time.monotonic() < deadline:
        time.sleep(0.5)
    page = it.go("/experiments/border")
    expect(page.locator(".chart svg").first).to_be_visible()
    page.click(".actions >> text=Decide")
    page.select_option("#ask-decide [name=winner]", "curved")
    page.fill("#ask-decide [name=why]", "it reads better")
    page.click("#ask-decide button:not([type=button])")
    expect(page.locator(".banner")).to_contain_text("curved won")
    assert demo.plane.experiments.get("border").status.conclusion.by == "oda"


def test_colours_are_chosen_and_kept(opened):
    """The button goes from the reader's own colours to dark and to light, and the choice stays."""
    it = opened("ann")
    page = it.page
    page.click(".theme button")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(it.base + "/audit")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.click(".theme button")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
