"""Every view over a plane that was made for it: what it shows, what it lets one do, what it refuses and why."""

from datetime import timedelta

import pytest
from tests.web.site import form_key, send, sign_in

from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.rollouts.machine import Phase


def begin(plane, **schedule):
    """Start the rollout of v2 of the domain support, and let it take its first step."""
    steps = [{"weight": "10%", "bake": "1h"}, {"weight": "100%", "bake": "1h"}]
    return plane.canary.deploy_with_rollout("support", "v2", {"steps": steps, **schedule}, actor="ann")


def served(plane, count=200, version="v1"):
    """Record what users of the domain support were answered in the last minutes."""
    now = plane.instruments.now()
    plane.lake.ship(
        f"b-{version}",
        [
            Outcome(
                id=f"o-{version}-{number}",
                domain="support",
                at=now - timedelta(seconds=number % 120),
                assigned=version,
                served=version,
                plan_revision=2,
                bucket=number % 1024,
                status=OutcomeStatus.OK,
                measures={"error": float(number % 20 == 0), "latency_ms": 40.0},
            )
            for number in range(count)
        ],
    )


def test_an_empty_fleet_teaches_the_first_command(viewer):
    """Without a domain the page says what to type."""
    assert "vedette apply -f" in viewer.get("/").text


def test_the_fleet_shows_what_needs_a_hand_first(viewer, furnished):
    """A paused rollout stands above steady domains, is counted, and is all that is left under its chip."""
    for name in ("alpha", "omega"):
        furnished.domains.create(name, DomainSpec(), actor="ann")
    furnished.canary.pause(begin(furnished).id, actor="ann")
    page = viewer.get("/").text
    assert page.index("/domains/support") < page.index("/domains/alpha") < page.index("/domains/omega")
    assert "was paused by hand" in page
    assert "1 to look at" in page
    only = viewer.get("/?show=attention").text
    assert "/domains/support" in only
    assert 'href="/domains/alpha"' not in only


def test_the_fleet_is_searched_filtered_sorted_and_paged(viewer, furnished):
    """Words, labels, order and page stand in the address, and each does what it says."""
    for number in range(60):
        furnished.domains.create(f"d{number:02}", DomainSpec(title=f"Number {number}"), actor="ann")
    assert "page 1 of 2, 61 domains" in viewer.get("/").text
    assert "page 2 of 2" in viewer.get("/?page=99").text
    assert viewer.get("/?search=number+59").text.count('<th scope="row">') == 1
    assert viewer.get("/?label=team%3Dblue").text.count('<th scope="row">') == 1
    assert "No domain fits" in viewer.get("/?search=nowhere").text
    served(furnished)
    first = viewer.get("/?sort=traffic").text
    assert first.index("/domains/support") < first.index("/domains/d00")
    lines = viewer.get("/fleet.csv?search=number").text.strip().splitlines()
    assert len(lines) == 61


def test_a_domain_shows_versions_traffic_and_what_each_revision_changed(viewer, furnished):
    """Lineage, who serves, and the fields a revision changed stand on the page."""
    furnished.domains.update("support", DomainSpec(title="Support", config=DomainConfig(timeout=9.0)), actor="ben")
    served(furnished)
    page = viewer.get("/domains/support").text
    assert "config.timeout" in page
    assert "<del>60.0</del>" in page
    assert "<ins>9.0</ins>" in page
    assert "none is alive" in page
    assert "by ben" in page
    assert viewer.get("/domains/support.json").json()["revision"] == 2
    for sheet in ("versions", "plans", "tenures", "revisions"):
        assert len(viewer.get(f"/domains/support/{sheet}.csv").text.splitlines()) > 1
    assert viewer.get("/domains/nobody").status_code == 404
    assert viewer.get("/domains/support/none.csv").status_code == 404


def test_a_domain_is_archived_restored_and_deleted(operator, furnished):
    """Each verb does what it says, in the record under the person's name, and an illegal one says why."""
    page = "/domains/support"
    assert "depend on it" in send(operator, f"{page}/do/delete", page=page).text
    assert send(operator, f"{page}/do/archive", page=page).status_code == 303
    assert furnished.domains.get("support").state == "archived"
    assert send(operator, f"{page}/do/restore", page=page).status_code == 303
    assert furnished.governance.entries(actor="oda", action="domain.restore").items


def test_the_first_version_is_made_stable_by_hand(operator, furnished):
    """A domain that serves nothing offers to make a version stable."""
    from vedette.catalog.backend import OpenAIBackend
    from vedette.catalog.version import VersionSpec

    furnished.domains.create("new", DomainSpec(), actor="ann")
    spec = VersionSpec(backend=OpenAIBackend(url="http://127.0.0.1:9/v1", model="m"))
    furnished.versions.register("new", "v1", spec, actor="ann")
    assert "Make stable" in operator.get("/domains/new").text
    assert send(operator, "/domains/new/do/install", page="/domains/new", version="v1").status_code == 303
    assert furnished.versions.aliases("new")["stable"] == "v1"


def test_every_verb_is_shown_and_says_why_not(operator, furnished):
    """A rollout that has not begun cannot be promoted or given a weight, and the page says so."""
    page = operator.get(f"/rollouts/{begin(furnished).id}").text
    assert "cannot promote a rollout that is pending" in page
    assert "cannot set-weight a rollout that is pending" in page
    assert "cannot resume a rollout that is pending" in page
    assert 'popovertarget="ask-abort"' in page


def test_what_is_dangerous_asks_first(operator, furnished):
    """Without a confirmation the server asks, and nothing happened."""
    rollout = begin(furnished).id
    asked = send(operator, f"/rollouts/{rollout}/do/abort", page=f"/rollouts/{rollout}")
    assert asked.status_code == 200
    assert "Abort support-v2?" in asked.text
    assert furnished.canary.get(rollout).status.phase is Phase.PENDING
    done = send(operator, f"/rollouts/{rollout}/do/abort", page=f"/rollouts/{rollout}", confirmed="yes", why="no")
    assert done.headers["location"] == f"/rollouts/{rollout}?done=abort"
    assert "stable serves everyone" in operator.get(done.headers["location"]).text
    assert furnished.canary.get(rollout).status.because == "no"


def test_a_refused_verb_says_why_on_the_page(operator, furnished):
    """An illegal verb, and one meant for another revision, change nothing and are explained."""
    rollout = begin(furnished).id
    path, page = f"/rollouts/{rollout}/do", f"/rollouts/{rollout}"
    refused = send(operator, f"{path}/resume", page=page, confirmed="yes")
    assert refused.status_code == 409
    assert "cannot resume a rollout that is pending" in refused.text
    stale = send(operator, f"{path}/promote", page=page, confirmed="yes", revision="99")
    assert stale.status_code == 412
    assert "is at revision 1, not 99" in stale.text
    assert send(operator, f"{path}/explode", page=page).status_code == 404
    wrong = send(operator, f"{path}/set-weight", page=page, confirmed="yes", weight="much")
    assert wrong.status_code == 422
    assert furnished.canary.get(rollout).revision == 1


def test_a_stale_page_can_still_stop_a_rollout(operator, furnished):
    """Whoever pauses or aborts does not need the newest revision: it may have moved a moment ago by itself."""
    rollout = begin(furnished).id
    paused = send(operator, f"/rollouts/{rollout}/do/pause", page=f"/rollouts/{rollout}", revision="99")
    assert paused.status_code == 303
    assert furnished.canary.get(rollout).status.phase is Phase.PAUSED
    done = send(operator, f"/rollouts/{rollout}/do/abort", page=f"/rollouts/{rollout}", confirmed="yes", revision="1")
    assert done.status_code == 303
    assert furnished.canary.get(rollout).status.phase is Phase.ABORTED


def test_a_rollout_begins_from_the_form_with_its_plan_beside_it(operator, furnished):
    """The form shows what each step can see, keeps what was typed, and begins what it describes."""
    page = "/domains/support/start"
    assert "had no traffic in the last day" in operator.get(page).text
    planned = operator.get(f"{page}?version=v2&rpm=600&bad=2").text
    assert "with probability 90% at 600 requests a minute" in planned
    fields = {"version": "v2", "weight0": "5", "bake0": "20m", "samples0": "50", "weight1": "100", "bake1": "1h"}
    refused = send(operator, page, page=page, **(fields | {"weight1": "50"}), **{"guard.errors": "on"})
    assert refused.status_code == 422
    assert "the last step" in refused.text
    assert 'value="20m"' in refused.text
    begun = send(
        operator,
        page,
        page=page,
        **fields,
        name="mine",
        alpha="0.02",
        hold_back="2",
        **{"guard.errors": "on", "tolerance.errors": "10"},
    )
    assert begun.status_code == 303
    spec = furnished.canary.get("mine").spec
    assert [(step.weight, step.bake, step.min_samples) for step in spec.steps] == [(5, 1200, 50), (100, 3600, 0)]
    assert (spec.alpha, spec.hold_back, spec.guardrails[0].tolerance) == (0.02, 2, 0.1)
    assert furnished.canary.get("mine").created_by == "oda"


def test_a_rollout_without_evidence_has_nothing_to_replay(viewer, furnished):
    """Replay says why there is nothing to run again."""
    page = viewer.get(f"/rollouts/{begin(furnished).id}/replay").text
    assert "recorded no evidence" in page


def test_a_rollout_is_taken_away_as_json_and_csv(viewer, furnished):
    """What the page shows can be had as data."""
    rollout = begin(furnished)
    assert viewer.get(f"/rollouts/{rollout.id}.json").json()["name"] == "support-v2"
    for sheet in ("evidence", "decisions", "steps"):
        assert viewer.get(f"/rollouts/{rollout.id}/{sheet}.csv").headers["content-type"].startswith("text/csv")
    assert "support-v2" in viewer.get("/rollouts.csv").text
    assert "support-v2" in viewer.get("/rollouts?active=1&domain=support").text


def test_admins_invite_change_and_remove_people(admin, plane):
    """Roles change at once, the last admin stays, and a token is revoked."""
    assert send(admin, "/people/vic/role", page="/people", role="operator").status_code == 303
    assert send(admin, "/people/oda/remove", page="/people").status_code == 303
    refused = send(admin, "/people/ann/remove", page="/people")
    assert refused.status_code == 409
    assert "ann is the last admin" in refused.text
    assert send(admin, "/people/vic/role", page="/people", role="king").status_code == 409
    send(admin, "/tokens", page="/people", name="ci", role="viewer", days="3")
    assert send(admin, "/tokens/ci/revoke", page="/people").status_code == 303
    assert {it.name: it.role for it in plane.people.everybody()}["vic"] == "operator"


def test_the_jump_menu_finds_by_a_part_of_a_name(viewer, furnished):
    """Domains, rollouts, experiments and pages are found."""
    begin(furnished)
    page = viewer.get("/jump?q=supp").text
    assert 'href="/domains/support"' in page
    assert 'href="/rollouts/support-v2"' in page
    assert "has “nothing” in its name" in viewer.get("/jump?q=nothing").text


def test_the_stream_is_for_those_who_signed_in(site, furnished):
    """Strangers get no news; who signed in gets a stream that ends by itself."""
    assert site.get("/live").status_code == 401
    sign_in(site, "vic")
    for query in ("", "?rollout=support", "?domain=support"):
        begun = site.get(f"/live{query}")
        assert begun.headers["content-type"].startswith("text/event-stream")
        assert begun.text.startswith("retry: ")
    assert form_key(site)
    assert furnished


@pytest.mark.parametrize("path", ["/nowhere", "/rollouts/none", "/experiments/none", "/domains/x/y/z"])
def test_what_is_not_there_is_said_on_a_page(viewer, path):
    """A wrong address gets a page with a way back."""
    answer = viewer.get(path)
    assert answer.status_code == 404
    assert "To the fleet" in answer.text
