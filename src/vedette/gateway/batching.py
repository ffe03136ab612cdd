"""Micro-batches: what waits for a model in this process is asked together, and nobody waits to be asked together.

A thread that has become free takes everything that waits for the model, up to the batch; while threads are free each
request goes at once and alone. So batches grow with the load, and cost no latency without it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from vedette.gateway.openai import Ask


class Model(Protocol):
    """What answers texts with texts."""

    def predict(self, queries: list[str]) -> list[str]:
        """Answer each query."""
        ...


class Asking(Protocol):
    """Who asks, and may have gone."""

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """Some texts for a model, and who asks."""

    call: Asking
    ask: Ask
    request_id: str
    queries: Sequence[str]


Said = list[str] | Exception | None
"""The answers to the texts of a question, why there are none, or None where nobody wants any."""


class Line:
    """What waits for one model."""

    def __init__(self, model: Model, batch: int) -> None:
        self._model, self._batch = model, batch
        self._waiting: deque[Question] = deque()
        self._lock = Lock()

    def join(self, question: Question) -> None:
        """Wait for the model."""
        self._waiting.append(question)

    def serve(self) -> Iterator[tuple[Question, Said]]:
        """Ask the model what waits now, up to a batch of texts but at least one question; called by a thread."""
        wanted: list[Question] = []
        for question in self._take():
            if question.call.wanted:
                wanted.append(question)
            else:
                yield question, None
        yield from self._answers(wanted)

    def _take(self) -> list[Question]:
        taken: list[Question] = []
        room = self._batch
        with self._lock:
            while self._waiting and (not taken or len(self._waiting[0].queries) <= room):
                taken.append(self._waiting.popleft())
                room -= len(taken[-1].queries)
        return taken

    def _answers(self, questions: Sequence[Question]) -> Iterator[tuple[Question, Said]]:
        if not questions:
            return
        try:
            texts = self._model.predict([query for question in questions for query in question.queries])
        except Exception as error:  # noqa: BLE001 - whatever a model raises is for those who asked it
            if len(questions) == 1:
                yield questions[0], error
                return
            for question in questions:  # one of them may have spoilt it for all
                yield from self._answers([question])
            return
        begin = 0
        for question in questions:
            end = begin + len(question.queries)
            yield question, texts[begin:end]
            begin = end
