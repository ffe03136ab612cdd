"""A model server of canned answers that costs next to nothing: ``python upstream.py PORT``.

A body that holds ``"stream": true`` is answered by 35 events, each in a chunk of its own and all written at once (what
a relay pays for then is its work on events, not waking up); any other by one JSON of 1.4 KB. Uvloop and two searches in
the bytes are all there is, so it stays cheaper than whatever is measured in front of it.
"""

import asyncio
import json
import sys
from typing import cast

EVENTS = 35
_ID = {"id": "chatcmpl-0f6c1a5e9b7d4c2f8a3e", "created": 1767225600, "model": "mock-large"}
_USAGE = {
    "prompt_tokens": 219,
    "completion_tokens": 160,
    "total_tokens": 379,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def whole() -> bytes:
    """Write the answer that comes in one piece."""
    text = "Hail damage is covered by your partial cover, less the excess. " * 14
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    body = json.dumps({**_ID, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_5f2c\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


def stream() -> bytes:
    """Write the answer that comes in events."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = (b"%x\r\n%b\r\n" % (len(event), event) for event in events())
    return b"".join((head, *chunks, b"0\r\n\r\n"))


def events() -> list[bytes]:
    """Write the events: words of the answer, its end, its usage, and the mark that nothing follows."""
    words = [
        {"index": 0, "delta": {"content": f" word{number}"}, "finish_reason": None} for number in range(EVENTS - 3)
    ]
    ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [{**_ID, "object": "chat.completion.chunk", "choices": [choice]} for choice in (*words, ended)]
    chunks.append({**_ID, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


WHOLE, STREAM = whole(), stream()
_STREAMS = (b'"stream": true', b'"stream":true')
_LENGTH = b"content-length: "


class Upstream(asyncio.Protocol):
    """One connection: counts bytes until a request is whole, then answers it."""

    def __init__(self) -> None:
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        self._write = cast("asyncio.WriteTransport", transport).write

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        read = self._read + data if self._read else data
        while (end := read.find(b"\r\n\r\n") + 4) >= 4:
            head = read[:end].lower()
            place = head.find(_LENGTH)
            length = int(head[place + len(_LENGTH) : head.index(b"\r", place)]) if place >= 0 else 0
            if len(read) < end + length:
                break
            body, read = read[end : end + length], read[end + length :]
            self._write(STREAM if any(mark in body for mark in _STREAMS) else WHOLE)
        self._read = read


async def serve(port: int) -> None:
    """Listen until told to end."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
