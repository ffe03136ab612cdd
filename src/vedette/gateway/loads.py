"""How many connections each of several workers has: a table in memory all of them share, and whose turn it is.

Whoever comes to a socket first takes what waits there, and a burst of connections that are kept would be one worker's
for as long as they live. So a worker that has clearly more than another one lets that one go first: it looks again a
moment later, and takes nothing until it is no longer ahead. The one that has least never waits, and where there is one
worker nobody does.

A worker counts its looks in the table, for that is how one sees that it is there: whatever wakes one of them wakes all.
One that does not look while others wait for it is stopped, hung, or starved, and after some moments it is waited for
no more, until it looks again; so it costs those moments once, not for every connection. The supervisor takes whoever
has ended out of the table.

Each place has one writer, and a worker and its successor share one while the former retires. A figure may be old by one
connection; nothing is decided by it but who goes first.
"""

import mmap
import tempfile
from array import array
from pathlib import Path
from typing import BinaryIO, Final

MOMENT: Final = 0.001
"""Seconds a worker that is ahead lets pass before it looks again."""
PATIENCE: Final = 20
"""How many moments others wait for a worker that does not look."""

_NOBODY = -1


class Loads:
    """The table, in a file that has no name: of each worker how many connections it has, and how often it looked."""

    def __init__(self, descriptor: int) -> None:
        self._numbers = memoryview(mmap.mmap(descriptor, 0)).cast("q")  # a processor writes such a number at once

    @staticmethod
    def make(folder: Path, workers: int) -> BinaryIO:
        """Make the file of a table with nobody in it, for as many workers.

        Raises:
            OSError: there can be none in the folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it is its owner's to close
        file.write(array("q", [_NOBODY, 0] * workers))
        return file

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def connections(self, place: int) -> int | None:
        """Say how many connections a worker has; None where there is none, or one that takes no more."""
        found = self._numbers[2 * place]
        return None if found == _NOBODY else found

    def write(self, place: int, connections: int | None) -> None:
        """Write down how many connections a worker has; None when it takes no more."""
        self._numbers[2 * place] = _NOBODY if connections is None else connections

    def looks(self, place: int) -> int:
        """Say how often a worker looked."""
        return self._numbers[2 * place + 1]

    def look(self, place: int) -> None:
        """Count a look."""
        self._numbers[2 * place + 1] += 1


class Seat:
    """The place of one worker at the table: what it has, and whether it is ahead of others."""

    def __init__(self, loads: Loads, place: int) -> None:
        self._loads, self._place = loads, place
        self._others = [other for other in range(len(loads)) if other != place]
        self._waited = dict.fromkeys(self._others, (0, 0))  # for whom, since which of its looks, how many moments
        self._connections = 0

    def take(self, connections: int = 0) -> None:
        """Say that one takes connections, and has so many more, or fewer, than before."""
        self._connections += connections
        self._loads.write(self._place, self._connections)

    def rest(self) -> None:
        """Say that one takes no connections at present."""
        self._loads.write(self._place, None)

    def look(self) -> bool:
        """Say whether one may take a connection that waits; if not, somebody else shall, and one looks again later."""
        self.take()
        self._loads.look(self._place)
        return not [other for other in self._others if self._goes_first(other)]

    def _goes_first(self, other: int) -> bool:
        its = self._loads.connections(other)
        if its is None or self._connections - its <= 1 + its // 8:  # so near that waiting would cost more than it gives
            return False
        looks = self._loads.looks(other)
        since, moments = self._waited[other]
        moments = moments + 1 if since == looks else 1
        self._waited[other] = looks, moments
        return moments <= PATIENCE
