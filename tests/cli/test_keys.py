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


def test_a_domain_wants_keys(stage):
    """The access of a domain is a flag, and shown."""
    stage.run("domain", "create", "payments", "--access", "keys")
    assert stage.json("domain", "get", "payments")["config"]["access"] == "keys"
    assert "keys" in stage.run("domain", "update", "payments", "--title", "Pay").stdout
