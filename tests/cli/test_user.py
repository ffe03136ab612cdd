"""``vedette user`` and ``vedette token``: who may come in; and what a server makes of tokens."""

import re

import httpx
import pytest
from tests.cli.test_serve import serving

from vedette.client.client import Client
from vedette.control.plane import open_plane
from vedette.governance.roles import Role
from vedette.kernel.errors import Denied

PASSWORD = "correct horse battery"  # noqa: S105 - of people who exist in tests only


def test_an_invitation_is_printed_as_a_link(here):
    """The link names the dashboard and opens once."""
    here.serving()
    link = here.run("user", "invite", "ada", "--role", "operator", "--at", "https://v.example/").stdout.strip()
    assert link.startswith("https://v.example/welcome?key=")
    with open_plane(here.folder) as plane:
        begun = plane.people.accept(link.partition("key=")[2], "", PASSWORD)
    assert (begun.person.name, begun.person.role) == ("ada", "operator")


def test_people_are_listed_change_role_and_leave(here):
    """What is done stands in the listing at once; the last admin cannot go."""
    here.serving()
    with open_plane(here.folder) as plane:
        for name in ("ada", "bob"):
            plane.people.accept(plane.people.invite(name, Role.ADMIN), name, PASSWORD)
    here.run("user", "role", "bob", "viewer")
    assert {it["name"]: it["role"] for it in here.json("user", "list")} == {"ada": "admin", "bob": "viewer"}
    assert "last admin" in here.run("user", "remove", "ada", "--yes", code=5).output
    here.run("user", "remove", "bob", "--yes")
    assert next(it for it in here.json("user", "list") if it["name"] == "bob")["endedAt"]


def test_a_token_is_told_once_and_revoked(here):
    """The secret is all that is printed, so that a shell can keep it; the list does not hold it."""
    here.serving()
    secret = here.run("token", "create", "ci", "--role", "operator", "--days", "3").stdout.strip()
    assert re.fullmatch(r"vdt_[\w-]{43}", secret)
    assert secret not in here.run("token", "list").stdout
    assert "there is a token 'ci' already" in here.run("token", "create", "ci", code=4).output
    here.run("token", "revoke", "ci")
    assert here.json("token", "list")[0]["endedAt"]
    assert here.run("token", "revoke", "ci", code=3)


def test_a_server_is_taken_possession_of_by_its_link(here, monkeypatch):
    """A new server prints a link; once opened, its API asks for a token, and a token lets the command line in."""
    here.serving()
    with serving(here.folder, "--no-gateway") as server:
        with Client(server.api, actor="ada") as client:
            assert client.domains.page().items
        _, said, _ = server.end()
    (link,) = re.findall(r"/welcome\?key=\S+", said)
    with serving(here.folder, "--no-gateway") as server:
        assert httpx.get(server.api + link).status_code == 404  # each start has a link of its own
        with open_plane(here.folder) as plane:
            plane.people.accept(plane.people.invite("ada", Role.ADMIN), "ada", PASSWORD)
        with Client(server.api, actor="ada") as client, pytest.raises(Denied, match="asks who you are"):
            client.domains.page()
        secret = here.run("token", "create", "laptop", "--role", "operator").stdout.strip()
        monkeypatch.setenv("VEDETTE_TOKEN", secret)
        remote = type(here)(here.folder, "--server", server.api)
        assert remote.json("domain", "list")["items"][0]["id"] == "payments"
        made = remote.json("rollout", "start", "payments", "v2")
        assert made["createdBy"] == "token/laptop"
        monkeypatch.setenv("VEDETTE_TOKEN", "vdt_nonsense")
        assert "token is none" in remote.run("domain", "list", code=6).output
    with serving(here.folder, "--no-gateway") as server:
        assert "welcome" not in server.end()[1]
