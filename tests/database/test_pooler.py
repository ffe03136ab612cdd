"""Everything works through a PgBouncer in transaction mode, in which no two transactions need have one session."""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psycopg
import pytest
from sqlalchemy import text
from tests import pgbouncer, postgres
from tests.database.cuts import asking
from tests.lake.making import assert_sums_are_those_of, outcome

from vedette.control.plane import open_plane
from vedette.database.standing import standing
from vedette.kernel.errors import LeaseLost, Unavailable
from vedette.lake.outcomes import Lake
from vedette.store import leases
from vedette.store.engine import Store

_OFTEN = 8  # the driver prepares what it has sent five times
_numbers = itertools.count()


@pytest.fixture(scope="module", params=["refuses", "drops"])
def pooler(request, postgres_server):
    """A PgBouncer that refuses the options of a session, as it does unless told otherwise, or drops them."""
    settings = {"ignore_startup_parameters": "options"} if request.param == "drops" else {}
    with pgbouncer.pooler(postgres_server, **settings) as url:
        yield url


@pytest.fixture
def pooled(pooler, postgres_server):
    """An empty database behind it."""
    with postgres.database(postgres_server, f"vedette_pooled_{os.getpid()}_{next(_numbers)}") as made:
        yield pooler.set(database=made.database)


def _written(url):
    return url.render_as_string(hide_password=False)


def _asked(url, query):
    with psycopg.connect(_written(url), autocommit=True, prepare_threshold=None) as connection:
        return [row[0] for row in connection.execute(query).fetchall()]


def test_replicas_start_change_and_count_through_it(pooled):
    """Three migrate at once, and by turns take over leases, change what has a key and ship: each thing once."""
    with ExitStack() as stack:
        with ThreadPoolExecutor() as starting:
            planes = [stack.enter_context(plane) for plane in starting.map(open_plane, [_written(pooled)] * 3)]
        one, other = (stack.enter_context(asking(plane)) for plane in planes[:2])
        made = []
        for turn in range(_OFTEN):
            body, headers = {"id": f"d{turn}"}, {"X-Vedette-Actor": "ada", "Idempotency-Key": f"key-{turn}"}
            asked = [it.post("/api/v1/domains", json=body, headers=headers) for it in (one, other)]
            assert [it.status_code for it in asked] == [201, 201], asked[0].text
            assert ["idempotency-replayed" in it.headers for it in asked] == [False, True]
            _take_over(planes, turn)
            batch = [outcome() for _ in range(3)]
            assert [plane.lake.ship(f"batch-{turn}", batch) for plane in planes] == [3, 0, 0]
            made += batch
        last = planes[2]
        assert last.governance.verify() == ()
        assert sorted(it.id for it in last.lake.outcomes("payments").items) == sorted(it.id for it in made)
        assert_sums_are_those_of(last.lake, "payments", [(it, it.measures) for it in made])
        with last.store.reading() as connection:
            assert standing(connection).pooled
        assert _asked(pooled, "SELECT name FROM pg_prepared_statements") == []


def _take_over(planes, turn):
    stores = [plane.store for plane in planes]
    with stores[0].transaction() as connection:
        (first,) = leases.acquire(connection, [f"it-{turn}"], "first", ttl=60.0)
    with stores[1].transaction() as connection:
        assert leases.acquire(connection, [f"it-{turn}"], "second", ttl=60.0) == ()
    with stores[2].transaction() as connection:
        leases.fence(connection, first)
        leases.release(connection, [first])
    with stores[1].transaction() as connection:
        (second,) = leases.acquire(connection, [f"it-{turn}"], "second", ttl=60.0)
    assert second.epoch == 2
    with pytest.raises(LeaseLost), stores[0].transaction() as connection:
        leases.fence(connection, first)


@pytest.mark.parametrize("kind", [Store, Lake])
def test_the_limits_of_a_transaction_are_in_force_and_stay_in_it(pooled, kind):
    """Whoever waits or stands still in one is cut off as without a pooler, and others' sessions are as they were."""
    names = "lock_timeout", "idle_in_transaction_session_timeout"
    limits = text(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
    with closing(kind(_written(pooled), patience=7.0)) as opened:
        database = opened if isinstance(opened, Store) else opened._database
        for begin in (database.transaction, database.reading):
            with begin() as connection:
                assert tuple(connection.execute(limits).one()) == ("7s", "5600ms")
        assert [_asked(pooled, f"SHOW {name}") for name in names] == [["0"], ["0"]]


def test_options_of_ones_own_are_not_dropped_in_silence(postgres_server):
    """A pooler that refuses those of the URL is told of, with what to do."""
    with pgbouncer.pooler(postgres_server) as url:
        asking_for = url.update_query_dict({"options": "-c lock_timeout=5"})
        with (
            closing(Store(_written(asking_for))) as store,
            pytest.raises(Unavailable, match="leave it out of the URL"),
        ):
            store.migrate()


def test_a_pooler_without_transactions_is_refused(postgres_server):
    """In statement mode nothing can be kept together, and the error says which mode it takes."""
    with (
        pgbouncer.pooler(postgres_server, pool_mode="statement") as url,
        closing(Store(_written(url))) as store,
        pytest.raises(Unavailable, match="pool_mode = transaction"),
    ):
        store.migrate()


def test_a_pooler_whose_server_is_gone_is_told_from_the_server(postgres_server, tmp_path):
    """The error says that the pooler runs, and which of the two to look at."""
    gone = postgres_server.set(host=None, port=None, query={"host": str(tmp_path)})
    with (
        pgbouncer.pooler(gone, query_wait_timeout="1") as url,
        closing(Store(_written(url))) as store,
        pytest.raises(Unavailable, match="server behind it"),
    ):
        store.migrate()
