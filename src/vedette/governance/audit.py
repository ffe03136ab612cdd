"""The audit chain: every entry carries the hash of the one before, so a changed record shows where it was changed.

An entry's hash is the SHA-256 of a zero byte and the RFC 8785 canonical JSON of everything in the entry, its sequence
and its predecessor's hash included. The zero byte is RFC 6962's mark of a leaf, so the same hashes can stand in a
Merkle tree. A chain alone cannot show that its newest entries are missing; for that `verify` takes the head that is
kept beside the log, and a checkpoint (``sequence:hash``) that was written down somewhere else.
"""

import bisect
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum

from vedette.kernel.documents import dump
from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import canonical
from vedette.kernel.records import evolve, record

GENESIS = "0" * 64
"""The previous hash of the first entry."""

_SAFE = (1 << 53) - 1
_INFINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
_HEX = frozenset("0123456789abcdef")
_TRIED = 64  # places an entry that does not fit is tried in, so that a wholly rewritten record costs no square of it


@record
class AuditEntry:
    """One line of the record: who did what to which resource, when, with which details, chained to the line before."""

    sequence: int
    at: datetime
    actor: str
    action: str
    domain: str = ""
    resource: str = ""
    details: Mapping[str, object]
    request_id: str = ""
    previous_hash: str
    entry_hash: str


@record
class Head:
    """The end of a chain: how many entries it has and the hash of the last; also a checkpoint kept elsewhere."""

    sequence: int = 0
    entry_hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.sequence}:{self.entry_hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read a checkpoint written as ``sequence:hash``.

        Raises:
            InvalidInput: it is none.
        """
        sequence, _, entry_hash = text.strip().partition(":")
        if not (sequence.isascii() and sequence.isdigit()) or len(entry_hash) != 64 or set(entry_hash) - _HEX:
            raise InvalidInput(
                f"{text!r} is no checkpoint", hint="write sequence:hash as `vedette audit head` prints it"
            )
        return cls(sequence=int(sequence), entry_hash=entry_hash)


class Fault(StrEnum):
    """What can be wrong with a record."""

    EDITED = "edited"  # the entry is not what its own hash says
    FORGED = "forged"  # the entry agrees with itself, but not with what was chained to it
    REMOVED = "removed"  # entries are missing inside
    REORDERED = "reordered"  # the entry stands in another's place
    TRUNCATED = "truncated"  # the newest entries are missing


@record
class Finding:
    """One fault: its kind, the first sequence it concerns, and a plain sentence."""

    fault: Fault
    sequence: int
    message: str


def plain(value: object) -> object:
    """Turn a value into JSON that every reader reads alike.

    Integers beyond ±(2⁵³ - 1) and numbers that are not finite become text, times become ISO 8601 in UTC, and records
    what their documents say.

    Raises:
        InvalidInput: it is no JSON value, or holds text that is not Unicode or holds NUL.
    """
    result = value
    match value:
        case None | bool():
            pass
        case str():
            result = _text(value)
        case int():
            result = value if -_SAFE <= value <= _SAFE else str(value)
        case float():
            result = value if math.isfinite(value) else _INFINITE.get(value, "NaN")
        case datetime():
            result = _instant(value)
        case Mapping():
            result = {_text(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            result = [plain(item) for item in value]
        case _ if is_dataclass(value):
            result = plain(dump(value))
        case _:
            raise InvalidInput(f"{type(value).__name__} is no JSON value")
    return result


def _text(text: str) -> str:
    if "\0" in text or (not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)):
        raise InvalidInput(f"{text!r} cannot be stored", hint="text must be Unicode without NUL")
    return str(text)


def _utc(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise InvalidInput(f"{when} has no time zone")
    return when.astimezone(UTC)


def _instant(when: datetime) -> str:
    return _utc(when).isoformat(timespec="microseconds").replace("+00:00", "Z")


def hash_of(entry: AuditEntry) -> str:
    """Compute the hash an entry must carry, in hex."""
    body = {
        "sequence": str(entry.sequence),
        "at": _instant(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "domainId": entry.domain,
        "resource": entry.resource,
        "details": plain(entry.details),
        "requestId": entry.request_id,
        "previousHash": entry.previous_hash,
    }
    return hashlib.sha256(b"\0" + canonical(body)).hexdigest()


def chain(
    head: Head,
    *,
    at: datetime,
    actor: str,
    action: str,
    domain: str = "",
    resource: str = "",
    details: Mapping[str, object] | None = None,
    request_id: str = "",
) -> AuditEntry:
    """Make the entry that follows ``head``.

    Raises:
        InvalidInput: it names no actor or no action, or its details cannot be written as JSON.
    """
    if not actor or not action:
        raise InvalidInput("an audit entry names its actor and its action")
    entry = AuditEntry(
        sequence=head.sequence + 1,
        at=_utc(at),
        actor=_text(actor),
        action=_text(action),
        domain=_text(domain),
        resource=_text(resource),
        details={_text(str(key)): plain(value) for key, value in (details or {}).items()},
        request_id=_text(request_id),
        previous_hash=head.entry_hash,
        entry_hash="",
    )
    return evolve(entry, entry_hash=hash_of(entry))


def verify(
    entries: Iterable[AuditEntry], head: Head | None = None, checkpoint: Head | None = None
) -> tuple[Finding, ...]:
    """Check a whole record, given in its stored order, and name every fault; none found means it is sound.

    ``head`` is the end of the chain as the log's keeper knows it, ``checkpoint`` an earlier or later end that was
    written down elsewhere: without the second, someone who rewrites entries, hashes and head together leaves no trace.
    """
    reader = _Reader(checkpoint=checkpoint)
    for entry in entries:
        reader.read(entry)
    return reader.finish(head)


@dataclass(slots=True)
class _Reader:
    """Walks along a chain once, keeping only the last entry, the gaps and the entries that do not fit."""

    checkpoint: Head | None
    last: AuditEntry | None = None
    last_sound: bool = True
    gaps: list[tuple[int, int]] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    broken: list[AuditEntry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def read(self, entry: AuditEntry) -> None:
        expected = self.last.sequence + 1 if self.last else 1
        sound = hash_of(entry) == entry.entry_hash
        if not sound:
            self.broken.append(entry)
        if self.checkpoint and entry.sequence == self.checkpoint.sequence:
            self._against_checkpoint(entry, self.checkpoint)
        if entry.sequence < expected:
            self._out_of_turn(entry)
            return
        if entry.sequence > expected:
            self.gaps.append((expected, entry.sequence - 1))
        else:
            self._link(entry, sound=sound)
        self.last, self.last_sound = entry, sound

    def _link(self, entry: AuditEntry, *, sound: bool) -> None:
        """Compare an entry's memory of its predecessor with the predecessor; the one that is wrong is named."""
        before = self.last.entry_hash if self.last else GENESIS
        if entry.previous_hash == before:
            return
        if not sound and hash_of(evolve(entry, previous_hash=before)) == entry.entry_hash:
            return  # only the memory was edited, which is named already; the predecessor is innocent
        if not self.last:
            self._find(Fault.FORGED, entry.sequence, "does not begin the chain")
        elif self.last_sound:
            self._find(Fault.FORGED, self.last.sequence, "is not the entry its successor was chained to")

    def _out_of_turn(self, entry: AuditEntry) -> None:
        if any(first <= entry.sequence <= last for first, last in self.gaps) and entry.sequence not in self.late:
            bisect.insort(self.late, entry.sequence)
            self._find(Fault.REORDERED, entry.sequence, "stands behind a later one")
        else:
            self._find(Fault.FORGED, entry.sequence, "is there twice")

    def _against_checkpoint(self, entry: AuditEntry, checkpoint: Head) -> None:
        if entry.entry_hash != checkpoint.entry_hash:
            self._find(
                Fault.FORGED, entry.sequence, "or an entry before it was rewritten after the checkpoint was taken"
            )

    def finish(self, head: Head | None) -> tuple[Finding, ...]:
        self._name_broken()
        for first, last in self._removed():
            what = f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"
            self.findings.append(Finding(fault=Fault.REMOVED, sequence=first, message=what))
        end = Head(sequence=self.last.sequence, entry_hash=self.last.entry_hash) if self.last else Head()
        for known, name in ((head, "head"), (self.checkpoint, "checkpoint")):
            if known and known.sequence > end.sequence:
                message = f"the record ends at {end.sequence}, but its {name} says {known.sequence}"
                self.findings.append(Finding(fault=Fault.TRUNCATED, sequence=end.sequence + 1, message=message))
        if head and head.sequence < end.sequence:
            self._find(Fault.FORGED, head.sequence + 1, f"stands beyond the head, which is {head.sequence}")
        elif head and head.sequence == end.sequence and head.entry_hash != end.entry_hash:
            self._find(Fault.FORGED, end.sequence, "is not the one the head points to")
        return tuple(sorted(set(self.findings), key=lambda finding: (finding.sequence, finding.fault)))

    def _removed(self) -> Iterator[tuple[int, int]]:
        for first, last in self.gaps:
            begin = first
            for sequence in (*(late for late in self.late if first <= late <= last), last + 1):
                if begin < sequence:
                    yield begin, sequence - 1
                begin = sequence + 1

    def _name_broken(self) -> None:
        """Tell an entry moved to another's place from one whose content was edited."""
        places = [*(entry.sequence for entry in self.broken), *(first for first, _ in self.gaps)][:_TRIED]
        for entry in self.broken:
            home = next((p for p in places if hash_of(evolve(entry, sequence=p)) == entry.entry_hash), None)
            if home is not None:
                self._find(Fault.REORDERED, entry.sequence, f"is entry {home} in another's place")
            else:
                self._find(Fault.EDITED, entry.sequence, "is not what its hash says")

    def _find(self, fault: Fault, sequence: int, what: str) -> None:
        self.findings.append(Finding(fault=fault, sequence=sequence, message=f"entry {sequence} {what}"))
