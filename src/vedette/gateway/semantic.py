"""The semantic cache of one domain in one worker: which question before was much like this one.

Only the last message of a user is compared, among questions whose version, arms, parameters, system prompt, earlier
turns and numbers are the same. Answers themselves lie in the response cache; here lies a matrix for each such group of
questions, and from here hits are judged: how often a likeness was no answer.
"""

import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from vedette.catalog.cache import Semantic
from vedette.evidence.outcome import Exposure
from vedette.gateway.cache import Kin, Waiting
from vedette.gateway.likeness import Prompt, Vector, agree, lexical, prompt_of
from vedette.gateway.metrics import Metrics
from vedette.gateway.openai import Ask
from vedette.stats import sequential

_log = logging.getLogger("vedette.gateway")
_ALPHA = 0.05  # of the interval that switches it off; it holds however often it is looked at
_FIRST_ROWS = 16

Embedded = Callable[[Vector | None], None]


class Embedding(Protocol):
    """What makes a vector of a text, at once or later."""

    def embed(self, text: str, told: Embedded) -> Waiting | None:
        """Tell the vector, or None where there is none; give what can be cancelled where that takes time."""
        ...


class Lexical:
    """How texts are spelt; takes no time."""

    def embed(self, text: str, told: Embedded) -> None:
        """Tell it at once."""
        told(lexical(text))


class SemanticCache:
    """The questions of one domain by their likeness; the least recently used group gives way first."""

    def __init__(self, policy: Semantic, domain: str, embedding: Embedding, metrics: Metrics) -> None:
        self.policy, self.domain, self.off = policy, domain, False
        self._embedding, self._metrics = embedding, metrics
        self._groups: OrderedDict[bytes, _Group] = OrderedDict()
        self.held = 0

    def look_up(
        self, ask: Ask, of: tuple[str, Sequence[Exposure], str], found: Callable[["Kin | None"], None]
    ) -> Waiting | None:
        """Tell what a question is like, or None where it is not compared; give what can be cancelled."""
        version, exposures, caller = of
        arms = [[each.experiment, each.arm, each.epoch] for each in exposures]
        prompt = None if self.off else prompt_of(ask, [version, arms, caller])
        if prompt is None:
            found(None)
            return None
        return self._embedding.embed(prompt.text, partial(self._embedded, prompt, found))

    def _embedded(self, prompt: Prompt, found: Callable[["Kin | None"], None], vector: Vector | None) -> None:
        if vector is None:
            self._count("failed")
            found(None)
        else:
            found(Likeness(self, prompt.group, vector))

    def nearest(self, group: bytes, vector: Vector) -> Iterable[bytes]:
        """Give the questions that are as much alike as they must be, the likest first; forget those not wanted."""
        rows = self._groups.get(group)
        while rows is not None and rows.questions and rows.rows.shape[1] == len(vector):
            self._groups.move_to_end(group)
            # Not `@`: BLAS would ask its threads, and wait for them where other workers have the cores.
            likeness = np.einsum("ij,j->i", rows.rows[: len(rows.questions)], vector)
            best = int(np.argmax(likeness))
            if likeness[best] < self.policy.threshold:
                return
            yield rows.questions[best]
            self._drop(group, rows, best)

    def add(self, group: bytes, vector: Vector, question: bytes) -> None:
        """Remember a question whose answer was kept."""
        rows = self._groups.get(group)
        if rows is None or rows.rows.shape[1] != len(vector):
            self.held -= len(rows.questions) if rows else 0
            rows = self._groups[group] = _Group(len(vector))
        if question in rows.known:
            return
        rows.add(vector, question)
        self._groups.move_to_end(group)
        self.held += 1
        while self.held > self.policy.entries:
            oldest = next(iter(self._groups))
            self._drop(oldest, self._groups[oldest], 0)

    def _drop(self, group: bytes, rows: "_Group", row: int) -> None:
        rows.drop(row)
        self.held -= 1
        if not rows.questions:
            del self._groups[group]

    # How often a likeness was no answer.

    def counted(self, *, hit: bool) -> None:
        """Count a question that was compared."""
        self._count("hit" if hit else "miss")

    def verifies(self) -> bool:
        """Say whether this hit is one of those that are verified."""
        return random.random() * 100 < self.policy.verify  # noqa: S311 - a share, not a secret

    def judge_hit(self, given: bytes, said: bytes) -> Mapping[str, float]:
        """Count what the version says to a question beside what was given; measure whether the hit was false."""
        same = agree(given, said, self.policy.agreement)
        if same is None:
            return {}
        self._count("verified")
        if not same:
            self._count("false")
        self.judge(self._metrics)
        return {"false_hit": 0 if same else 1}

    def judge(self, known: Metrics) -> None:
        """Switch off once it is certain, by all that is known, that too many hits are false."""
        verified, false = (
            known.similar.get((self.domain, self.policy.name, result), 0) for result in ("verified", "false")
        )
        if self.off or not false:
            return
        low, high = sequential.proportion(false, verified, alpha=_ALPHA)
        if low * 100 > self.policy.tolerated:
            self.off = True
            self._groups.clear()
            self.held = 0
            self._count("switched_off")
            _log.error(
                "the semantic cache of %s (%s) is off: %d of %d verified hits were false, so %.1f%% to %.1f%% are, "
                "and %g%% are tolerated; raise its threshold or take another embedding",
                *(self.domain, self.policy.name, false, verified, low * 100, high * 100, self.policy.tolerated),
            )

    def _count(self, result: str) -> None:
        key = self.domain, self.policy.name, result
        self._metrics.similar[key] = self._metrics.similar.get(key, 0) + 1


class Likeness:
    """What a question is like."""

    __slots__ = ("_group", "_vector", "cache")

    def __init__(self, cache: SemanticCache, group: bytes, vector: Vector) -> None:
        self.cache, self._group, self._vector = cache, group, vector

    def nearest(self) -> Iterable[bytes]:
        """Give the questions it is like, the likest first; each is forgotten when the next is asked for."""
        return self.cache.nearest(self._group, self._vector)

    def counted(self, *, hit: bool) -> None:
        """Count it."""
        self.cache.counted(hit=hit)

    def add(self, question: bytes) -> None:
        """Remember it."""
        if not self.cache.off:
            self.cache.add(self._group, self._vector, question)


class _Group:
    """Questions that may be compared: their vectors as rows, in room that doubles."""

    __slots__ = ("known", "questions", "rows")

    def __init__(self, length: int) -> None:
        self.rows = np.empty((_FIRST_ROWS, length), np.float32)
        self.questions: list[bytes] = []
        self.known: set[bytes] = set()

    def add(self, vector: Vector, question: bytes) -> None:
        """Add a row."""
        count = len(self.questions)
        if count == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[count] = vector
        self.questions.append(question)
        self.known.add(question)

    def drop(self, row: int) -> None:
        """Take a row out; the last one takes its place."""
        self.known.discard(self.questions[row])
        last = len(self.questions) - 1
        self.rows[row] = self.rows[last]
        self.questions[row] = self.questions[last]
        self.questions.pop()
