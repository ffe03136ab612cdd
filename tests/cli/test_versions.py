"""``vedette version``, on a folder and on a server."""

import hashlib


def test_an_endpoint_is_registered_and_shown(stage):
    """What register was told of an endpoint is what get and list show; the model's name defaults to the version's."""
    stage.run("domain", "create", "payments")
    stage.run(
        *("version", "register", "payments", "v1", "--url", "http://gpu:8000/v1", "--api-key-env", "KEY"),
        *("--header", "x-team=a", "--metric", "accuracy=0.91", "--label", "by=ci", "--note", "first"),
    )
    spec = stage.json("version", "get", "payments", "v1")["spec"]
    assert spec["backend"] | {"kind": "openai", "url": "http://gpu:8000/v1", "model": "v1"} == spec["backend"]
    assert spec["backend"]["headers"] == {"x-team": "a"}
    assert (spec["metrics"], spec["labels"], spec["note"]) == ({"accuracy": 0.91}, {"by": "ci"}, "first")
    assert "http://gpu:8000/v1 v1" in stage.run("version", "list", "payments").stdout


def test_the_first_version_is_installed_and_serves(stage):
    """Install makes the first version stable; serving and list name it; a second install is refused with 5."""
    stage.serving()
    assert stage.json("version", "serving", "payments")["version"] == "v1"
    assert "stable" in stage.run("version", "list", "payments").stdout
    assert "vedette rollout start" in stage.run("version", "install", "payments", "v2", code=5).stderr


def test_serving_answers_for_a_moment(stage):
    """Before its first version nothing served a domain: 3; a moment that is none: 2."""
    stage.serving()
    assert "nothing served" in stage.run("version", "serving", "payments", "--at", "2020-01-01T00:00Z", code=3).stderr
    assert "is no time" in stage.run("version", "serving", "payments", "--at", "yesterday", code=2).stderr


def test_a_version_never_changes(stage):
    """Registering the same again is fine; another spec under a known name is a conflict: 4."""
    stage.serving()
    stage.run("version", "register", "payments", "v1", "--url", "http://127.0.0.1:9/v1")
    refused = stage.run("version", "register", "payments", "v1", "--url", "http://other:9/v1", code=4)
    assert "exists with another spec" in refused.stderr


def test_a_corrupt_artefact_is_refused(stage, tmp_path):
    """An artefact that is not what its digest says ends with 8 and registers nothing."""
    stage.run("domain", "create", "payments")
    artefact = tmp_path / "model.skops"
    artefact.write_bytes(b"no model")
    digest = hashlib.sha256(b"another model").hexdigest()
    refused = stage.run(
        *("version", "register", "payments", "v1", "--artefact", str(artefact), "--digest", digest), code=8
    )
    assert "digest" in refused.stderr
    assert stage.json("version", "list", "payments")["items"] == []


def test_a_file_that_is_no_model_is_refused(stage, tmp_path):
    """A file that hashes right and still is no model is refused: 5; pickles are never opened."""
    stage.run("domain", "create", "payments")
    artefact = tmp_path / "model.skops"
    artefact.write_bytes(b"no model")
    stage.run("version", "register", "payments", "v1", "--artefact", str(artefact), code=5)
    assert stage.json("version", "list", "payments")["items"] == []


def test_a_version_answers_at_one_place(stage, tmp_path):
    """Neither place, or both, is wrong usage: 2; an artefact that is not there: 3."""
    stage.run("domain", "create", "payments")
    register = ("version", "register", "payments", "v1")
    assert "--artefact" in stage.run(*register, code=2).stderr
    stage.run(*register, "--url", "http://x/v1", "--artefact", "m.skops", code=2)
    stage.run(*register, "--url", "ftp://x", code=2)
    stage.run(*register, "--artefact", str(tmp_path / "none.skops"), code=3)
    stage.run("version", "get", "payments", "v9", code=3)
