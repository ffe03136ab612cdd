"""Micro-batches for models in this process: what waits is asked together, and answered one by one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.gateway.stage import wait_for

from vedette.catalog.backend import LocalBackend
from vedette.gateway.batching import Line, Question
from vedette.gateway.openai import CHAT, Ask
from vedette.kernel.errors import InvalidInput

ASK = Ask(path=CHAT, fields={}, model="payments", user="", stream=False, wants_usage=False)


class Shouting:
    """A model that answers in capitals, waits while it is held, and breaks on what is bad."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()

    def predict(self, queries: list[str]) -> list[str]:
        """Answer."""
        self.asked.append(queries)
        assert self.free.wait(10)
        if "bad" in queries:
            raise InvalidInput("that is bad")
        return [query.upper() for query in queries]


class Caller:
    """Who asks."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.wanted = wanted


def question(*queries: str, wanted: bool = True) -> Question:
    """Ask some texts."""
    return Question(Caller(wanted=wanted), ASK, "-", queries)


def served(line: Line) -> dict[tuple[str, ...], object]:
    """Serve what waits, once."""
    return {tuple(question.queries): said for question, said in line.serve()}


def test_what_waits_is_asked_together():
    """Questions up to the batch go in one call, each gets its own answers, and the rest waits."""
    model = Shouting()
    line = Line(model, 4)
    for each in (("a",), ("b", "c"), ("d", "e"), ("f",)):
        line.join(question(*each))
    assert served(line) == {("a",): ["A"], ("b", "c"): ["B", "C"]}
    assert served(line) == {("d", "e"): ["D", "E"], ("f",): ["F"]}
    assert served(line) == {}
    assert model.asked == [["a", "b", "c"], ["d", "e", "f"]]


def test_one_question_may_be_more_than_a_batch():
    """A question of more texts than a batch is asked alone, and with a batch of 1 so is every question."""
    model = Shouting()
    line = Line(model, 1)
    line.join(question("a", "b"))
    line.join(question("c"))
    assert served(line) == {("a", "b"): ["A", "B"]}
    assert served(line) == {("c",): ["C"]}


def test_one_bad_question_spoils_nobody_elses():
    """When a batch fails each question is asked alone, and only the bad one fails."""
    line = Line(Shouting(), 8)
    for text in ("a", "bad", "c"):
        line.join(question(text))
    said = served(line)
    assert (said["a",], said["c",]) == (["A"], ["C"])
    assert isinstance(said["bad",], InvalidInput)


def test_who_has_gone_is_not_asked_for():
    """The questions of clients that left are dropped, not asked."""
    model = Shouting()
    line = Line(model, 8)
    line.join(question("a", wanted=False))
    line.join(question("b"))
    assert served(line) == {("a",): None, ("b",): ["B"]}
    assert model.asked == [["b"]]


def test_a_batch_has_a_size():
    """A batch is 1 text or more."""
    with pytest.raises(InvalidInput, match="batch"):
        LocalBackend(artefact="a", digest="0" * 64, batch=0)


def test_requests_that_wait_for_a_busy_model_go_together(make_stage, monkeypatch):
    """While the only thread is busy requests wait, then go in one call; every client gets its own answer."""
    model = Shouting()
    monkeypatch.setattr("vedette.connectors.local.LocalModel.load", lambda *_: model)
    stage = make_stage(local_threads=1)
    backend = LocalBackend(artefact="a", digest="0" * 64, batch=16)
    stage.publish(stage.plan(None, canary="unused", percent=100, backends={"v2": backend}))
    texts = [f"t{number}" for number in range(6)]
    model.free.clear()
    with ThreadPoolExecutor(len(texts)) as clients:
        asked = [
            clients.submit(stage.chat, messages=[{"role": "user", "content": text}], stream=number % 2 == 1)
            for number, text in enumerate(texts)
        ]
        wait_for(lambda: stage.gateway._local._waiting == len(texts))
        model.free.set()
        answers = [answer.result() for answer in asked]
    assert [text.upper().encode() in answer.body for text, answer in zip(texts, answers, strict=True)] == [True] * 6
    assert sorted(map(len, model.asked)) == [1, 5]
    figures = stage.get("/metrics").body.decode()
    assert "vedette_local_batches_total 2\n" in figures
    assert "vedette_local_queries_total 6\n" in figures
