"""How often each of very many digests has come up: exact, in little memory."""

import sqlite3
from typing import Self

_CACHE = -65_536  # KiB in memory; the rest goes to a temporary file


class Occurrences:
    """Counts digests in a database of its own, which is gone with it."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # "": a temporary file, made when memory is full
        self._database.execute(f"PRAGMA cache_size = {_CACHE}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE met (digest BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def __call__(self, digest: bytes) -> int:
        """Say how often these bytes have come up before."""
        [times] = self._database.execute(
            "INSERT INTO met VALUES (?, 0) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times",
            (digest[:16],),
        ).fetchone()
        return int(times)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
