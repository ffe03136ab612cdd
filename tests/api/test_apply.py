"""Documents applied: all of them or none, in the right order, with the place of what is wrong."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.api.people import ACTOR

from vedette.control.apply import apply_text
from vedette.kernel.errors import InvalidDocument, InvalidInput, Refused

EXAMPLES = Path(__file__).parents[2] / "examples"
YAML = {**ACTOR, "Content-Type": "application/yaml"}


def example(*names: str) -> str:
    """The canonical documents of those names, as one text."""
    return "---\n".join((EXAMPLES / f"{name}.yaml").read_text() for name in names)


def send(client: TestClient, text: str | bytes, query: str = "", **headers: str) -> Any:
    """Apply a text over HTTP."""
    return client.post(f"/api/v1/apply{query}", content=text, headers={**YAML, **headers})


def results(response: Any) -> list[tuple[str, str, str]]:
    """What each document did."""
    assert response.status_code == 200, response.text
    return [(it["kind"], it["name"], it["result"]) for it in response.json()["items"]]


def test_documents_are_applied_in_the_order_they_need(client, plane):
    """Versions written before their domain come after it; the same text again changes nothing."""
    text = example("version", "domain")
    entries = [("Domain", "support"), ("ModelVersion", "v1"), ("ModelVersion", "v2")]
    assert results(send(client, text)) == [(*entry, "created") for entry in entries]
    recorded = plane.governance.head()
    assert results(send(client, text)) == [(*entry, "unchanged") for entry in entries]
    assert plane.governance.head() == recorded


def test_every_canonical_example_applies(client, plane):
    """The examples this project gives work together, and a changed one changes just what it says."""
    send(client, example("domain", "version"))
    plane.versions.install("support", "v1", actor="ann")
    text = example("rollout", "version", "domain")
    assert results(send(client, text))[-1] == ("Rollout", "support-v2", "created")
    changed = send(client, text.replace("timeout: 30s", "timeout: 20s").replace("alpha: 0.05", "alpha: 0.01"))
    outcome = {it["kind"] + it["name"]: (it["result"], sorted(it["changes"])) for it in changed.json()["items"]}
    assert outcome == {
        "Domainsupport": ("changed", ["config"]),
        "ModelVersionv1": ("unchanged", []),
        "ModelVersionv2": ("unchanged", []),
        "Rolloutsupport-v2": ("changed", ["alpha"]),
    }
    assert plane.canary.get("support-v2").spec_revision == 2


def test_when_one_document_is_refused_none_is_applied(client, plane):
    """A rollout without a stable version to compare with takes its domain and versions with it."""
    response = send(client, example("domain", "version", "rollout"))
    assert response.status_code == 409
    assert response.json()["details"]["document"] == "Rollout support-v2"
    assert plane.domains.page().items == ()
    assert plane.governance.head().sequence == 0
    with pytest.raises(Refused, match="no stable version"):
        apply_text(plane, example("domain", "version", "rollout"), actor="ann")


def test_a_dry_run_says_the_same_and_keeps_nothing(client, plane):
    """It goes through every step of the real thing, refusals included."""
    text = example("domain", "version")
    said = results(send(client, text, "?dryRun=true"))
    assert plane.domains.page().items == ()
    assert plane.governance.head().sequence == 0
    assert said == results(send(client, text))
    refused = send(client, text.replace("model: support-7b}", "model: other}"), "?dryRun=true")
    assert refused.status_code == 409


def test_labels_are_those_of_metadata(client, plane):
    """Domains and versions take their labels from metadata; a rollout has none."""
    labelled = example("version").replace("  name: v1\n", "  name: v1\n  labels: {size: small}\n")
    send(client, example("domain") + "---\n" + labelled)
    assert plane.domains.get("support").labels == {"team": "care"}
    assert plane.versions.get("support", "v1").spec.labels == {"size": "small"}
    text = example("rollout").replace("  name: support-v2\n", "  name: support-v2\n  labels: {a: b}\n")
    response = send(client, text)
    assert (response.status_code, response.json()["details"]["line"]) == (422, 4)


@pytest.mark.parametrize(
    ("text", "status", "line", "column"),
    [
        ("a: [1,\n  2", 400, 2, 4),
        ("kind: Domain\n\tmetadata: {}", 400, 2, 1),
        ("just text", 422, 1, 1),
        ("apiVersion: vedette/v2\nkind: Domain\nmetadata: {name: a}", 422, 1, 1),
        ("apiVersion: vedette/v1\nkind: Domein\nmetadata: {name: a}", 422, 2, 1),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\nspec:\n  titel: x", 422, 5, 3),
        ("apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\nspec:\n  config:\n    retries: 9", 422, 5, 3),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(client, plane, text, status, line, column):
    """Malformed text is refused by 400, a wrong document by 422, both with the place; nothing is changed."""
    response = send(client, text)
    assert response.status_code == status
    details = response.json()["details"]
    assert (details["line"], details["column"]) == (line, column)
    assert plane.governance.head().sequence == 0


def test_text_that_is_no_utf_8_is_named_by_its_place(client):
    """Bytes that are no text are refused where they stand."""
    response = send(client, b"a: 1\nb: \xff")
    assert (response.status_code, response.json()["details"]["line"], response.json()["details"]["column"]) == (
        400,
        2,
        4,
    )


def test_one_thing_described_twice_is_refused(plane):
    """Two documents of one name would leave it to chance which holds; versions of two domains are two things."""
    with pytest.raises(InvalidDocument, match="described twice"):
        apply_text(plane, example("domain", "domain"), actor="ann")
    two = example("domain") + "---\n" + example("domain").replace("name: support", "name: other")
    version = example("version").split("---")[0]
    applied = apply_text(plane, f"{two}---\n{version}---\n{version.replace('support', 'other')}", actor="ann")
    assert [it.domain for it in applied] == ["support", "other", "support", "other"]


def test_text_without_a_document_is_refused(plane):
    """An empty file is more likely a mistake than a wish."""
    with pytest.raises(InvalidInput, match="no document"):
        apply_text(plane, "# nothing\n---\n", actor="ann")


def test_json_is_taken_and_other_media_are_not(client, plane):
    """JSON is YAML; a form or an unnamed body is refused."""
    text = '{"apiVersion": "vedette/v1", "kind": "Domain", "metadata": {"name": "a"}, "spec": {"title": "A"}}'
    assert results(send(client, text, **{"Content-Type": "application/json"})) == [("Domain", "a", "created")]
    assert send(client, text, **{"Content-Type": "text/plain"}).status_code == 415
    assert plane.domains.get("a").title == "A"


def test_what_would_never_end_is_refused(client):
    """Aliases of aliases that would fill the memory, one that holds itself, and brackets without end are refused."""
    begin = "apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\nspec:\n"
    many = ",".join(["*x{}"] * 10)
    levels = "".join(f"  x{n}: &x{n} [{many.replace('{}', str(n - 1))}]\n" for n in range(1, 30))
    for text, line in (
        (f"{begin}  x0: &x0 [a]\n{levels}", 4),
        (f"{begin}  self: &s [*s]\n", 5),
        ("\n" + "[" * 900_000, 2),
    ):
        response = send(client, text)
        assert response.status_code in {400, 422}
        assert response.json()["details"]["line"] == line
