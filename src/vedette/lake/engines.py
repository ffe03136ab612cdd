"""The port of engines: who counts what is stored, and which one a URL names.

Pages of outcomes and single ones are always read by DuckDB in this process, which finds a hundred rows of sorted files
sooner than anybody else could be asked. What counts all outcomes of a domain (breakdowns, interactions, counting anew)
is left to the engine of `VEDETTE_ANALYTICS`.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from numpy.typing import NDArray

from vedette.kernel.errors import InvalidInput
from vedette.lake.dialect import Dialect
from vedette.lake.history import History, Snapshot
from vedette.lake.queries import Cut, Page


class Asked(Protocol):
    """The outcomes of a snapshot in an engine, as the relation ``outcomes``."""

    @property
    def dialect(self) -> Dialect:
        """How queries are to be written."""

    def keep(self, name: str, query: str, *, stored: bool) -> None:
        """Give what a query finds a name; ``stored`` where it is worth finding only once."""

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run a query and give its rows."""

    def columns(self, query: str) -> Mapping[str, NDArray[Any]]:
        """Run a query and give its columns, NULL as zero."""


class Engine(Protocol):
    """What runs SQL over snapshots; may be used by many threads."""

    def over(self, taken: Snapshot, query: Page | Cut) -> AbstractContextManager[Asked]:
        """Hold those outcomes of a snapshot that a query is about, and maybe others.

        Raises:
            FileGone: A file of the snapshot is no longer there.
            Unavailable: The engine does not answer, or cannot read what is stored.
        """

    def probe(self) -> str:
        """Say who counts, having asked whether it answers.

        Raises:
            Unavailable: It does not.
        """

    def close(self) -> None:
        """Let go of the engine; it may be used again."""


def engine_of(url: str) -> Engine:
    """Give the engine that a URL names; "" is DuckDB in this process. Nothing is connected to before it is asked.

    Raises:
        InvalidInput: It names none.
        Unavailable: What it takes to speak to it is not installed.
    """
    scheme = url.partition("://")[0]
    if not url:
        return History()
    if scheme == "spark":
        from vedette.lake.spark import Spark

        return Spark(url)
    if scheme in {"clickhouse", "clickhouse+https"}:
        from vedette.lake.clickhouse import ClickHouse

        return ClickHouse(url)
    raise InvalidInput(
        f"{scheme!r} is no engine vedette speaks to",
        hint="write spark://host:7077 or clickhouse://user:password@host:8123/database, or nothing for DuckDB",
    )
