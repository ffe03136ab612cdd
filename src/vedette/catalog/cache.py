"""Answers that are given again."""

from typing import Literal

from vedette.catalog.backend import OpenAIBackend
from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Bytes, Percent, Seconds
from vedette.kernel.records import record


@record
class Semantic:
    """Gives an answer again to a question that is much like one before: as similar as ``threshold``, of 1.

    ``embeddings`` is the OpenAI-compatible backend that says what is alike; without one it is ``lexical``, which
    compares how texts are spelt and knows nothing of what they mean. A request waits ``wait`` for an embedding and goes
    on without. A share of the hits, ``verify``, is asked of the version all the same, after the fact; where the two
    answers are less alike than ``agreement`` the hit was false. Once it is certain that more than ``tolerated`` of the
    hits are false, the domain's semantic cache switches itself off. It remembers ``entries`` questions a worker.
    """

    threshold: float = 0.95
    embeddings: OpenAIBackend | None = None
    wait: Seconds = 0.5
    verify: Percent = 5.0
    tolerated: Percent = 2.0
    agreement: float = 0.9
    entries: int = 2000

    def __post_init__(self) -> None:
        """Refuse likeness that is none, and a cache that nobody watches."""
        for name in ("threshold", "agreement"):
            if not 0 < getattr(self, name) <= 1:
                raise InvalidInput(f"{name} of a semantic cache must be above 0 and at most 1")
        for name in ("wait", "verify", "entries"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} of a semantic cache must be more than zero, not {getattr(self, name)}")

    @property
    def name(self) -> str:
        """What says how alike questions are, and how alike they must be: figures of another setting say nothing."""
        return f"{self.embeddings.model if self.embeddings else 'lexical'}@{self.threshold:g}"


@record
class Cache:
    """Gives an answer again to the same question, for ``ttl``, within ``entries`` and ``bytes`` a worker.

    The same question is one with the same path and parameters, for the same version and arms of experiments. With
    ``scope: caller`` answers are not shared between callers: keys, users and units. Where there is ``semantic``, a
    question that is much like another one gets its answer too.
    """

    ttl: Seconds = 300.0
    entries: int = 10_000
    bytes: Bytes = 64 << 20
    scope: Literal["domain", "caller"] = "domain"
    semantic: Semantic | None = None

    def __post_init__(self) -> None:
        """Refuse a cache that could hold nothing."""
        for name in ("ttl", "entries", "bytes"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} of a cache must be more than zero, not {getattr(self, name)}")
