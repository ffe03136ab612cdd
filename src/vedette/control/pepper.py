"""The pepper of a plane: found where there is one, and otherwise made with the first change that needs it.

Until that change is kept the pepper is a draft in memory, so that a dry run, or a change that is refused, leaves none.
"""

import os
from pathlib import Path
from threading import Lock

from vedette.connectors import pepper
from vedette.control.change import Change


class Pepper:
    """What keys and pseudonyms are made with here: ``VEDETTE_KEY_PEPPER``, or the file in the data folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / pepper.FILE
        self._lock = Lock()
        self._draft = b""

    def known(self) -> bytes | None:
        """Give the pepper; None when there is none yet.

        Raises:
            InvalidInput: it is too short to be one.
            Unavailable: its file cannot be read.
        """
        return pepper.find(os.environ, self._file)

    def for_change(self, change: Change) -> bytes:
        """Give the pepper; where there is none yet it is made, and kept just before ``change`` is.

        Raises:
            InvalidInput: it is too short to be one.
            Unavailable: its file cannot be read. When the change is to be kept: it cannot be made.
            Conflict: when the change is to be kept: somebody else has made one meanwhile.
        """
        if found := self.known():
            return found
        with self._lock:
            draft = self._draft = self._draft or pepper.draft()
        change.at_last(lambda: pepper.keep(draft, self._file))
        return draft
