"""``vedette apply``, on a folder and on a server."""

import pytest

DOMAIN = """\
apiVersion: vedette/v1
kind: Domain
metadata:
  name: payments
  labels: {team: billing}
spec:
  title: Payments
  config:
    timeout: 20s
"""
VERSIONS = """\
apiVersion: vedette/v1
kind: ModelVersion
metadata:
  name: v1
spec:
  domain: payments
  backend: {kind: openai, url: "http://127.0.0.1:9/v1", model: v1}
---
apiVersion: vedette/v1
kind: ModelVersion
metadata:
  name: v2
spec:
  domain: payments
  backend: {kind: openai, url: "http://127.0.0.1:9/v1", model: v2}
"""
ROLLOUT = """\
apiVersion: vedette/v1
kind: Rollout
metadata:
  name: to-v2
spec:
  domain: payments
  version: v2
"""


@pytest.fixture
def models(tmp_path):
    """A folder with a domain and its versions, in two files."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "b-domain.yaml").write_text(DOMAIN)
    (folder / "a-versions.yml").write_text(VERSIONS)
    (folder / "notes.txt").write_text("no document")
    return folder


def test_documents_become_what_they_say_and_applying_again_changes_nothing(stage, models):
    """A folder's documents are applied in the order they need; the second time all is unchanged."""
    first = stage.json("apply", "-f", str(models))
    assert [(item["kind"], item["result"]) for item in first] == [
        ("Domain", "created"),
        ("ModelVersion", "created"),
        ("ModelVersion", "created"),
    ]
    assert {item["result"] for item in stage.json("apply", "-f", str(models))} == {"unchanged"}
    stage.run("version", "install", "payments", "v1")
    assert "created" in stage.run("apply", "-f", "-", stdin=ROLLOUT).stdout
    assert stage.json("rollout", "get", "to-v2")["spec"]["version"] == "v2"


def test_a_dry_run_says_what_would_change_and_keeps_nothing(stage, models):
    """Apply --dry-run does the same work and leaves nothing behind."""
    planned = stage.run("apply", "-f", str(models), "--dry-run")
    assert "created" in planned.stdout
    assert "nothing was changed" in planned.stderr
    assert stage.json("domain", "list")["items"] == []


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("kind: [Domain\n", "", "malformed YAML"),
        (DOMAIN.replace("timeout: 20s", "timeout: soon"), ":9:5", "'soon' is no duration"),
        (DOMAIN.replace("title:", "titel:"), ":7:3", "unknown field"),
        (DOMAIN.replace("Domain", "Doman"), ":2:1", "unknown kind 'Doman'"),
    ],
)
def test_a_wrong_document_is_refused_by_file_line_and_column(stage, models, text, place, said):
    """What is wrong is named by its file, line and column: 2; nothing of any document is kept."""
    wrong = models / "c-wrong.yaml"
    wrong.write_text(text)
    refused = stage.run("apply", "-f", str(models), code=2).stderr
    assert f"{wrong}{place}:" in refused
    assert said in refused
    assert stage.json("domain", "list")["items"] == []


def test_what_is_refused_changes_nothing_of_the_rest(stage, models):
    """A version of an unknown domain ends with 3, and the domain beside it is not made."""
    (models / "a-versions.yml").write_text(VERSIONS.replace("domain: payments", "domain: nowhere"))
    stage.run("apply", "-f", str(models), code=3)
    assert stage.json("domain", "list")["items"] == []


def test_nothing_to_apply_is_said(stage, tmp_path):
    """A file that is not there ends with 3; one without documents with 2; no file at all is wrong usage: 2."""
    stage.run("apply", "-f", str(tmp_path / "none.yaml"), code=3)
    (tmp_path / "empty.yaml").write_text("\n")
    stage.run("apply", "-f", str(tmp_path / "empty.yaml"), code=2)
    stage.run("apply", code=2)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in stage.run("apply", "-f", str(tmp_path / "binary.yaml"), code=2).stderr
