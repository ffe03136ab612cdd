"""The shapes OpenAI clients speak: requests read only as far as needed, errors, model lists, and our own answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from vedette.kernel.errors import InvalidInput

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
RESPONSES: Final = "/v1/responses"
PATHS: Final = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES)
_WITH_USAGE: Final = frozenset({CHAT, COMPLETIONS})  # whose streams tell usage only when asked

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str | None)
_FLAG = msgspec.json.Decoder(bool | None)
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_PROMPT = msgspec.json.Decoder(str | list[str])
_USAGE_WANTED = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")
_encode = msgspec.json.Encoder().encode


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_Part] | None = None


_MESSAGES = msgspec.json.Decoder(list[_Message])


class Ask(msgspec.Struct):
    """A request to a model: every field as the client wrote it, and the few the gateway understands."""

    path: str
    fields: dict[str, msgspec.Raw]
    model: str
    user: str
    stream: bool
    wants_usage: bool

    def rewritten(self, model: msgspec.Raw) -> bytes:
        """Write the body for a backend: its own model name, usage asked for, all else as it came."""
        fields = {**self.fields, "model": model}
        if self.stream and not self.wants_usage and self.path in _WITH_USAGE:
            options = _read(_OPTIONS, fields, "stream_options") or {}
            fields["stream_options"] = msgspec.Raw(_encode({**options, "include_usage": _USAGE_WANTED}))
        return _encode(fields)

    def queries(self) -> tuple[str, ...]:
        """Give the texts a model in this process is asked: the last user message, or the prompts.

        Raises:
            InvalidInput: there is no text in it.
        """
        if self.path == CHAT:
            for message in reversed(_read(_MESSAGES, self.fields, "messages")):
                if message.role == "user":
                    return (_text_of(message),)
            raise InvalidInput("messages holds no user message")
        if self.path == COMPLETIONS:
            prompt = _read(_PROMPT, self.fields, "prompt")
            if prompt:
                return (prompt,) if isinstance(prompt, str) else tuple(prompt)
            raise InvalidInput("prompt is empty")
        raise InvalidInput("this version answers chat and completions, it has neither embeddings nor responses")


def read_ask(path: str, body: bytes) -> Ask:
    """Read a request body.

    Raises:
        InvalidInput: it is no JSON object, or a field the gateway needs is missing or of the wrong type.
    """
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the request body is no JSON object: {error}") from error
    model = _read(_TEXT, fields, "model")
    if not model:
        raise InvalidInput("model is missing: name a domain")
    stream = "stream" in fields and bool(_read(_FLAG, fields, "stream"))
    options = _read(_OPTIONS, fields, "stream_options") or {} if stream else {}
    return Ask(
        path=path,
        fields=fields,
        model=model,
        user=(_read(_TEXT, fields, "user") or "") if "user" in fields else "",
        stream=stream,
        wants_usage=stream and bool(_read(_FLAG, options, "include_usage")),
    )


def _read(decoder: msgspec.json.Decoder[Any], fields: Mapping[str, msgspec.Raw], name: str) -> Any:  # noqa: ANN401 - as the decoder says
    """Decode one field; None when it is not there and the decoder is for an optional one."""
    try:
        return decoder.decode(fields.get(name, _NULL))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{name}: {error}" if name in fields else f"{name} is missing") from error


def _text_of(message: _Message) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content if part.type == "text")
    return message.content or ""


def error_body(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """Write an error as OpenAI's clients expect it."""
    return _encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_event(message: str) -> bytes:
    """Write the event that ends a stream which failed after it began."""
    return b"data: " + error_body(message, "server_error", "stream_failed") + b"\n\n"


def model_entry(domain: str) -> dict[str, object]:
    """Describe a domain as a model; plans carry no date, so ``created`` is 0."""
    return {"id": domain, "object": "model", "created": 0, "owned_by": "vedette"}


def model_list(domains: Iterable[str]) -> bytes:
    """Write the list of models: one a domain."""
    return _encode({"object": "list", "data": [model_entry(domain) for domain in domains]})


def answer_body(ask: Ask, request_id: str, created: int, texts: Sequence[str]) -> bytes:
    """Write the answer of a model in this process; it counts no tokens, so it states no usage."""
    if ask.path == CHAT:
        choices = [
            {
                "index": 0,
                "message": {"role": "assistant", "content": texts[0]},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ]
        head = {"id": f"chatcmpl-{request_id}", "object": "chat.completion"}
    else:
        choices = [_completion(index, text) for index, text in enumerate(texts)]
        head = {"id": f"cmpl-{request_id}", "object": "text_completion"}
    return _encode({**head, "created": created, "model": ask.model, "choices": choices})


def answer_events(ask: Ask, request_id: str, created: int, texts: Sequence[str]) -> bytes:
    """Write the same answer as a stream: one chunk with all of it, and the end."""
    if ask.path == CHAT:
        delta = {"role": "assistant", "content": texts[0]}
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop"}]
        head = {"id": f"chatcmpl-{request_id}", "object": "chat.completion.chunk"}
    else:
        choices = [_completion(index, text) for index, text in enumerate(texts)]
        head = {"id": f"cmpl-{request_id}", "object": "text_completion"}
    chunk = _encode({**head, "created": created, "model": ask.model, "choices": choices})
    return b"data: " + chunk + b"\n\ndata: [DONE]\n\n"


def _completion(index: int, text: str) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": "stop"}
