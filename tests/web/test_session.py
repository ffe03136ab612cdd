"""Who may come in: signing in and out, invitations, throttling, and what the API takes."""

import pytest
from tests.web.site import PASSWORD, sign_in

from vedette.control.people import TRIES
from vedette.control.plane import open_plane
from vedette.governance.roles import Role
from vedette.kernel.errors import Refused
from vedette.web.app import WAYS, create_app
from vedette.web.ask import PUBLIC

BEARER = "Authorization"


def test_nobody_sees_a_page_without_signing_in(site):
    """Every address that is not public sends a stranger to the sign-in page, and back where they wanted to go."""
    for way in WAYS:
        if way.needs == PUBLIC or way.method != "GET":
            continue
        path = way.path.replace("{", "").replace("}", "").replace(":int", "")
        answer = site.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in"), path


def test_nobody_changes_anything_without_signing_in(site):
    """Every form of an address that is not public is turned away from strangers."""
    for way in WAYS:
        if way.needs != PUBLIC and way.method == "POST":
            answer = site.post(way.path.replace("{", "").replace("}", ""), data={"form_key": ""})
            assert answer.headers.get("location", "").startswith("/sign-in"), way.path


def test_a_person_signs_in_and_out(site, plane):
    """A password opens a session, signing out ends it, and both are in the record."""
    sign_in(site, "ann")
    assert site.get("/").status_code == 200
    kept = site.cookies.get("vedette_session")
    assert site.post("/sign-out").status_code == 303
    site.cookies.set("vedette_session", kept)
    assert site.get("/").status_code == 303
    assert {"person.sign-in", "person.sign-out"} <= {it.action for it in plane.governance.entries(actor="ann").items}


def test_the_cookie_is_out_of_reach(site):
    """The session's cookie is HttpOnly and SameSite=Lax, and nothing of it stands in the database."""
    answer = site.post("/sign-in", data={"name": "ann", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_wrong_passwords_are_throttled(site, plane):
    """After some wrong passwords even the right one waits, and the record says so."""
    for _ in range(TRIES):
        assert site.post("/sign-in", data={"name": "vic", "password": "wrong"}).status_code == 403
    refused = site.post("/sign-in", data={"name": "vic", "password": PASSWORD})
    assert refused.status_code == 403
    assert "too many wrong passwords" in refused.text
    assert "person.locked" in {it.action for it in plane.governance.entries(actor="vedette/door").items}


def test_nobody_learns_whether_a_name_exists(site):
    """An unknown name and a wrong password get the same answer."""
    said = [site.post("/sign-in", data={"name": name, "password": "wrong"}).text for name in ("ann", "who")]
    assert said[0].replace('value="ann"', "") == said[1].replace('value="who"', "")


def test_an_invitation_opens_once(site, plane):
    """The link makes a person of the role it names, signs in, and is used up."""
    key = plane.people.invite("new", Role.VIEWER, actor="ann")
    assert "invites you as" in site.get(f"/welcome?key={key}").text
    assert site.post("/welcome", data={"key": key, "password": "short"}).status_code == 422
    assert site.post("/welcome", data={"key": key, "password": PASSWORD}).status_code == 303
    assert site.get("/").status_code == 200
    assert site.get(f"/welcome?key={key}").status_code == 404
    assert next(it for it in plane.people.everybody() if it.name == "new").role is Role.VIEWER


def test_an_invitation_without_a_name_takes_no_other_persons_name(site, plane):
    """Who chooses a name cannot choose that of somebody who is there."""
    key = plane.people.invite("", Role.VIEWER, actor="ann")
    assert site.post("/welcome", data={"key": key, "name": "ann", "password": PASSWORD}).status_code == 422
    assert site.get(f"/welcome?key={key}").status_code == 200


def test_the_last_admin_stays(plane):
    """Nobody can lock everybody out."""
    with pytest.raises(Refused, match="last admin"):
        plane.people.leave("ann", actor="ann")
    with pytest.raises(Refused, match="last admin"):
        plane.people.set_role("ann", Role.VIEWER, actor="ann")


def test_who_leaves_is_out_at_once(viewer, plane):
    """A person who was removed is turned away at the next request."""
    plane.people.leave("vic", actor="ann")
    assert viewer.get("/").status_code == 303


def test_the_sign_in_page_sends_nobody_elsewhere(site):
    """The address to go to after signing in is one of this site."""
    for to in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"):
        answer = site.post("/sign-in", data={"name": "ann", "password": PASSWORD, "next": to})
        assert answer.headers["location"] == "/"


def test_the_api_takes_tokens_by_their_role(site, furnished):
    """A token reads or writes by its role, acts under its own name whatever the header says, and can be revoked."""
    view = furnished.people.create_token("look", Role.VIEWER, actor="ann")
    work = furnished.people.create_token("work", Role.OPERATOR, actor="ann")
    body = {"spec": {"domain": "support", "version": "v2"}}
    assert site.get("/api/v1/domains").status_code == 401
    assert site.get("/api/v1/domains", headers={BEARER: f"Bearer {view}"}).status_code == 200
    assert site.post("/api/v1/rollouts", json=body, headers={BEARER: f"Bearer {view}"}).status_code == 403
    made = site.post("/api/v1/rollouts", json=body, headers={BEARER: f"Bearer {work}", "X-Vedette-Actor": "ann"})
    assert made.json()["createdBy"] == "token/work"
    furnished.people.revoke_token("work", actor="ann")
    refused = site.get("/api/v1/domains", headers={BEARER: f"Bearer {work}"})
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_the_api_takes_a_session_with_its_form_key(viewer, operator, furnished):
    """A session may read; to change anything it sends the key of its forms, which no other site knows."""
    assert viewer is operator
    body = {"spec": {"domain": "support", "version": "v2"}}
    assert operator.get("/api/v1/domains").status_code == 200
    assert operator.post("/api/v1/rollouts", json=body).status_code == 401
    _, key = furnished.people.caller_of_session(operator.cookies["vedette_session"])
    made = operator.post("/api/v1/rollouts", json=body, headers={"X-Form-Key": key})
    assert made.json()["createdBy"] == "oda"


def test_a_server_that_is_nobodys_trusts_its_own_machine_only(tmp_path):
    """Without a person or a token the API takes whoever comes by a name of this machine; later nobody unproven."""
    from starlette.testclient import TestClient

    from vedette.api.door import Door

    with open_plane(tmp_path / "new", actor="") as plane:
        door = Door(plane.people, trusting=True, hosts=frozenset({"127.0.0.1:8700"}))
        with TestClient(create_app(plane, door=door)) as client:
            here = {"Host": "127.0.0.1:8700"}
            assert client.get("/api/v1/domains", headers=here).status_code == 200
            assert client.get("/api/v1/domains", headers={"Host": "evil.example:8700"}).status_code == 401
            plane.people.create_token("first", Role.OPERATOR, actor="ann")
            assert client.get("/api/v1/domains", headers=here).status_code == 401
            assert client.get("/livez").status_code == 200
