"""Counting on a ClickHouse server, over its HTTP interface.

What a question is about is put into a temporary table of one session first. The server need not reach the folder of the
segments: DuckDB in this process picks the outcomes, with late judgements in them, and sends them as Parquet files of
some 64 MB. So a question costs reading and sending these rows once, and room for them here and there while it lasts;
groups, moments and histograms are the server's work. A server that does have that folder (``?files=`` says where) reads
the files itself, and only the spool's tail and late judgements are sent. Temporary tables belong to one server: a
balancer in front of several has to keep a session on one of them.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray

from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.kernel.ids import uuid7
from vedette.lake.dialect import CLICKHOUSE, DUCKDB, Dialect
from vedette.lake.history import FileGone, History, Snapshot
from vedette.lake.queries import FIELDS, Cut, Page, judged, measure_column

_SPOKEN = "write clickhouse://user:password@host:8123/database, or clickhouse+https:// for TLS"
_NEEDED = "its user needs the right CREATE TEMPORARY TABLE, and READ ON FILE where the URL says files="
_SETTINGS = {
    "default_format": "JSONColumns",
    "output_format_json_quote_64bit_integers": "0",
    "wait_end_of_query": "1",  # so that what fails on the way is an error and not half of an answer
    "async_insert": "0",  # whatever the user's profile says: what was sent is there when it was taken
    "join_use_nulls": "1",
    "cast_keep_nullable": "1",
}
_SESSION = "600"  # seconds after which the server drops the tables of one whose process died
_WAIT = httpx.Timeout(600.0, connect=10.0)
_FILE = "64MB"
_TYPES = {"id": "String", "at_micros": "Int64", "plan_revision": "Int32", "bucket": "Int16", "cluster": "Int16"}
_REPEATED = "LowCardinality(String)"  # kept once in a block, so each text is searched once
_STORED = "ENGINE = MergeTree ORDER BY tuple()"  # on the server's disk: its memory does not bound what can be asked
_STRANGERS = frozenset({192, 193, 194, 516})  # unknown user, wrong password, none given, authentication failed


class ClickHouse:
    """A ClickHouse server; see `lake.engines`. Nothing is connected to before it is asked.

    Raises:
        InvalidInput: The URL is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise InvalidInput("the port of the ClickHouse URL is none", hint=_SPOKEN) from error
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._folder = asked.pop("files", "").rstrip("/")
        if not parts.hostname or asked or parts.fragment or "/" in parts.path.strip("/"):
            raise InvalidInput("that is no URL of a ClickHouse server", hint=_SPOKEN)
        secure = parts.scheme == "clickhouse+https"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._where = f"ClickHouse at {host}:{port or (8443 if secure else 8123)}"
        self._made = partial(
            httpx.Client,
            base_url=f"{'https' if secure else 'http'}://{host}:{port or (8443 if secure else 8123)}",
            auth=(unquote(parts.username or "default"), unquote(parts.password or "")),
            params={**_SETTINGS, "database": unquote(parts.path.strip("/")) or "default"},
            timeout=_WAIT,
        )
        self._lock = Lock()
        self._http: httpx.Client | None = None
        self._reader = History()

    def probe(self) -> str:
        """Say who counts, having asked whether it answers.

        Raises:
            Unavailable: It does not, or does not let us in.
        """
        session = self._session()
        (found,) = session.rows("SELECT version() AS version")
        return f"{self._where}, version {found['version']}"

    @contextmanager
    def over(self, taken: Snapshot, query: Page | Cut) -> Iterator["_Session"]:
        """Hold those outcomes of a snapshot that a query is about.

        Raises:
            FileGone: A file of the snapshot is no longer there.
            Unavailable: The server does not answer, refuses, or a file cannot be read.
        """
        session = self._session()
        try:
            session.make("outcomes", _columns(taken.measures))
            if self._folder and taken.files:
                self._pull(session, taken, query)
                taken = replace(taken, files=())
            for path in self._picked(taken, query, f"SELECT * FROM outcomes WHERE {query.where(DUCKDB)}"):
                session.fill("outcomes", path)
            yield session
        finally:
            session.end()

    def _pull(self, session: "_Session", taken: Snapshot, query: Page | Cut) -> None:
        """Let the server read the segments' files itself; late judgements are sent to it."""
        measures, late = taken.measures, {name for each in taken.late.values() for name in each}
        columns = _columns(measures)
        structure = CLICKHOUSE.text(columns)
        if late:
            judgements = [f"{CLICKHOUSE.quoted(f'late_{name}')} Nullable(Float64)" for name in sorted(late)]
            session.make("late", ", ".join(["late_id String", *judgements]))
            for path in self._picked(replace(taken, files=()), query, "SELECT * FROM late"):
                session.fill("late", path)
        for file in taken.files:
            place = CLICKHOUSE.text(f"{self._folder}/{file.name}")
            held = f"SELECT * FROM file({place}, 'Parquet', {structure})"
            if late:
                held = judged(CLICKHOUSE, held, measures, late)
            try:
                session.run(f"INSERT INTO outcomes SELECT * FROM ({held}) AS outcome WHERE {query.where(CLICKHOUSE)}")
            except Unavailable as error:
                if not file.exists():
                    raise FileGone(str(file)) from error
                raise

    def _picked(self, taken: Snapshot, query: Page | Cut, wanted: str) -> Iterator[Path]:
        """Write what is wanted of a snapshot to files."""
        with TemporaryDirectory(prefix="vedette-") as folder, self._reader.over(taken, query) as held:
            place = Path(folder, "picked")
            held.cursor.execute(
                f"COPY ({wanted}) TO {DUCKDB.text(str(place))}"
                f" (FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '{_FILE}')"
            )
            yield from sorted(place.glob("*.parquet"))

    def close(self) -> None:
        """Let go of what is open in this process; it may be used again."""
        self._reader.close()
        with self._lock:
            if self._http:
                self._http.close()
            self._http = None

    def _session(self) -> "_Session":
        with self._lock:
            self._http = self._http or self._made()
        return _Session(self._http, self._where)


def _columns(measures: Sequence[str]) -> str:
    """Write the columns of outcomes with their types."""
    columns = [f"{name} {_TYPES.get(name, _REPEATED)}" for name in FIELDS]
    return ", ".join([*columns, *(f"{CLICKHOUSE.quoted(measure_column(name))} Nullable(Float64)" for name in measures)])


class _Session:
    """One session of a server, with temporary tables of its own."""

    def __init__(self, http: httpx.Client, where: str) -> None:
        self._http = http
        self._where = where
        self._id = uuid7(time.time_ns() // 1_000_000, os.urandom(10))
        self._made: list[str] = []

    @property
    def dialect(self) -> Dialect:
        """How queries are to be written."""
        return CLICKHOUSE

    def make(self, name: str, columns: str) -> None:
        """Make a table."""
        self._create(name, f"({columns}) {_STORED}")

    def fill(self, name: str, path: Path) -> None:
        """Add the rows of a Parquet file to a table."""
        with path.open("rb") as file:
            self._send(file, {"query": f"INSERT INTO {name} FORMAT Parquet"}, size=path.stat().st_size)

    def run(self, statement: str) -> None:
        """Run what finds nothing."""
        self._send(statement)

    def keep(self, name: str, query: str, *, stored: bool) -> None:  # noqa: ARG002 - older servers have no views of a session
        """Give what a query finds a name; it is always found once."""
        self._create(name, f"{_STORED} AS {query}")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run a query and give its rows."""
        found = self._ask(query)
        return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]

    def columns(self, query: str) -> Mapping[str, NDArray[Any]]:
        """Run a query and give its columns, NULL as zero."""
        found = self._ask(query)
        return {name: np.array([0 if value is None else value for value in values]) for name, values in found.items()}

    def end(self) -> None:
        """Drop the tables; what cannot be dropped goes with the session, a little later."""
        for name in self._made:
            with suppress(Unavailable):
                self._send(f"DROP TEMPORARY TABLE IF EXISTS {name}")

    def _create(self, name: str, what: str) -> None:
        if name in self._made:
            self._send(f"DROP TEMPORARY TABLE {name}")
        else:
            self._made.append(name)
        self._send(f"CREATE TEMPORARY TABLE {name} {what}")

    def _ask(self, query: str) -> dict[str, list[Any]]:
        return msgspec.json.decode(self._send(query), type=dict[str, list[Any]])

    def _send(self, body: Any, parameters: Mapping[str, str] | None = None, size: int | None = None) -> bytes:  # noqa: ANN401 - a text or an open file
        headers = {"content-length": str(size)} if size is not None else {}
        session = {"session_id": self._id, "session_timeout": _SESSION}
        try:
            answer = self._http.post("/", content=body, params={**session, **(parameters or {})}, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"{self._where} does not answer: {str(error) or type(error).__name__}",
                hint="look at the server and at VEDETTE_ANALYTICS",
            ) from error
        if answer.is_success:
            return answer.content
        said = answer.text.strip().partition("\n")[0][:500]
        if _code(answer) in _STRANGERS or answer.status_code in {401, 403}:
            raise Unavailable(
                f"{self._where} does not let us in: {said}", hint="look at user and password in VEDETTE_ANALYTICS"
            )
        raise Unavailable(f"{self._where} cannot count stored outcomes: {said}", hint=_NEEDED)


def _code(answer: httpx.Response) -> int:
    """Give the server's own number of what went wrong; 0 when it says none."""
    said = answer.headers.get("x-clickhouse-exception-code", "")
    return int(said) if said.isdigit() else 0
