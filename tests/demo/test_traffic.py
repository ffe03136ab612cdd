"""The demo's users ask every question in turn, and the truth about every answer arrives, late, once."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import httpx

from vedette.demo.traffic import Asking, Stream, Truth


def asking(questions: tuple[tuple[str, str], ...] = (), users: tuple[str, ...] = ()) -> Asking:
    """Someone who asks in a domain; nobody is asked."""
    stream = Stream(domain="digits", rate=10.0, questions=questions, users=users)
    return Asking(stream, Mock(), Mock(), seed=1)


def take(source: Iterator[Any], count: int) -> list[Any]:
    """The first of an endless source."""
    return list(itertools.islice(source, count))


def test_every_question_is_asked_before_one_is_asked_again():
    """Each round is all held-out questions in another order, so the shares of right answers are those of the set."""
    questions = tuple((f"q{number}", "label") for number in range(50))
    asked = take(asking(questions)._questions(), 100)
    first, second = asked[:50], asked[50:]
    assert sorted(first) == sorted(second) == sorted(questions)
    assert first != second


def test_the_order_depends_on_the_seed_alone():
    """The same seed asks the same questions in the same order."""
    questions = tuple((f"q{number}", "label") for number in range(50))
    assert take(asking(questions)._questions(), 80) == take(asking(questions)._questions(), 80)


def test_sticky_users_come_back_in_their_shares():
    """In each round every user asks as often as the order names it."""
    users = ("busy", "busy", "busy", "quiet")
    assert Counter(take(asking(users=users)._users(), 40)) == {"busy": 30, "quiet": 10}


def test_users_without_an_order_ask_once_each():
    """Where requests are assigned one by one, each comes from somebody else."""
    assert len(set(take(asking()._users(), 200))) == 200


def test_the_truth_comes_late_and_in_batches():
    """Nothing is reported before its time; then all that is out goes in as few calls as possible."""
    posted = []

    def take_it(request: httpx.Request) -> httpx.Response:
        posted.append(json.loads(request.content)["items"])
        return httpx.Response(200, json={})

    async def report() -> int:
        async with httpx.AsyncClient(transport=httpx.MockTransport(take_it)) as http:
            truth = Truth("http://api", http)
            for number in range(700):
                truth.learn(number / 100, f"r{number}", number % 2)
            await truth.report(5.0)
            return truth.reported

    assert asyncio.run(report()) == 501
    assert [len(items) for items in posted] == [500, 1]
    assert posted[0][3] == {"outcomeId": "r3", "measures": {"correct": 1}}


def test_a_truth_the_api_does_not_take_is_told_again():
    """While the API fails judgements wait; none is lost, and the trouble is named."""
    answers = [httpx.Response(503), httpx.Response(200, json={})]

    async def report() -> tuple[tuple[int, str], tuple[int, str]]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answers.pop(0))) as http:
            truth = Truth("http://api", http)
            truth.learn(1.0, "r1", 1)
            await truth.report(2.0)
            before = (truth.reported, truth.trouble)
            await truth.report(3.0)
            return before, (truth.reported, truth.trouble)

    (reported, trouble), after = asyncio.run(report())
    assert reported == 0
    assert "503" in trouble
    assert after == (1, "")
