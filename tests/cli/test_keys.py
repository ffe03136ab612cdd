"""``vedette key``, on a folder and on a server."""


def test_a_key_from_its_making_to_its_end(stage):
    """A key is made with its secret shown, listed without it, and revoked."""
    stage.serving()
    shown = stage.run("key", "create", "mobile", "--domain", "payments", "--note", "the app").stdout
    assert "vdt_" in shown
    issued = stage.json("key", "create", "batch")
    assert issued["secret"].startswith(f"vdt_{issued['key']['id']}_")
    listed = stage.run("key", "list").stdout
    assert "payments" in listed
    assert "vdt_" not in listed
    assert stage.json("key", "revoke", "batch", "--why", "unused", "--yes")["revokedBy"] == "ada"
    assert "revoked already" in stage.run("key", "revoke", "batch", "--yes", code=5).stderr


def test_a_key_that_ends_is_shown_and_marked(stage):
    """Lists say when keys end; those within fourteen days are marked, and an unreadable end is refused."""
    stage.serving()
    for name, ends in (("soon", "13d12h"), ("later", "90d"), ("dated", "2999-01-31")):
        stage.run("key", "create", name, "--expires", ends)
    stage.run("key", "create", "lasting")
    lines = {line.split()[0]: line for line in stage.run("key", "list").stdout.splitlines()}
    assert "! expires in 13d1" in lines["soon"]
    assert "  expires in 89d23h" in lines["later"] or "  expires in 90d" in lines["later"]
    assert "expires" not in lines["lasting"]
    assert stage.json("key", "list")["items"][0]["spec"]["expiresAt"] == "2999-01-31T00:00:00Z"
    assert "no time" in stage.run("key", "create", "wrong", "--expires", "soon", code=2).stderr


def test_a_key_is_changed_by_what_is_given(stage):
    """What a flag names is changed, the rest is kept; limits and ends can be taken off, domains widened again."""
    stage.serving()
    stage.run("key", "create", "k", "--domain", "payments", "--requests-per-minute", "60", "--note", "n")
    spec = stage.json("key", "update", "k", "--expires", "2999-01-31", "--tokens-per-minute", "9")["spec"]
    assert spec == {
        "domains": ["payments"],
        "limits": {"requestsPerMinute": 60, "tokensPerMinute": 9},
        "note": "n",
        "expiresAt": "2999-01-31T00:00:00Z",
    }
    changed = ("key", "update", "k", "--all-domains", "--requests-per-minute", "0", "--expires", "never")
    spec = stage.json(*changed, "--if-match", "2")["spec"]
    assert (spec["domains"], spec["limits"]["requestsPerMinute"], spec["expiresAt"]) == ([], 0, None)
    assert "not 2" in stage.run("key", "update", "k", "--note", "m", "--if-match", "2", code=4).stderr
    assert "exclude" in stage.run("key", "update", "k", "--all-domains", "--domain", "payments", code=2).stderr
    assert "3" in stage.run("key", "update", "k").stdout


def test_a_domain_wants_keys(stage):
    """The access of a domain is a flag, and shown."""
    stage.run("domain", "create", "payments", "--access", "keys")
    assert stage.json("domain", "get", "payments")["config"]["access"] == "keys"
    assert "keys" in stage.run("domain", "update", "payments", "--title", "Pay").stdout
