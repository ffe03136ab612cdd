"""Requests no client should send: a smuggling corpus of our own, what grows from it by chance, and who reads it right.

`CORPUS` holds requests whose end is open to doubt, and some that only look odd. `mutants` grows more of them, the same
for the same seed. `read` is a reading of RFC 9112 that doubts nothing and forgives nothing: how many whole requests
stand in some bytes, and no more can ever be answered. `CANARY` stands behind every case; an answer to it, where `read`
does not find it, is a request smuggled.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

CANARY = b"GET /smuggled-here HTTP/1.1\r\nHost: a\r\n\r\n"
"""Stands behind every malformed request; an answer to it (404 for its path) tells that it was taken for one."""

_POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
_BODY = b'{"model": "payments", "messages": []}'


@dataclass(frozen=True)
class Case:
    """Bytes, and whether a gateway must refuse them and all that follows."""

    name: str
    data: bytes
    refused: bool = True
    by_policy: bool = False  # where it ends is beyond doubt, and it is refused all the same


def _lengths() -> Iterator[Case]:
    """Lengths that two readers could read as two."""
    for name, value in {
        "twice the same": b"5\r\nContent-Length: 5",
        "twice": b"5\r\nContent-Length: 6",
        "a list": b"5, 5",
        "signed": b"+5",
        "negative": b"-5",
        "hex": b"0x5",
        "octal": b"0o5",
        "underscore": b"1_0",
        "exponent": b"5e0",
        "fraction": b"5.0",
        "empty": b"",
        "a space within": b"1 0",
        "full-width": "\uff15".encode(),
        "a tab": b"5\t5",
        "too large for 64 bits": b"18446744073709551621",
        "a comma": b"5,",
        "a semicolon": b"5;",
        "NUL": b"5\x00",
        "a vertical tab": b"\x0b5",
        "a form feed": b"5\x0c",
    }.items():
        yield Case(f"length: {name}", _POST + b"Content-Length: " + value + b"\r\n\r\nabcde")


def _codings() -> Iterator[Case]:
    """Transfer codings that hide, and lengths beside them."""
    chunked = b"0\r\n\r\n"
    for name, head in {
        "beside a length": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        "before a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        "unknown": b"Transfer-Encoding: xchunked",
        "chunked, then another": b"Transfer-Encoding: chunked, identity",
        "another, then chunked, on two lines": b"Transfer-Encoding: xchunked\r\nTransfer-Encoding: chunked",
        "another, then chunked": b"Transfer-Encoding: gzip, chunked",
        "twice chunked, on two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 3",
        "space before the colon": b"Transfer-Encoding : chunked",
        "tab before the colon": b"Transfer-Encoding\t: chunked",
        "NUL in the name": b"Transfer\x00-Encoding: chunked",
        "vertical tab before it": b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5",
        "folded": b"Transfer-Encoding:\r\n chunked",
        "quoted": b'Transfer-Encoding: "chunked"',
        "a parameter": b"Transfer-Encoding: chunked;a=b",
        "a bare return before it": b"X: y\rTransfer-Encoding: chunked",
        "a bare line feed before it": b"X: y\nTransfer-Encoding: chunked",
        "identity beside a length": b"Transfer-Encoding: identity\r\nContent-Length: 5",
        "empty": b"Transfer-Encoding:\r\nContent-Length: 5",
    }.items():
        yield Case(f"coding: {name}", _POST + head + b"\r\n\r\n" + chunked)
    yield Case("coding: in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked)


def _chunks() -> Iterator[Case]:
    """Chunks whose end two readers could see in two places."""
    for name, chunks in {
        "a bare line feed behind the size": b"5\nabcde\r\n0\r\n\r\n",
        "a bare line feed behind the data": b"5\r\nabcde\n0\r\n\r\n",
        "nothing behind the data": b"5\r\nabcde0\r\n\r\n",
        "too much data": b"5\r\nabcdef\r\n0\r\n\r\n",
        "a sign": b"+5\r\nabcde\r\n0\r\n\r\n",
        "a prefix": b"0x5\r\nabcde\r\n0\r\n\r\n",
        "a space before": b" 5\r\nabcde\r\n0\r\n\r\n",
        "an underscore": b"1_0\r\nabcde\r\n0\r\n\r\n",
        "no size": b"\r\nabcde\r\n0\r\n\r\n",
        "too large for 64 bits": b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
        "a bare return behind the size": b"5\rabcde\r\n0\r\n\r\n",
        "a bare line feed in an extension": b"5;a\nb\r\nabcde\r\n0\r\n\r\n",
        "a negative size": b"-5\r\nabcde\r\n0\r\n\r\n",
    }.items():
        yield Case(f"chunk: {name}", _POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)


def _heads() -> Iterator[Case]:
    """Heads that are none, or are two."""
    for name, head in {
        "bare line feeds": b"GET /livez HTTP/1.1\nHost: a\n\n",
        "a bare return": b"GET /livez HTTP/1.1\rHost: a\r\r",
        "two hosts": b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "no host": b"GET /livez HTTP/1.1\r\n\r\n",
        "a folded header": b"GET /livez HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        "a header without a colon": b"GET /livez HTTP/1.1\r\nHost: a\r\nX y\r\n\r\n",
        "a header without a name": b"GET /livez HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
        "a space in a name": b"GET /livez HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
        "a NUL in a value": b"GET /livez HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        "the first header folded": b"GET /livez HTTP/1.1\r\n Host: a\r\n\r\n",
        "a space in the path": b"GET /li vez HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "an unknown method": b"GRAB /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        "a method in small letters": b"get /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        "no version": b"GET /livez\r\n\r\n",
        "version 1.2": b"GET /livez HTTP/1.2\r\nHost: a\r\n\r\n",
        "version 2.0": b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n",
        "HTTP/2's beginning": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
        "a NUL": b"\x00",
        "a tab for a space": b"GET\t/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    }.items():
        policy = name in {"two hosts", "no host", "CONNECT", "an unknown method", "a method in small letters"}
        yield Case(f"head: {name}", head, by_policy=policy)


def _sound() -> Iterator[Case]:
    """Requests that look odd and are good: what follows them is a request."""
    length = b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
    yield Case("sound: a length", _POST + length, refused=False)
    chunk = b'%x;note="a"\r\n%b\r\n0\r\nTrailer-X: y\r\n\r\n' % (len(_BODY), _BODY)
    yield Case(
        "sound: a chunk with an extension, a trailer",
        _POST + b"Transfer-Encoding: Chunked\r\n\r\n" + chunk,
        refused=False,
    )
    yield Case("sound: empty lines before", b"\r\n\r\n" + _POST + length, refused=False)
    yield Case("sound: leading zeroes", _POST + length.replace(b": ", b": 000", 1), refused=False)
    offer = _POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    yield Case("sound: an offer of HTTP/2, a length", offer + length, refused=False)
    yield Case(
        "sound: an offer of HTTP/2, chunks", offer + b"Transfer-Encoding: chunked\r\n\r\n" + chunk, refused=False
    )
    yield Case("sound: an offer of HTTP/2, no body", offer.replace(b"POST", b"GET") + b"\r\n", refused=False)
    yield Case("sound: two spaces", b"GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n", refused=False)
    yield Case("sound: any JSON", _POST + b"Content-Length: 2\r\n\r\n[]", refused=False)


CORPUS: tuple[Case, ...] = (*_lengths(), *_codings(), *_chunks(), *_heads(), *_sound())

_PIECES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b",",
    b"0",
    b"5",
    b"ffffffffffffffff",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"0\r\n\r\n",
    b"chunked",
    b"\xff\xfe",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
    b"GET / ",
    b"\x0b",
    b"Content-Length: 0\r\n",
    b'{"model": "payments"',
    b"a" * 300,
)


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """Grow so many requests from the corpus: bytes taken out, put in, changed, doubled, cut, and joined."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(CORPUS).data)
        for _ in range(chance.randint(1, 4)):
            _mutate(data, chance)
        yield bytes(data)


def _mutate(data: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(data) + 1)
    end = min(len(data), place + chance.randint(1, 12))
    match chance.randrange(6):
        case 0:
            del data[place:end]
        case 1:
            data[place:place] = chance.choice(_PIECES)
        case 2:
            data[place:end] = chance.randbytes(end - place)
        case 3:
            data[place:place] = data[place:end]
        case 4:
            del data[place:]
        case _:
            data += chance.choice(CORPUS).data


@dataclass(frozen=True)
class Reading:
    """What some bytes are: the targets of the whole requests in them, in order, and whether nonsense comes next."""

    targets: tuple[bytes, ...]
    nonsense: bool


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"(" + _TOKEN + rb") +([\x21-\x7e\x80-\xff]+) +HTTP/1\.([01])\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;[^\x00-\x08\x0a-\x1f\x7f]*)?)\r\n")


def read(data: bytes) -> Reading:
    """Read requests from the beginning, as strictly as RFC 9112 can be read."""
    targets: list[bytes] = []
    place = 0
    while True:
        while data[place : place + 1] in {b"\r", b"\n"}:  # section 2.2 allows for empty lines; nothing hides in them
            place += 1
        if place >= len(data):
            return Reading(tuple(targets), nonsense=False)
        line = _LINE.match(data, place)
        head = _fields(data, line.end()) if line else None
        if line is None or head is None:
            return Reading(tuple(targets), nonsense=True)
        fields, place = head
        end = _end_of_body(data, place, fields, old=line[3] == b"0")
        if end is None:
            return Reading(tuple(targets), nonsense=True)
        targets.append(line[2])
        place = end


def _fields(data: bytes, place: int) -> tuple[list[tuple[bytes, bytes]], int] | None:
    fields: list[tuple[bytes, bytes]] = []
    while not data.startswith(b"\r\n", place):
        field = _FIELD.match(data, place)
        if field is None:
            return None
        fields.append((field[1].lower(), field[2]))
        place = field.end()
    return fields, place + 2


def _end_of_body(data: bytes, place: int, fields: list[tuple[bytes, bytes]], *, old: bool) -> int | None:
    """Find where the body ends; None when that is open to doubt, or it is not all there."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings:
        return _end_of_chunks(data, place) if codings == [b"chunked"] and not lengths and not old else None
    if not lengths:
        return place
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        return None
    end = place + int(lengths[0])
    return end if end <= len(data) else None


def _end_of_chunks(data: bytes, place: int) -> int | None:
    while chunk := _CHUNK.match(data, place):
        size, place = int(chunk[1], 16), chunk.end()
        if size == 0:
            trailer = _fields(data, place)
            return trailer[1] if trailer else None
        place += size
        if not data.startswith(b"\r\n", place):
            return None
        place += 2
    return None
