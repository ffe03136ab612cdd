"""A connection to PostgreSQL is encrypted and knows whom it talks to, or says why not."""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from tests import postgres, standby
from tests.certificates import certified, needs_openssl
from tests.lake.making import outcome

from vedette.catalog.domain import DomainSpec
from vedette.cli import checks
from vedette.control.plane import open_plane
from vedette.database.standing import standing
from vedette.kernel.errors import Unavailable
from vedette.kernel.records import evolve
from vedette.store.engine import Store

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def server():
    """A server with a certificate of localhost, for connections that ask for it and for others."""
    folder = Path(tempfile.mkdtemp(prefix="vedette-tls-", dir=postgres.place()))
    started = standby.Server(folder, "server")
    try:
        certified(folder)
        for each in (folder, *folder.iterdir()):
            started.own(each)
        started.make()
        started.start()
        started.ask("CREATE DATABASE vedette")
        yield started
    finally:
        started.end()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def encrypted(server):
    """The same, once it encrypts."""
    server.set("ssl_cert_file", f"{server.folder}/certificate.pem")
    server.set("ssl_key_file", f"{server.folder}/key.pem")
    server.set("ssl", "on")
    return server


@pytest.fixture(scope="module")
def authority(encrypted):
    """The certificate that vouches for it."""
    return encrypted.folder / "certificate.pem"


def _url(server, host="localhost", **asked):
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return f"postgresql://vedette:secret@{host}:{server.port}/vedette?{query}"


def test_a_server_that_does_not_encrypt_is_refused_where_encryption_is_asked_for(server):
    """The error says so, and what to do on which side."""
    with closing(Store(_url(server, sslmode="require"))) as store, pytest.raises(Unavailable, match="turn ssl on"):
        store.migrate()


def test_store_and_lake_work_over_a_verified_connection(encrypted, authority):
    """With the certificate of its authority the tables are made, and outcomes stored, by TLS 1.2 or newer."""
    url = _url(encrypted, sslmode="verify-full", sslrootcert=authority)
    with open_plane(url) as plane:
        plane.domains.create("payments", DomainSpec(), actor="ada")
        assert plane.lake.ship("first", [outcome()]) == 1
        for database in (plane.store, plane.lake._database):
            with database.reading() as connection:
                used = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                assert connection.execute(text(used)).one() in {(True, "TLSv1.2"), (True, "TLSv1.3")}


@pytest.mark.parametrize(
    ("host", "named", "why", "hint"),
    [
        ("localhost", "other", "certificate verify failed", "let sslrootcert in the URL name the authority"),
        ("127.0.0.1", "own", "does not match host name", "as its certificate names it"),
        ("localhost", "none", "does not exist", "let sslrootcert in the URL name a file"),
    ],
)
def test_a_server_that_cannot_prove_who_it_is_is_refused(encrypted, authority, tmp_path, host, named, why, hint):
    """Nothing is sent to it; the error says what does not fit and what to do, and no password."""
    known = {"own": authority, "other": certified(tmp_path)[0], "none": tmp_path / "none.pem"}
    url = _url(encrypted, host, sslmode="verify-full", sslrootcert=known[named])
    with closing(Store(url)) as store, pytest.raises(Unavailable, match=why) as caught:
        store.migrate()
    assert hint in caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_server_that_insists_on_encryption_says_so(encrypted, authority):
    """Without it the connection is refused, with what to add to the URL; with it the store works."""
    rules = encrypted.folder / "server" / "pg_hba.conf"
    before = rules.read_text()
    try:
        _rule(encrypted, rules, "hostssl vedette all all trust\nhost postgres all all trust\n")
        plain = Store(_url(encrypted, sslmode="disable"))
        with closing(plain), pytest.raises(Unavailable, match="sslmode=verify-full"):
            plain.migrate()
        with closing(Store(_url(encrypted, sslmode="verify-full", sslrootcert=authority))) as store:
            store.migrate()
    finally:
        _rule(encrypted, rules, before)


def _rule(server, rules, written):
    loaded = server.ask("SELECT pg_conf_load_time()")
    rules.write_text(written)
    server.ask("SELECT pg_reload_conf()")
    standby.until(lambda: server.ask("SELECT pg_conf_load_time()") != loaded)


@pytest.mark.parametrize(
    ("asked", "found"),
    [("disable", (False, False)), ("require", (True, False)), ("verify-full", (True, True))],
)
def test_the_doctor_says_whether_a_connection_is_encrypted(encrypted, authority, asked, found):
    """Encrypted or not, verified or not, through a pooler or not; what leaves this machine unread is warned of."""
    with closing(Store(_url(encrypted, sslmode=asked, sslrootcert=authority))) as store:
        with store.reading() as connection:
            seen = standing(connection)
        (check,) = (
            it
            for it in checks._database(_url(encrypted, sslmode=asked, sslrootcert=authority))
            if it.name == "connection"
        )
    assert ((seen.encrypted, seen.verified), seen.local, seen.pooled) == (found, True, False)
    assert (check.result, check.message.startswith("encrypted"), "no pooler" in check.message) == ("ok", found[0], True)
    elsewhere = checks._connection(evolve(seen, local=False))
    assert elsewhere.result == ("ok" if found[1] else "warn")
    assert ("sslmode=verify-full" in elsewhere.hint) is not found[1]
