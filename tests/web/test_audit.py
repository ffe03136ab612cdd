"""The audit log on the dashboard: found by anything, proven, compared, taken away whole, and never a way in."""

import csv
import html
import io
import json

import pytest
from sqlalchemy import text
from tests.web.site import form_key, send

from vedette.catalog.domain import DomainSpec
from vedette.governance.audit import AuditEntry, Head, verify
from vedette.kernel.documents import load

PROBE = "<img src=x onerror=alert(1)>\"'"


def numbers(client, **asked):
    """Give the entries a page lists, by their numbers."""
    page = client.get("/audit", params=asked)
    assert page.status_code == 200, page.text
    return [int(part.partition('"')[0]) for part in page.text.split('<th scope="row"><a href="/audit/')[1:]]


def entries(plane, **asked):
    """Give the same from the plane."""
    return [it.sequence for it in plane.governance.entries(newest_first=True, limit=50, **asked).items]


def test_entries_are_found_by_anything(viewer, furnished):
    """Domain, actor, action, all of a noun, resource and time: each in the address, each as the plane filters."""
    furnished.domains.create("legal", DomainSpec(), actor="oda")
    assert numbers(viewer, domain="legal") == entries(furnished, domain="legal")
    assert numbers(viewer, actor="oda") == entries(furnished, actor="oda")
    assert numbers(viewer, action="version.install") == entries(furnished, action="version.install")
    nouns = numbers(viewer, action="version.")
    assert nouns == sorted(
        entries(furnished, action="version.install") + entries(furnished, action="version.register"), reverse=True
    )
    assert numbers(viewer, resource="domain/legal") == entries(furnished, resource="domain/legal")
    at = furnished.governance.entries(domain="legal").items[0].at
    assert set(numbers(viewer, since=at.isoformat())) >= set(entries(furnished, domain="legal"))
    assert numbers(viewer, until="2001-01-01") == []
    assert "No entry fits" in viewer.get("/audit?until=2001-01-01").text
    assert "vedette audit list --domain legal" in viewer.get("/audit?domain=legal").text


def test_a_time_that_is_none_is_said(viewer, furnished):
    """A filter that cannot be read says what to write, and does not stand for everything."""
    answer = viewer.get("/audit?since=soon")
    assert answer.status_code == 422
    assert "write 2026-11-25" in answer.text
    assert viewer.get("/audit.csv?since=soon").status_code == 422
    assert furnished.governance.head().sequence > 0


def test_pages_follow_each_other_without_gaps(viewer, furnished):
    """A long record is paged; every entry is on exactly one page."""
    for number in range(70):
        furnished.governance.audit_log("note.write", "support", "ann", {"number": number})
    first = numbers(viewer, action="note.write")
    page = viewer.get("/audit?action=note.write").text
    after = html.unescape(page.split('rel="next" href="', 1)[1].partition('"')[0])
    rest = [int(part.partition('"')[0]) for part in viewer.get(after).text.split('row"><a href="/audit/')[1:]]
    found = [*first, *rest]
    assert (len(first), len(rest)) == (50, 20)
    assert found == list(range(found[0], found[0] - 70, -1))


def test_the_badge_says_up_to_where_the_chain_is_whole(viewer, furnished):
    """A whole record is verified up to its newest entry, and checking again is a button away."""
    head = furnished.governance.head()
    page = viewer.get("/audit").text
    assert "verified" in page
    assert f"whole up to entry {head.sequence}" in page
    assert str(head) in page
    assert send(viewer, "/audit/check").headers["location"] == "/audit"
    assert viewer.post("/audit/check", data={"form_key": ""}).status_code == 403


def test_a_forged_entry_is_named_on_the_page(viewer, furnished):
    """Who edits the database is found out: the badge breaks, and so does the entry's own page."""
    with furnished.store.transaction() as connection:
        connection.execute(text("DROP TRIGGER domain_audit_logs_update"))  # who owns the file can do that
        connection.execute(text("UPDATE domain_audit_logs SET actor = 'mallory' WHERE sequence = 4"))
    send(viewer, "/audit/check")
    page = viewer.get("/audit").text
    assert "The record is not as it was written." in page
    assert "entry 4 is not what its hash says" in page
    entry = viewer.get("/audit/4").text
    assert "the entry says something else" in entry
    assert "This entry is not as it was written" in entry
    assert "it is what the entry says" in viewer.get("/audit/3").text


def test_an_entry_shows_what_it_changed(viewer, furnished):
    """A changed domain, another traffic plan, and a step of a rollout each show what was and what became."""
    furnished.domains.update("support", load(DomainSpec, {"title": "Helpdesk"}), actor="oda")
    edited = furnished.governance.entries(action="domain.update", newest_first=True).items[0]
    page = html.unescape(viewer.get(f"/audit/{edited.sequence}").text)
    assert '<del>"Support"</del>' in page
    assert '<ins>"Helpdesk"</ins>' in page
    furnished.canary.deploy_with_rollout("support", "v2", [25, 100], actor="oda")
    furnished.reconciler.tick()
    published = furnished.governance.entries(action="traffic.publish", newest_first=True).items[0]
    assert "canary.version" in viewer.get(f"/audit/{published.sequence}").text
    furnished.canary.abort("support", actor="oda")
    aborted = furnished.governance.entries(action="rollout.abort").items[0]
    page = html.unescape(viewer.get(f"/audit/{aborted.sequence}").text)
    assert '<ins>"aborted"</ins>' in page
    assert f"/audit?resource={aborted.resource}" in page


def test_an_entry_stands_between_its_neighbours(viewer, furnished):
    """The first entry begins the chain, the last has none after it, and what is not there is not found."""
    last = furnished.governance.head().sequence
    assert "the beginning of the chain" in viewer.get("/audit/1").text
    assert "it is the last one" in viewer.get(f"/audit/{last}").text
    assert f"entry {last} is chained to it" in viewer.get(f"/audit/{last - 1}").text
    for number in ("0", str(last + 1), "-1", "x", "9" * 30):
        assert viewer.get(f"/audit/{number}").status_code == 404
    assert viewer.get(f"/audit/{last}.json").json()["sequence"] == last


def test_an_export_can_be_checked_elsewhere(viewer, furnished):
    """All entries as NDJSON are the chain itself, in order."""
    lines = viewer.get("/audit.jsonl").text.splitlines()
    found = [load(AuditEntry, json.loads(line)) for line in lines]
    assert verify(found, Head(sequence=found[-1].sequence, entry_hash=found[-1].entry_hash)) == ()
    assert len(found) == furnished.governance.head().sequence
    some = viewer.get("/audit.jsonl?action=version.").text.splitlines()
    assert {json.loads(line)["action"] for line in some} == {"version.register", "version.install"}


def test_csv_holds_every_entry_and_no_formula(viewer, furnished):
    """A spreadsheet gets all entries that fit, however many pages, and nothing in them is a formula."""
    for number in range(520):
        furnished.governance.audit_log("note.write", "support", "=1+1", {"number": number})
    rows = list(csv.reader(io.StringIO(viewer.get("/audit.csv?action=note.write").text.removeprefix("\ufeff"))))
    assert len(rows) == 521
    assert {row[2] for row in rows[1:]} == {"'=1+1"}


def test_nothing_in_an_entry_becomes_markup(viewer, furnished):
    """Actors, actions, details and filters are text, on the list, on the entry, and in what is typed."""
    furnished.governance.audit_log(PROBE, "support", PROBE, {PROBE: PROBE, "reasons": [{"message": PROBE}]})
    furnished.governance.audit_log("x.y", "support", "ann", {"changed": {PROBE: [PROBE, "b"]}, "name": PROBE})
    last = furnished.governance.head().sequence
    for path in ("/audit", f"/audit/{last}", f"/audit/{last - 1}"):
        assert "<img" not in viewer.get(path).text, path
    for name in ("domain", "actor", "action", "resource", "since", "until"):
        assert "<img" not in viewer.get("/audit", params={name: PROBE}).text, name


@pytest.mark.parametrize("path", ["/audit", "/audit/1", "/audit.csv", "/audit.jsonl", "/explain", "/experiments"])
def test_strangers_see_nothing(site, furnished, path):
    """Whoever has not signed in is sent to do so."""
    assert furnished.governance.head().sequence > 0
    assert site.get(path).headers["location"].startswith("/sign-in")


def test_a_page_cannot_be_framed_and_runs_nothing_inline(viewer, furnished):
    """Every page of the record forbids frames and inline code, and has none."""
    for path in ("/audit", f"/audit/{furnished.governance.head().sequence}", "/explain", "/experiments"):
        answer = viewer.get(path)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert "style=" not in answer.text
        assert "<style" not in answer.text
        assert "onclick" not in answer.text
    assert form_key(viewer)
