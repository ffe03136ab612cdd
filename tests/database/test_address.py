"""A database's URL is read as it is written, several servers too, and shown without its secrets."""

from contextlib import closing

import pytest

from vedette.control.plane import places
from vedette.database import address
from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.lake.engine import LakeDatabase
from vedette.store.engine import Store


def _arguments(url: str) -> dict[str, object]:
    """What the driver is given for a URL."""
    with closing(Store(url)) as store:
        return dict(store._writing.dialect.create_connect_args(store.url)[1])


@pytest.mark.parametrize(
    ("written", "hosts", "ports"),
    [
        ("a:5432,b:5433", "a,b", "5432,5433"),
        ("a,b", "a,b", ","),
        ("a,b:5433", "a,b", ",5433"),
        ("ada:secret@a:5432,b:", "a,b", "5432,"),
        ("ada:%2C%2F%40@a:5432,b", "a,b", "5432,"),
        ("10.0.0.1:1,[fe80::1]:2,[::1]", "10.0.0.1,fe80::1,::1", "1,2,"),
    ],
)
def test_several_servers_are_read_as_libpq_reads_them(written, hosts, ports):
    """A primary and its standbys, with and without ports, reach the driver in their order, for store and lake alike."""
    url = f"postgresql://{written}/vedette?target_session_attrs=read-write"
    found = _arguments(url)
    assert (found["host"], found["port"]) == (hosts, ports)
    assert (found["dbname"], found["target_session_attrs"]) == ("vedette", "read-write")
    where = places(url)
    with closing(LakeDatabase(where.outcomes, patience=1.0)) as lake, closing(Store(where.control)) as store:
        assert lake.url == store.url


@pytest.mark.parametrize(
    ("query", "ports"),
    [
        ("host=a:5432&host=b:5433", "5432,5433"),
        ("host=a,b&port=5432,5433", "5432,5433"),
        ("host=a,b&port=5432", "5432,5432"),
    ],
)
def test_servers_may_be_named_in_the_query(query, ports):
    """The forms SQLAlchemy and libpq have for several servers mean the same."""
    found = _arguments(f"postgresql://ada@/vedette?{query}")
    assert (found["host"], found["port"]) == ("a,b", ports)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:secret@a:5432,b:x/v", "server 2 "),
        ("postgresql://ada:secret@a:5432,,b/v", "server 2 "),
        ("postgresql://ada:pa,secret/word@a/v", "%2F"),
        ("postgresql://ada:secret@a:1,b:123456/v", "server 2 "),
        ("postgresql://ada:secret@a:x/v", "no database URL"),
        ("postgresql://ada:secret@/v?host=a&port=x", "no database URL"),
        ("postgresql://ada:secret@/v?host=a,b&port=x", "port"),
        ("postgresql://ada:secret@/v?host=a,b,c&port=1,2", "each of its 3 servers"),
        ("postgresql://ada:secret@a,b/v?host=c", "two places"),
        ("postgresql://ada:secret@/v?host=a&host=b&port=1", "two places"),
        ("postgresql://ada:secret@a/v?sslmode=require&sslmode=disable", "sslmode twice"),
        ("postgresql://ada:secret@a,b/v?target_session_attrs=primary-please", "read-write"),
        ("postgresql://ada:secret@a,b/v?sslmod=require", "'sslmod'"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_is_connected(url, said):
    """A URL that is wrong says where, with what to write instead, and never tells the password."""
    with pytest.raises(InvalidInput) as caught:
        Store(url)
    assert said in str(caught.value)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:secret@a:5432,b/v?sslmode=require", "postgresql://ada:***@a:5432,b/v?sslmode=require"),
        ("postgres://a,[::1]:2/v", "postgresql://a,[::1]:2/v"),
        ("postgresql://ada@a/v?password=secret&sslpassword=secret", "postgresql://ada@a/v"),
        ("postgresql://ada:secret@a:5432/v", "postgresql://ada:***@a:5432/v"),
        (
            "postgresql://ada@/v?host=/run/a,/run/b&password=secret",
            "postgresql://ada@/v?host=%2Frun%2Fa%2C%2Frun%2Fb&port=%2C",
        ),
    ],
)
def test_it_is_shown_as_it_was_written_without_its_secrets(url, shown):
    """What messages call a database has its servers as they were named, and no password wherever it stood."""
    assert address.shown(address.read(url, "database", "control.db")) == shown
    with closing(Store(url, patience=0.1)) as store:
        assert shown in store.where
        if "/run/" in url:
            with pytest.raises(Unavailable) as caught, store.reading():
                pass
            assert "secret" not in str(caught.value)
