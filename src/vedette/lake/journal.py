"""The journal: an outcome is in the operating system's hands before the answer's last byte leaves.

A journal is a folder of files, each written by one process and then, whole, one batch. A record is its length, the
CRC-32 of its body, and the body in MessagePack. The process that writes a file holds a lock on it, which the
operating system drops when the process dies, however it dies: so the next one to start finds the file, and ships it.

A file is mapped into memory, at its full size from the beginning: to append is to copy, and asks nothing of the system.
The pages are the system's, and stay when the process dies; the room is reserved before, so a full disk is met when a
file begins and never in the middle of one (which btrfs and ZFS cannot promise: keep the journal on another file
system). A record's head is written after its body, and behind the last one there are zeroes.

A file is read only when nobody can write to it any more, and its name is used once. So the name of a batch always
stands for the same outcomes, and sending a batch twice is harmless. What was appended survives the death of the
process; whether it survives a power cut is up to `sync_every`.
"""

import fcntl
import logging
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final
from zlib import crc32

from msgspec import DecodeError, msgpack

from vedette.evidence.outcome import Outcome
from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.kernel.ids import check_name, uuid7
from vedette.lake.admission import check_stored
from vedette.lake.record import Record

LARGEST_BATCH: Final = 5_000
"""A file, and so a batch, holds no more outcomes than this."""

_HEAD = struct.Struct("<II")  # length and CRC-32 of the body
_HEAD_SIZE = _HEAD.size
_write_head = _HEAD.pack_into
_ZEROES = bytes(1 << 18)
_SUFFIX = ".journal"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """The outcomes of one journal file, in the order they were appended.

    Attributes:
        id: The same for the same outcomes, always, and never used for others.
        outcomes: All that can be read.
        damaged: Bytes that cannot be read: a record torn by the death of the process or of the machine.
    """

    id: str
    outcomes: tuple[Outcome, ...]
    damaged: int


class _File:
    """The file that is being written, mapped.

    Raises:
        OSError: There is no room for it, or the folder cannot be used; nothing is left of it.
    """

    __slots__ = ("descriptor", "mapped", "path", "records", "room", "used")

    def __init__(self, path: Path, room: int) -> None:
        self.path, self.room, self.used, self.records = path, room, 0, 0
        self.descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _reserve(self.descriptor, room)
            self.mapped = mmap.mmap(self.descriptor, room)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(self.descriptor)
            raise

    def close(self) -> None:
        """Give back the room that was not used; the descriptor, and with it the lock, stays."""
        self.mapped.close()
        with suppress(OSError):  # it is only room: who reads stops at the zeroes
            os.ftruncate(self.descriptor, self.used)


class Journal:
    """One worker's outcomes on their way to the lake; safe to append and to ship from different threads.

    On start it takes over whatever files dead processes left behind in the folder.

    Args:
        folder: Where the files are; created when missing. Many workers may share it.
        worker: Name of this worker, part of its files' names.
        rotate_bytes: The size of a file; one with less room than the next outcome needs is closed.
        sync_every: Seconds after which an append waits for the disk: 0 makes every append survive a power cut, None
            leaves it to the operating system, which writes within half a minute or so.

    Raises:
        Unavailable: The folder cannot be used.
    """

    def __init__(
        self, folder: Path, worker: str, *, rotate_bytes: int = 1 << 20, sync_every: float | None = None
    ) -> None:
        self._folder = folder
        self._worker = check_name(worker, "worker")
        self._rotate_bytes = rotate_bytes
        self._sync_every = sync_every
        self._synced = time.monotonic()
        self._encode = msgpack.Encoder().encode
        self._decode = msgpack.Decoder(Outcome).decode
        self._lock = Lock()
        self._current: _File | None = None
        self._sealed: dict[str, tuple[Path, int]] = {}  # by batch id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._take_over()
        except OSError as error:
            raise Unavailable(f"the journal in {folder} cannot be used: {error}") from error

    def append(self, outcome: Outcome | Record) -> None:
        """Keep an outcome; when this returns, the death of the process no longer loses it.

        A record is not checked: plans and this process made it, and whoever reads the journal checks it like the rest.

        Raises:
            InvalidInput: It cannot be counted; nothing was kept.
            Unavailable: The disk is full or fails; nothing was kept, and the journal is as sound as before.
        """
        if not isinstance(outcome, Record):
            check_stored(outcome)
        body = self._encode(outcome)
        length, checksum = len(body), crc32(body)
        with self._lock:
            try:
                file = self._current
                if file is None or file.used + _HEAD_SIZE + length > file.room:
                    file = self._begin(_HEAD_SIZE + length)
                head, mapped = file.used, file.mapped
                begin = head + _HEAD_SIZE
                end = begin + length
                mapped[begin:end] = body
                _write_head(mapped, head, length, checksum)
                if self._sync_every is not None:
                    self._sync(file)
            except OSError as error:
                raise Unavailable(
                    f"outcome {outcome.id} could not be kept in {self._folder}: {error}", hint="free some space there"
                ) from error
            file.used = end
            file.records += 1
            if file.records >= LARGEST_BATCH:
                self._seal(file)

    def unshipped(self) -> Iterator[Batch]:
        """Close the file being written and give every batch that was not declared shipped, the oldest first.

        Raises:
            Unavailable: A file cannot be read.
        """
        with self._lock:
            if self._current and self._current.records:
                self._seal(self._current)
            waiting = list(self._sealed.items())
        for name, (path, _) in waiting:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise Unavailable(f"journal file {path} cannot be read: {error}") from error
            outcomes, damaged = self._read(content)
            if damaged:
                _log.warning("journal file %s: %d bytes cannot be read", path, damaged)
            batch = Batch(name, outcomes, damaged)
            if outcomes or damaged:
                yield batch
            else:
                self.shipped(batch)  # who made the file died before the first outcome

    def shipped(self, batch: Batch) -> None:
        """Forget a batch that the lake has; a damaged file is kept aside, as ``.damaged``, for whoever wants to look.

        Raises:
            Unavailable: The file cannot be removed; the batch will be given again.
        """
        with self._lock:
            path, descriptor = self._sealed[batch.id]
            try:
                if batch.damaged:
                    path.rename(path.with_suffix(".damaged"))
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise Unavailable(f"journal file {path} cannot be removed: {error}") from error
            os.close(descriptor)
            del self._sealed[batch.id]

    def close(self) -> None:
        """Let go of every file; what was not shipped is found by the next process to start here."""
        with self._lock:
            if self._current:
                self._seal(self._current)
            for path, descriptor in self._sealed.values():
                if os.fstat(descriptor).st_size == 0:
                    path.unlink(missing_ok=True)
                os.close(descriptor)
            self._sealed.clear()

    def _begin(self, needed: int) -> _File:
        if self._current:
            self._seal(self._current)
        while True:
            name = f"{self._worker}.{uuid7(time.time_ns() // 1_000_000, os.urandom(10))}"
            file = _File(self._folder / (name + _SUFFIX), max(self._rotate_bytes, needed))
            if _take(file.descriptor):
                break
            file.mapped.close()
            os.close(file.descriptor)  # another process that is starting took it for a left-over: leave it to that one
        self._current = file
        if self._sync_every is not None:
            _sync_folder(self._folder)
        return file

    def _sync(self, file: _File) -> None:
        """Bring what was appended to the disk when it is time; a record that may not be there is none."""
        if self._sync_every is None or time.monotonic() - self._synced < self._sync_every:
            return
        try:
            file.mapped.flush()
        except OSError:
            _write_head(file.mapped, file.used, 0, 0)
            raise
        self._synced = time.monotonic()

    def _seal(self, file: _File) -> None:
        file.close()
        self._sealed[file.path.stem] = (file.path, file.descriptor)
        self._current = None

    def _take_over(self) -> None:
        for path in sorted(self._folder.glob("*" + _SUFFIX)):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # another process shipped it just now
            if not _take(descriptor):
                os.close(descriptor)  # its writer lives
            elif os.fstat(descriptor).st_size == 0:
                path.unlink(missing_ok=True)
                os.close(descriptor)
            else:
                self._sealed[path.stem] = (path, descriptor)

    def _read(self, content: bytes) -> tuple[tuple[Outcome, ...], int]:
        """Read records until one is torn; one that is whole but unknown to this vedette is passed over."""
        outcomes: list[Outcome] = []
        position = damaged = 0
        while position + _HEAD_SIZE <= len(content):
            length, checksum = _HEAD.unpack_from(content, position)
            end = position + _HEAD_SIZE + length
            body = content[position + _HEAD_SIZE : end]
            if not length or end > len(content) or crc32(body) != checksum:  # zeroes are no empty record
                break
            try:
                outcome = self._decode(body)
                check_stored(outcome)
                outcomes.append(outcome)
            except (DecodeError, InvalidInput):
                damaged += end - position
            position = end
        return tuple(outcomes), damaged + len(content[position:].rstrip(b"\0"))


def _take(descriptor: int) -> bool:
    """Lock a file for this process; False when another has it, or has just removed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def _reserve(descriptor: int, size: int) -> None:
    """Make room on the disk, so that writing to the map never fails for the lack of it.

    The zeroes are written: pages that are in memory already cost an append less than those only promised do.
    """
    rest = size
    while rest > 0:
        rest -= os.write(descriptor, _ZEROES[:rest] if rest < len(_ZEROES) else _ZEROES)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
