"""``vedette domain``, on a folder and on a server."""

import pytest


def test_a_domain_is_created_shown_and_listed(stage):
    """What create was told is what get and list show."""
    stage.run("domain", "create", "legal", "--title", "Law", "--label", "team=a", "--unit", "header", "--retries", "2")
    found = stage.json("domain", "get", "legal")
    assert (found["title"], found["labels"], found["revision"]) == ("Law", {"team": "a"}, 1)
    assert found["config"]["assignment"]["unit"] == "header"
    assert found["config"]["retries"] == 2
    assert [item["id"] for item in stage.json("domain", "list")["items"]] == ["legal"]
    assert "legal" in stage.run("domain", "list").stdout


def test_update_changes_what_is_given_and_keeps_the_rest(stage):
    """An update of one field keeps title, labels and the other settings, and makes a revision by its actor."""
    stage.run("domain", "create", "legal", "--title", "Law", "--label", "team=a", "--retries", "2")
    changed = stage.json("domain", "update", "legal", "--timeout", "20s", "--label", "tier=1", "--actor", "bob")
    assert changed["config"] | {"timeout": 20.0, "retries": 2} == changed["config"]
    assert changed["title"] == "Law"
    assert changed["labels"] == {"team": "a", "tier": "1"}
    revisions = stage.json("domain", "revisions", "legal")["items"]
    assert [(item["domain"]["revision"], item["actor"]) for item in revisions] == [(2, "bob"), (1, "ada")]


def test_a_stale_if_match_is_refused_and_nothing_is_lost(stage):
    """A write that names an old revision ends with 4, says so, and leaves the newer revision."""
    stage.run("domain", "create", "legal", "--title", "Law")
    stage.run("domain", "update", "legal", "--title", "Laws", "--if-match", "1")
    for verb in (["update", "--title", "Lost"], ["archive"], ["delete", "--yes"]):
        refused = stage.run("domain", verb[0], "legal", *verb[1:], "--if-match", "1", code=4)
        assert refused.stderr.startswith("error: ")
        assert "revision 2" in refused.stderr
    assert stage.json("domain", "get", "legal")["title"] == "Laws"


def test_a_domain_is_archived_restored_and_deleted(stage):
    """Archive, restore and delete follow the lifecycle; what it does not allow ends with 5."""
    stage.run("domain", "create", "legal")
    assert stage.json("domain", "archive", "legal")["state"] == "archived"
    assert "archived" in stage.run("domain", "update", "legal", "--title", "x", code=5).stderr
    assert stage.json("domain", "restore", "legal")["state"] == "active"
    assert stage.json("domain", "delete", "legal", "--yes")["state"] == "deleted"
    assert stage.json("domain", "list")["items"] == []
    assert [item["id"] for item in stage.json("domain", "list", "--state", "deleted")["items"]] == ["legal"]


def test_a_served_domain_cannot_be_deleted(stage):
    """Delete refuses with 5 while a stable version depends on the domain."""
    stage.serving()
    assert "depend on it" in stage.run("domain", "delete", "payments", "--yes", code=5).stderr


def test_an_unknown_domain_is_said_with_what_to_do(stage):
    """An unknown domain ends every verb with 3 and a hint."""
    stage.run("domain", "create", "legal")
    for verb in ("get", "archive", "restore", "revisions", "history"):
        refused = stage.run("domain", verb, "nowhere", code=3).stderr
        assert refused == "error: there is no domain 'nowhere' (`vedette domain list` shows those there are)\n"


def test_history_says_what_was_stable_when(stage):
    """History lists tenures, the newest first and open."""
    stage.serving()
    tenures = stage.json("domain", "history", "payments")["items"]
    assert [(item["version"], item["until"]) for item in tenures] == [("v1", None)]
    assert "now" in stage.run("domain", "history", "payments").stdout


def test_listings_go_on_after_their_cursor(stage):
    """A page names its cursor on standard error, and --after gives the rest without a repeat."""
    for name in ("a", "b", "c"):
        stage.run("domain", "create", name)
    first = stage.run("domain", "list", "--limit", "2")
    cursor = first.stderr.split()[-1]
    page = stage.json("domain", "list", "--limit", "2", "--after", cursor)
    assert [item["id"] for item in page["items"]] == ["c"]
    assert page["next"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "No Name"], "'No Name'"),
        (["create", "x", "--timeout", "soon"], "'soon' is no duration"),
        (["create", "x", "--retries", "9"], "retries"),
        (["create", "x", "--label", "alone"], "not name=value"),
        (["create", "x", "--unit", "moon"], "--unit"),
        (["list", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_input_ends_with_two_and_names_what_is_wrong(stage, arguments, said):
    """Input that is wrong is refused with 2 and one line that names it; nothing is made."""
    refused = stage.run("domain", *arguments, code=2)
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_what_a_domain_used_is_shown(stage):
    """Spending shows tokens and money of today and this month, in words and as JSON; an unknown domain ends with 3."""
    stage.serving().work(stable=2)
    assert "this month" in stage.run("domain", "spending", "payments").stdout
    assert [spent["per"] for spent in stage.json("domain", "spending", "payments")] == ["day", "month"]
    stage.run("domain", "spending", "nowhere", code=3)
