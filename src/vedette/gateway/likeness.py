"""How alike texts are by their spelling, and what of a request and an answer is compared.

``lexical`` is no embedding of meaning: it counts groups of three to five characters. It knows a question again with
another word order, a typing error or a courtesy around it; it does not know synonyms, and it takes "can I" and "can't
I" for nearly the same. Numbers are not compared by likeness at all: texts with other numbers are never alike.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from vedette.gateway.openai import CHAT, Ask

Vector = NDArray[np.float32]

LONGEST: Final = 16_384
"""Characters of a question that is still compared."""

_LENGTH: Final = 512  # of lexical vectors
_GROUPS: Final = (3, 4, 5)  # characters that are counted together
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_canonical = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_ALL = msgspec.json.Decoder(list[dict[str, Any]])
_LEFT_OUT: Final = frozenset({"model", "user", "messages"})


class Prompt(NamedTuple):
    """A question as it is compared: its last message, with those whose everything else is the same."""

    group: bytes
    text: str


def prompt_of(ask: Ask, of: Sequence[object]) -> Prompt | None:
    """Read what is compared of a request; None where that is not one last text of a user's."""
    if ask.path != CHAT or ask.stream or "messages" not in ask.fields:
        return None
    try:
        messages = _ALL.decode(ask.fields["messages"])
        last = messages[-1] if messages else {}
        text = last.get("content")
        if last.get("role") != "user" or not isinstance(text, str) or len(text) > LONGEST:
            return None
        rest = {name: value for name, value in ask.fields.items() if name not in _LEFT_OUT}
        about = {name: value for name, value in last.items() if name != "content"}
        same = _canonical([of, _decode(_encode(rest)), messages[:-1], about, numbers(text)])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    plain = normal(text)
    return Prompt(hashlib.blake2b(same, digest_size=16).digest(), plain) if plain else None


def normal(text: str) -> str:
    """Give a text without what makes no difference: case, spaces, ways to write the same character."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def numbers(text: str) -> list[str]:
    """Give the numbers of a text, in order."""
    return _NUMBER.findall(text)


def lexical(text: str) -> Vector:
    """Give how a text is spelt, as a vector of length 1."""
    codes = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), np.uint32)
    vector = np.zeros(_LENGTH, np.float32)
    for size in _GROUPS:
        count = len(codes) - size + 1
        if count <= 0:
            continue
        hashed = np.full(count, 2_166_136_261 + size, np.uint32)
        for place in range(size):
            hashed = (hashed ^ codes[place : place + count]) * np.uint32(16_777_619)
        hashed ^= hashed >> np.uint32(15)
        hashed *= np.uint32(0x2C1B3C6D)
        hashed ^= hashed >> np.uint32(12)
        signs = np.where(hashed >> np.uint32(31), np.float32(1), np.float32(-1))
        vector += np.bincount(hashed % np.uint32(_LENGTH), weights=signs, minlength=_LENGTH).astype(np.float32)
    return unit(vector)


def unit(vector: Vector) -> Vector:
    """Give a vector of length 1 in the same direction; one of length 0 stays."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


class _Function(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]


_ANSWER = msgspec.json.Decoder(_Answer)


def agree(one: bytes, other: bytes, agreement: float) -> bool | None:
    """Say whether two answers say the same, as far as their spelling tells; None where one cannot be read."""
    try:
        first, second = (_ANSWER.decode(body).choices for body in (one, other))
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return len(first) == len(second) and all(
        a.message.tool_calls == b.message.tool_calls and _alike(a.message.content, b.message.content, agreement)
        for a, b in zip(first, second, strict=True)
    )


def _alike(one: str | None, other: str | None, agreement: float) -> bool:
    first, second = normal(one or ""), normal(other or "")
    if first == second:
        return True
    return numbers(first) == numbers(second) and float(lexical(first) @ lexical(second)) >= agreement
