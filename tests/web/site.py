"""How tests behave like a browser: sign in, read the key of forms, send them."""

import re

PASSWORD = "correct horse battery"  # noqa: S105 - of people who exist in tests only


def sign_in(site, name, password=PASSWORD):
    """Sign in and give the client with its cookie."""
    answer = site.post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 303, answer.text
    return site


def form_key(client, path="/help"):
    """Read the key that stands in the forms of a page."""
    found = re.search(r'name="form_key" value="([^"]+)"', client.get(path).text)
    assert found, f"no form with a key on {path}"
    return found[1]


def send(client, path, page="/help", **fields):
    """Send a form as the page ``page`` would."""
    return client.post(path, data={"form_key": form_key(client, page), **fields})
