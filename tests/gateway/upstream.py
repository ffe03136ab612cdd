"""A small model server that behaves, or misbehaves, as the model name it is asked for says.

``name:argument``, for example ``slow:0.3``, ``429:3600`` (Retry-After), ``flaky:2``, ``paced:40`` (events).
"""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EVENTS = 5
USAGE = {"prompt_tokens": 11, "completion_tokens": EVENTS, "total_tokens": 11 + EVENTS}

Json = dict[str, Any]


@dataclass
class Asked:
    """One request a backend has seen."""

    path: str
    headers: dict[str, str]
    body: bytes
    nth: int  # on its connection, from 0

    @property
    def json(self) -> Json:
        """The body."""
        return json.loads(self.body)  # type: ignore[no-any-return]  # an object, by the gateway's promise


@dataclass
class MockUpstream:
    """Answers on a port of its own; keeps what it was asked, and whose caller hung up before the answer was whole."""

    asked: list[Asked] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    sent: int = 0  # bytes of floods
    connections: int = 0
    port: int = 0
    models: "Counter[str]" = field(default_factory=Counter)  # of what was asked

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        self._server.close()

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return f"http://127.0.0.1:{self.port}/v1"

    def count(self, model: str) -> int:
        """Count the requests for a model; those counted before are not read again."""
        counted = self.models.total()
        self.models.update(asked.json["model"] for asked in self.asked[counted:])
        return self.models[model]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        nth = 0
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.asked.append(Asked(first.split()[1], headers, body, nth))
                await self._answer_unless_left(self.asked[-1], reader, writer)
                nth += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer_unless_left(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answer = asyncio.ensure_future(self._answer(asked, writer))
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self.left.append(asked.json["model"])
            answer.cancel()
            raise ConnectionError
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        answer.result()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        model, _, argument = asked.json["model"].partition(":")
        first = self.count(asked.json["model"]) == 1
        await asyncio.sleep(_pause(model, argument, first=first))
        if model == "hang-up" or (model == "stale" and asked.nth):
            raise ConnectionError
        if model in RAW:
            writer.write(RAW[model])
            raise ConnectionError
        if model == "slow-500" or (model == "late-then-500" and not first):
            model, argument = "500", ""
        if model.isdigit():
            fields = f"retry-after: {argument}\r\n" if argument else ""
            _write(writer, int(model), {"error": {"message": f"upstream says {model}"}}, fields)
        elif model == "flaky" and self.count(asked.json["model"]) <= int(argument):
            _write(writer, 503, {"error": {"message": "busy"}})
        elif asked.json.get("stream") and asked.path == "/v1/responses":
            await self._respond(model, writer)
        elif asked.json.get("stream"):
            await self._stream(model, int(argument or EVENTS), asked, writer)
        elif model in SPOKEN:
            _write(writer, 200, SPOKEN[model](asked.json))
        else:
            _write(writer, 200, WHOLE[asked.path](model), HOPS + UNKEPT.get(model, ""))
        await writer.drain()

    async def _respond(self, model: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        whole = _response(model)
        begun = {**whole, "status": "in_progress", "error": None, "usage": None, "output": []}
        events: list[Json] = [{"type": "response.created", "response": begun}]
        events += [{"type": "response.output_text.delta", "delta": text, **_PLACE} for text in ("an ", "error?")]
        ends: dict[str, list[Json]] = {
            "cut": [],
            "failed": [{"type": "response.failed", "response": whole}],
            "error-event": [{"type": "error", "code": "server_error", "message": "lost a worker", "param": None}],
        }
        events += ends.get(model, [{"type": "response.completed", "response": whole}])
        for number, event in enumerate(events):
            data = json.dumps({**event, "sequence_number": number}).encode()
            _chunk(writer, b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def _stream(self, model: str, count: int, asked: Asked, writer: asyncio.StreamWriter) -> None:
        wants_usage = bool((asked.json.get("stream_options") or {}).get("include_usage"))
        kind = f"content-type: text/event-stream\r\n{UNKEPT.get(model, '')}"
        writer.write(f"HTTP/1.1 200 OK\r\n{kind}transfer-encoding: chunked\r\n\r\n".encode())
        if model == "error-first":
            _chunk(writer, b": warming up\n\n" + _event({"error": {"message": "no memory"}}))
        if model == "silent-stream":
            await asyncio.sleep(60)
        for number in range(2 if model in BREAKING else count):
            text = "x" * 65_000 if model == "flood" else f"{number} "
            event = SHAPES.get(model, _same)(_event(_delta(model, text, usage=wants_usage)))
            self.sent += len(event) if model == "flood" else 0
            for part in [bytes([byte]) for byte in event] if model == "crumbs" else [event]:
                _chunk(writer, part)
                await writer.drain()
            await asyncio.sleep(0.02 if model in {"paced", *BREAKING} else 0)
        if model in BREAKING:
            await BREAKING[model](writer)
        elif model != "no-done":
            if wants_usage:
                _chunk(writer, _event({**_delta(model, "", usage=True), "choices": [], "usage": USAGE}))
            _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def _pause(model: str, argument: str, *, first: bool) -> float:
    """Say how long a model takes; some only the first time."""
    given = float(argument) if model.startswith(("slow", "late")) and argument else 0.0
    pauses = {"hang": 60.0, "slow": given, "slow-500": given}
    return pauses.get(model, {"late-once": 60.0, "late-then-500": given}.get(model, 0.0) if first else 0.0)


async def _cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    raise ConnectionError


async def _error(writer: asyncio.StreamWriter) -> None:
    _chunk(writer, _event({"error": {"message": "lost a worker"}}))


async def _stall(writer: asyncio.StreamWriter) -> None:  # noqa: ARG001 - one shape for all
    await asyncio.sleep(60)


BREAKING = {"cut": _cut, "error-middle": _error, "stall": _stall}
"""Streams that break after two events, and how."""


def _same(event: bytes) -> bytes:
    return event


SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "crlf": lambda event: event.replace(b"\n", b"\r\n"),
    "big-event": lambda event: event.replace(b'"assistant"', b'"' + b"x" * 300_000 + b'"'),
}


def _write(writer: asyncio.StreamWriter, status: int, value: Json, fields: str = "") -> None:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{fields}content-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _event(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _chat(model: str) -> Json:
    message = {"role": "assistant", "content": f"from {model}"}
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    return {"id": "x", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage}


def _completion(model: str) -> Json:
    choices = [{"index": 0, "text": f"from {model}", "finish_reason": "stop", "logprobs": None}]
    return {"id": "x", "object": "text_completion", "created": 1, "model": model, "choices": choices}


def _embedding(model: str) -> Json:
    data = [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}]
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def _echo(asked: Json) -> Json:
    answer = _chat("echo")
    answer["choices"][0]["message"]["content"] = asked["messages"][-1]["content"]
    return answer


def _boasting(asked: Json) -> Json:  # noqa: ARG001 - one shape for all
    return {**_chat("boasting"), "usage": {"prompt_tokens": 10**30, "completion_tokens": 2}}


def _meaning(asked: Json) -> Json:
    about = [sum(word in asked["input"] for word in words) for words in (("cancel", "terminate"), ("pay", "settle"))]
    return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": about}], "model": "meaning"}


def _delta(model: str, text: str, *, usage: bool = False) -> Json:
    choices = [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return {**chunk, "usage": None} if usage else chunk


_PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}


def _response(model: str) -> Json:
    text = {"type": "output_text", "text": f"from {model}", "annotations": []}
    output = [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}]
    usage = {"input_tokens": 11, "output_tokens": 2, "total_tokens": 13}
    fixed: Json = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": None}
    choice: Json = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**fixed, **choice, "model": model, "output": output, "usage": usage, **ENDS.get(model, {})}


_LOST: Json = {"error": {"code": "server_error", "message": "lost a worker"}}
ENDS: dict[str, Json] = {
    "failed": {"status": "failed", **_LOST},
    "failed-unexplained": {"status": "failed"},
    "error-only": {"status": "completed", **_LOST},
    "incomplete": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
}
"""How responses with status 200 end that are not simply completed."""

WHOLE = {
    "/v1/responses": _response,
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/embeddings": _embedding,
}
SPOKEN: dict[str, Callable[[Json], Json]] = {"boasting": _boasting, "echo": _echo, "meaning": _meaning}
"""Models whose answers depend on what they are asked."""

HOPS = "connection: keep-alive, x-hop\r\nx-hop: 1\r\nset-cookie: a=b\r\nx-upstream: yes\r\nkeep-alive: 5\r\n"
UNKEPT = {"no-store": "Cache-Control: No-Store\r\n"}
"""What a model that wants its answers forgotten says."""

RAW = {
    "garbage": b"\x16\x03 this is no HTTP\r\n\r\n",
    "short": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{",
    "until-close": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    + json.dumps(_chat("until-close")).encode(),
}
