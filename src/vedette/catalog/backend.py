"""Where a model version answers: a tagged union told apart by ``kind``.

A backend names where its secret is found, never the secret itself: specs are revisioned, shown and audited.
"""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Seconds, ToldApartBy
from vedette.kernel.records import record


@record
class OpenAIBackend:
    """An OpenAI-compatible endpoint: vLLM, Ollama, LocalAI, llama.cpp or a hosted one.

    ``url`` is the base that ends before ``/chat/completions`` (usually ``…/v1``); ``model`` is the name sent upstream;
    ``api_key_env`` names the environment variable of the gateway that holds the key.
    """

    kind: Literal["openai"] = "openai"
    url: str
    model: str
    api_key_env: str = ""
    headers: Mapping[str, str] | None = None
    timeout: Seconds = 60.0

    def __post_init__(self) -> None:
        """Refuse what is no HTTP address."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise InvalidInput(f"{self.url!r} is no base URL", hint="write http://host:port/v1")


@record
class LocalBackend:
    """A model in this process, loaded from an artefact whose SHA-256 must be ``digest``; pickles are never executed.

    Of the texts that wait for it up to ``batch`` are asked together.
    """

    kind: Literal["local"] = "local"
    artefact: str
    digest: str
    format: Literal["skops", "onnx"] = "skops"
    batch: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no SHA-256."""
        digest = self.digest.removeprefix("sha256:")
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise InvalidInput("digest must be the SHA-256 of the artefact in hex", hint="sha256sum prints it")
        if not 1 <= self.batch <= 4096:
            raise InvalidInput(f"a batch is 1 to 4096 texts, not {self.batch}")


Backend = Annotated[OpenAIBackend | LocalBackend, ToldApartBy("kind")]
"""Either kind of backend."""
