"""What an experiment's arm changes, made on a request: words around the prompt, parameters of the body, routing.

Everything that is not changed reaches the backend as the client wrote it. A change that cannot be made (a template
where no user speaks, a system message for a bare completion, decoding parameters for embeddings, words around the input
of a response) leaves the whole body as it came: a request is never served half-changed.
"""

from collections.abc import Mapping

import msgspec

from vedette.catalog.domain import DomainConfig
from vedette.gateway.openai import CHAT, EMBEDDINGS, RESPONSES, Ask
from vedette.kernel.records import evolve
from vedette.routing.override import Override, Prompt

_INSTRUCTING = frozenset({"system", "developer"})
_NULL = msgspec.Raw(b"null")


class _Head(msgspec.Struct):
    role: str = ""
    type: str = ""


_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HEAD = msgspec.json.Decoder(_Head)
_TEXT = msgspec.json.Decoder(str)
_CONTENT = msgspec.json.Decoder(str | list[msgspec.Raw])
_PROMPT = msgspec.json.Decoder(str | list[str])
_encode = msgspec.json.Encoder().encode


class _NoPlaceError(Exception):
    """There is nothing in the request that could be changed so."""


def changes_body(override: Override | None) -> bool:
    """Say whether an override wants anything of the body changed."""
    return override is not None and (override.prompt is not None or bool(override.parameters))


def applied(ask: Ask, override: Override) -> Ask | None:
    """Give the request with its prompt and parameters changed; None when that cannot be done."""
    if ask.path == EMBEDDINGS:
        return None
    fields = dict(ask.fields)
    try:
        if override.prompt is not None:
            if ask.path == RESPONSES:
                return None
            name, change = ("messages", _messages) if ask.path == CHAT else ("prompt", _prompt)
            fields[name] = _raw(change(fields.get(name, _NULL), override.prompt))
    except (_NoPlaceError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    for name, value in (override.parameters or {}).items():
        fields[name] = _raw(value)
    return msgspec.structs.replace(ask, fields=fields)


def routed(config: DomainConfig, override: Override | None) -> DomainConfig:
    """Give the domain's configuration with the routing an override wants."""
    if override is None or override.route is None:
        return config
    said = {name: getattr(override.route, name) for name in ("timeout", "retries", "fallback")}
    return evolve(config, **{name: value for name, value in said.items() if value is not None})


def _messages(given: msgspec.Raw, prompt: Prompt) -> list[msgspec.Raw]:
    messages = _MESSAGES.decode(given)
    roles = [_HEAD.decode(message).role for message in messages]
    if prompt.template:
        if "user" not in roles:
            raise _NoPlaceError
        last = len(roles) - 1 - roles[::-1].index("user")
        messages[last] = _raw(_wrapped_message(messages[last], prompt.template))
    if prompt.system:
        own = [place for place, role in enumerate(roles) if role in _INSTRUCTING]
        begin = end = own[0] if own else 0
        while end < len(roles) and roles[end] in _INSTRUCTING:
            end += 1
        if prompt.place == "replace":
            messages = [message for place, message in enumerate(messages) if place not in own]
        messages.insert(end if prompt.place == "after" else begin, _raw({"role": "system", "content": prompt.system}))
    return messages


def _wrapped_message(message: msgspec.Raw, template: str) -> Mapping[str, msgspec.Raw]:
    """Put the template around what a message says: around its text, or around the first and the last of its texts."""
    fields = _FIELDS.decode(message)
    content = _CONTENT.decode(fields.get("content", _NULL))
    if isinstance(content, str):
        return {**fields, "content": _raw(_wrapped(content, template))}
    texts = [place for place, part in enumerate(content) if _HEAD.decode(part).type == "text"]
    if not texts:
        raise _NoPlaceError
    before, after = template.split("{query}")
    for place, begin, end in ((texts[0], before, ""), (texts[-1], "", after)):
        part = _FIELDS.decode(content[place])
        content[place] = _raw({**part, "text": _raw(begin + _TEXT.decode(part.get("text", _NULL)) + end)})
    return {**fields, "content": _raw(content)}


def _prompt(given: msgspec.Raw, prompt: Prompt) -> str | list[str]:
    said = _PROMPT.decode(given)
    if prompt.system or not said:
        raise _NoPlaceError
    if isinstance(said, str):
        return _wrapped(said, prompt.template)
    return [_wrapped(text, prompt.template) for text in said]


def _wrapped(text: str, template: str) -> str:
    before, after = template.split("{query}")
    return before + text + after


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
