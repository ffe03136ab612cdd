"""Counting on an existing Spark cluster.

Workers read the segments' files themselves, from the same folder this process has; the list is explicit. What is still
in the spool and late judgements go to them as Arrow tables. A session is a Java process beside this one and a seat in
the cluster, so there is one in a process: it is opened by the first question, and closed with the last engine on it.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import NDArray

from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.lake.dialect import SPARK, Dialect
from vedette.lake.history import FileGone, Snapshot, late_rows, rows_of
from vedette.lake.queries import FIELDS, Cut, Page, judged, measure_column

_SPOKEN = "write spark://host:7077, and settings behind it if need be: ?spark.executor.memory=4g&spark.cores.max=16"
_TYPES = {"at_micros": "BIGINT", "plan_revision": "INT", "bucket": "SMALLINT", "cluster": "SMALLINT"}
_ARROW = {"at_micros": "int64", "plan_revision": "int32", "bucket": "int16", "cluster": "int16"}
_SETTINGS = {
    "spark.app.name": "vedette",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_PATTERN = re.compile(r"([][{}*?\\])")  # signs that a path may have and that mean others there
_REACHED = 5.0  # seconds a master may take to answer
_SEATED = 60.0  # seconds workers may take to offer themselves
_PAUSE = 0.1


class Spark:
    """A Spark cluster; see `lake.engines`. Nothing is connected to before it is asked.

    Raises:
        InvalidInput: The URL is none.
        Unavailable: PySpark or Java are not installed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        masters = [_address(each) for each in parts.netloc.split(",")]
        settings = dict(parse_qsl(parts.query))
        if parts.path.strip("/") or parts.fragment or not all(name.startswith("spark.") for name in settings):
            raise InvalidInput("that is no URL of a Spark cluster", hint=_SPOKEN)
        _check_installed()
        self._masters = masters
        self._master = f"spark://{parts.netloc}"
        self._settings = {**_SETTINGS, **settings}

    @contextmanager
    def over(self, taken: Snapshot, query: Page | Cut) -> Iterator["_Session"]:
        """Hold the outcomes of a snapshot.

        Raises:
            FileGone: A file of the snapshot is no longer there.
            Unavailable: The cluster does not answer, has nobody to work, or cannot read the files.
        """
        with _translated(self._master, taken):
            session = _Session(self._open().newSession())
            try:
                session.hold(taken, query.domain)
                yield session
            finally:
                session.end()

    def probe(self) -> str:
        """Say who counts, having asked whether anybody is there.

        Raises:
            Unavailable: Nobody is.
        """
        if not any(_answers(*master) for master in self._masters):
            raise Unavailable(
                f"nobody answers at {self._master}", hint="look at the cluster's master and at VEDETTE_ANALYTICS"
            )
        return self._master

    def close(self) -> None:
        """Let go of the session; the last one to do so ends it. It may be used again."""
        with _shared.lock:
            _shared.users.discard(id(self))
            if not _shared.users and _shared.session is not None:
                with suppress(*_broken()):  # what is gone need not be ended
                    _shared.session.stop()
                _shared.session = None

    def _open(self) -> Any:  # noqa: ANN401 - PySpark is not there to say its types
        """Give the session of this process.

        Raises:
            Unavailable: The cluster does not answer, or the process has a session elsewhere.
        """
        with _shared.lock:
            if _shared.session is not None and _shared.session._jsc.sc().isStopped():  # noqa: SLF001 - nothing public says it
                _shared.session.stop()
                _shared.session = None
            if _shared.session is None:
                _shared.session = self._begun()
                _shared.master = self._master
            elif _shared.master != self._master:
                raise Unavailable(
                    f"this process counts on {_shared.master} already", hint="a process has one Spark session"
                )
            _shared.users.add(id(self))
            session = _shared.session
        _await_workers(session, self._master)
        return session

    def _begun(self) -> Any:  # noqa: ANN401 - PySpark is not there to say its types
        from pyspark import SparkContext
        from pyspark.sql import SparkSession

        if SparkContext._active_spark_context is not None:  # noqa: SLF001 - nothing public says it
            raise Unavailable(
                "this process has a Spark session of its own", hint="stop it, or ask from a process that has none"
            )
        self.probe()
        builder = SparkSession.builder.master(self._master)
        for name, value in self._settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        return session


class _Shared:
    """The one session of this process and the engines that use it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.session: Any = None
        self.master = ""
        self.users: set[int] = set()


_shared = _Shared()


class _Session:
    """Names of its own in the session of this process."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - PySpark is not there to say its types
        self._session = session
        self._stored: list[Any] = []

    @property
    def dialect(self) -> Dialect:
        """How queries are to be written."""
        return SPARK

    def hold(self, taken: Snapshot, domain: str) -> None:
        """Name the outcomes of a snapshot."""
        measures = taken.measures
        columns = [(name, _TYPES.get(name, "STRING")) for name in FIELDS]
        columns += [(SPARK.quoted(measure_column(name)), "DOUBLE") for name in measures]
        parts = []
        if taken.files:
            schema = ", ".join(f"{name} {kind}" for name, kind in columns)  # a file without a column has NULL there
            files = ["file:" + _PATTERN.sub(r"\\\1", str(path.absolute())) for path in taken.files]
            self._session.read.schema(schema).parquet(*files).createOrReplaceTempView("segments")
            parts.append("segments")
        if taken.tail or not taken.files:
            self._session.createDataFrame(_table(taken, domain, measures)).createOrReplaceTempView("tail")
            parts.append("tail")
        names = ", ".join(name for name, _ in columns)
        relation = " UNION ALL ".join(f"SELECT {names} FROM {part}" for part in parts)
        if taken.late:
            self._session.createDataFrame(_late_table(taken.late)).createOrReplaceTempView("late")
            relation = judged(SPARK, relation, measures, {name for each in taken.late.values() for name in each})
        self._session.sql(relation).createOrReplaceTempView("outcomes")

    def keep(self, name: str, query: str, *, stored: bool) -> None:
        """Give what a query finds a name; ``stored`` where it is worth finding only once."""
        found = self._session.sql(query)
        if stored:
            self._stored.append(found.persist())
        found.createOrReplaceTempView(name)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run a query and give its rows."""
        found: list[dict[str, Any]] = self._session.sql(query).toArrow().to_pylist()
        return found

    def columns(self, query: str) -> Mapping[str, NDArray[Any]]:
        """Run a query and give its columns, NULL as zero."""
        table = self._session.sql(query).toArrow()
        return {name: _filled(table.column(name)) for name in table.column_names}

    def end(self) -> None:
        """Let the cluster forget what it kept."""
        for found in self._stored:
            found.unpersist()


def _table(taken: Snapshot, domain: str, measures: Sequence[str]) -> Any:  # noqa: ANN401 - PyArrow says no types
    """Lay what is spooled out as an Arrow table with the columns of a segment."""
    import pyarrow as pa

    rows = rows_of(taken.tail, domain)
    columns = {name: pa.array(rows[name], type=_ARROW.get(name, "string")) for name in FIELDS}
    for name in map(measure_column, measures):
        values = rows.get(name, np.full(len(rows["id"]), np.nan))
        columns[name] = pa.array(values, type="float64", from_pandas=True)  # NaN is NULL
    return pa.table(columns)


def _late_table(late: Mapping[str, Mapping[str, float]]) -> Any:  # noqa: ANN401 - PyArrow says no types
    import pyarrow as pa

    return pa.table({name: pa.array(values, from_pandas=True) for name, values in late_rows(late).items()})


def _filled(column: Any) -> NDArray[Any]:  # noqa: ANN401 - PyArrow says no types
    found: NDArray[Any] = (column.fill_null(0) if column.null_count else column).to_numpy()
    return found


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.username:
        raise InvalidInput("that is no URL of a Spark cluster", hint=_SPOKEN)
    return host, port


def _check_installed() -> None:
    try:
        import pyarrow as pa  # noqa: F401 - asked whether it is there
        import pyspark  # noqa: F401 - asked whether it is there
    except ImportError as error:
        raise Unavailable("PySpark is not installed", hint="pip install 'vedette[spark]'") from error
    home = os.environ.get("JAVA_HOME", "")
    if not shutil.which(f"{home}/bin/java" if home else "java"):
        raise Unavailable(
            "Spark needs Java, and there is none here",
            hint="install a Java runtime, 17 or newer (Debian: apt install openjdk-17-jre-headless), or set JAVA_HOME",
        )


def _answers(host: str, port: int) -> bool:
    """Say whether anybody listens: Spark itself would try for a minute and then end the session."""
    try:
        socket.create_connection((host, port), _REACHED).close()
    except OSError:
        return False
    return True


def _await_workers(session: Any, master: str) -> None:  # noqa: ANN401 - PySpark is not there to say its types
    """Wait for a worker: a job that nobody takes would wait for ever."""
    context = session.sparkContext
    if context.getConf().get("spark.dynamicAllocation.enabled", "false") == "true":
        return  # workers come with the job
    last = time.monotonic() + _SEATED
    while context._jsc.sc().getExecutorMemoryStatus().size() < 2:  # noqa: SLF001 - one is this process itself
        if time.monotonic() > last:
            raise Unavailable(
                f"no worker of {master} has room for us",
                hint="free some, or ask for less: ?spark.executor.memory=1g&spark.cores.max=2",
            )
        time.sleep(_PAUSE)


def _broken() -> tuple[type[Exception], ...]:
    """Give what is raised when Java fails, and then what is raised when it is not there."""
    from py4j.protocol import Py4JError, Py4JNetworkError

    return Py4JError, Py4JNetworkError, ConnectionError


@contextmanager
def _translated(master: str, taken: Snapshot) -> Iterator[None]:
    """Tell what goes wrong in Spark in the words of `kernel.errors`."""
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, *_broken()) as error:
        gone = [path for path in taken.files if not path.exists()]
        if gone:
            raise FileGone(str(gone[0])) from error
        said = str(error).strip().partition("\n")[0][:500]
        if isinstance(error, _broken()[1:]):
            raise Unavailable(
                f"Spark's Java process beside this one does not answer: {said}", hint="start this process again"
            ) from error
        raise Unavailable(
            f"{master} cannot count stored outcomes: {said}",
            hint="its workers have to reach the folder of the segments by the same path",
        ) from error
