"""Malformed HTTP by the thousand, the same each time; `bench/fuzz.py` throws a hundred thousand."""

import asyncio

import pytest
from bench.fuzz import answered, complaint, statuses, throw
from bench.malformed import CANARY, CORPUS, mutants, read


@pytest.fixture
def stage(stage_on_each_loop):
    """Each event loop has its own transports, so both are tried here."""
    stage_on_each_loop.publish(stage_on_each_loop.plan())
    return stage_on_each_loop


def test_http_safety_of_the_whole_corpus(stage):
    """Each request whose end is open to doubt is refused, once, with nothing behind it; each sound one is served."""
    for case in CORPUS:
        until = b"" if case.refused else b"/smuggled-here"  # a client that says it is done may be gone
        received = asyncio.run(answered(stage.port, case.data + CANARY, until=until))
        assert complaint(case.data, received) == "", case.name
        found = statuses(received)
        if case.refused:
            assert found in ([400], [505]), case.name
            assert b"/smuggled-here" not in received, case.name
        else:
            assert (len(found), found[-1]) == (2, 404), case.name
            assert b"/smuggled-here" in received, case.name
    questions = [case for case in CORPUS if not case.refused and b'"payments"' in case.data]
    assert len(stage.upstream.asked) == len(questions)


def test_http_safety_of_mutants(stage):
    """Mutants of the corpus crash nothing, hang nothing, and smuggle nothing; the gateway serves on."""
    count, wrong = asyncio.run(throw(stage.port, mutants(7, 800), 7, width=16))
    assert count == 800
    assert wrong == []
    assert stage.chat().status == 200


@pytest.mark.parametrize(
    ("data", "targets", "nonsense"),
    [
        (CANARY * 2, 2, False),
        (b"\r\n" + CANARY + b"GET", 1, True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" + CANARY, 2, False),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 0, True),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n" + CANARY, 2, False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + CANARY, 0, True),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na" + CANARY, 0, True),
    ],
)
def test_the_strict_reading_is_strict(data, targets, nonsense):
    """What the fuzzer measures by finds whole requests, and stops where doubt begins."""
    reading = read(data)
    assert (len(reading.targets), reading.nonsense) == (targets, nonsense)


def test_the_corpus_is_what_it_says():
    """By the strict reading the canary follows each sound case, and none that is open to doubt."""
    for case in CORPUS:
        reading = read(case.data + CANARY)
        followed = reading.targets[-1:] == (b"/smuggled-here",)
        assert followed == (case.by_policy or not case.refused), case.name
