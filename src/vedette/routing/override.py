"""What a variant of an experiment changes about how a request is served, and which requests take part at all.

An override names only what it changes: another model version, words around the prompt, decoding parameters, the
domain's own way of routing (timeout, retries, fallback), or values an application reads for itself. What it does not
name stays as the domain has it.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Seconds
from vedette.kernel.ids import check_name
from vedette.kernel.records import record

_OWNED = frozenset({"model", "messages", "prompt", "input", "stream", "stream_options", "user"})
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_QUERY = "{query}"


@record
class Prompt:
    """Words around what the user asks.

    ``system`` is a system message: it takes the place of the client's own (``replace``), or stands before or after it.
    ``template`` wraps the last user message (or the prompt of a completion), where ``{query}`` stands for its text.
    """

    system: str = ""
    place: Literal["replace", "before", "after"] = "replace"
    template: str = ""

    def __post_init__(self) -> None:
        """Refuse a prompt that changes nothing, and a template that loses the question."""
        if not self.system and not self.template:
            raise InvalidInput("a prompt needs a system message or a template")
        if self.template and self.template.count(_QUERY) != 1:
            raise InvalidInput("a template holds {query} once", hint="such as: Answer briefly: {query}")


@record
class Route:
    """Another way of routing than the domain's; None leaves the domain's."""

    timeout: Seconds | None = None
    retries: int | None = None
    fallback: bool | None = None

    def __post_init__(self) -> None:
        """Refuse retries without end."""
        if self.retries is not None and not 0 <= self.retries <= 5:
            raise InvalidInput(f"retries must be 0 to 5, not {self.retries}")


@record
class Override:
    """What a variant changes; empty for one that is served as the domain is.

    ``version`` serves this model version whatever a rollout says. ``parameters`` are set in the request's body
    (``temperature``, ``max_tokens`` …). ``values`` reach applications that ask which variant a unit has.
    """

    version: str = ""
    prompt: Prompt | None = None
    parameters: Mapping[str, Any] | None = None
    route: Route | None = None
    values: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse parameters that are not decoding's, and a value that would hide which variant it is of."""
        if self.version:
            check_name(self.version, "version")
        for name in self.parameters or {}:
            if name in _OWNED or not _PARAMETER.fullmatch(name):
                raise InvalidInput(
                    f"{name!r} cannot be overridden as a parameter", hint="use version or prompt for what they are for"
                )
        if "variant" in (self.values or {}):
            raise InvalidInput("values cannot hold 'variant'", hint="applications are told the variant's name there")

    def touches(self) -> frozenset[str]:
        """Name what is changed, so that two experiments that change the same thing can be told."""
        named = {"version": self.version, "prompt": self.prompt, "route": self.route}
        parameters = {f"parameters.{name}" for name in self.parameters or {}}
        values = {f"values.{name}" for name in self.values or {}}
        return frozenset({name for name, said in named.items() if said} | parameters | values)

    def over(self, other: "Override") -> "Override":
        """Give both at once; where they say the same thing, this one's word stands."""
        return Override(
            version=self.version or other.version,
            prompt=self.prompt or other.prompt,
            parameters={**(other.parameters or {}), **(self.parameters or {})} or None,
            route=self.route or other.route,
            values={**(other.values or {}), **(self.values or {})} or None,
        )


Test = Literal["is", "is-not", "begins-with", "matches", "exists", "is-missing"]

_RULE = re.compile(r"(!?)([^=!~^]+)(?:(=|!=|\^=|~=)(.*))?")
_SIGNS: Mapping[str, Test] = {"=": "is", "!=": "is-not", "^=": "begins-with", "~=": "matches"}


@record
class Rule:
    """One condition on a request: a header (``x-plan``), or ``user`` for the OpenAI field, against some values."""

    attribute: str
    test: Test = "is"
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a condition that says nothing."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", self.attribute):
            raise InvalidInput(f"{self.attribute!r} is no attribute", hint="use user, or a header in lower case")
        if (self.test in {"exists", "is-missing"}) == bool(self.values):
            raise InvalidInput(f"the test {self.test!r} {'takes no' if self.values else 'needs'} values")
        if self.test == "matches":
            for pattern in self.values:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise InvalidInput(f"{pattern!r} is no pattern: {error}") from error

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Say whether a request with these attributes fulfils the condition; one it lacks is empty."""
        said = attributes.get(self.attribute, "")
        match self.test:
            case "is":
                return said in self.values
            case "is-not":
                return said not in self.values
            case "begins-with":
                return said.startswith(self.values)
            case "matches":
                return any(re.fullmatch(pattern, said) for pattern in self.values)
            case "exists":
                return bool(said)
            case "is-missing":
                return not said


def read_rule(text: str) -> Rule:
    """Read a condition as people write it.

    It is one of ``x-plan=pro,team``, ``x-plan!=free``, ``user^=acme-``, ``x-model~=PATTERN``, ``x-beta``, ``!x-bot``.

    Raises:
        InvalidInput: it is none.
    """
    found = _RULE.fullmatch(text.strip())
    if not found or (found[1] and found[3]):
        raise InvalidInput(f"{text!r} is no rule", hint="x-plan=pro,team, x-plan!=free, x-beta or !x-bot")
    attribute = found[2].strip().lower()
    if found[3] is None:
        return Rule(attribute=attribute, test="is-missing" if found[1] else "exists")
    values = [found[4]] if found[3] == "~=" else [value.strip() for value in found[4].split(",")]
    return Rule(attribute=attribute, test=_SIGNS[found[3]], values=tuple(values))
