"""Of what fails again and again, the log says when it began, that it lasts, and when it was over."""

from vedette.kernel.outage import EVERY, Outage


def _lines(outage: Outage, *, begin: int, end: int) -> list[tuple[int, str]]:
    """Fail once a second; give what is said, and when."""
    told = [(second, outage.failed(OSError("nobody is there"), float(second))) for second in range(begin, end)]
    return [(second, line) for second, line in told if line]


def test_a_loop_that_fails_every_second_says_so_when_it_begins_and_once_a_minute():
    """Of 150 failures three are told: the first, and two that say for how long and how often."""
    assert EVERY == 60.0
    assert _lines(Outage("a pass"), begin=1000, end=1150) == [
        (1000, "a pass failed and is tried again: nobody is there"),
        (1060, "a pass has failed for 1m now, 61 times: nobody is there"),
        (1120, "a pass has failed for 2m now, 121 times: nobody is there"),
    ]


def test_the_end_is_told_once_and_the_next_outage_begins_anew():
    """The first success says how long it took; the next ones nothing; the next failure is a first one."""
    outage = Outage("a pass")
    _lines(outage, begin=0, end=90)
    assert outage.succeeded(92.0) == "a pass succeeds again; it failed 90 times within 1m32s"
    assert outage.succeeded(93.0) == ""
    assert _lines(outage, begin=94, end=100) == [(94, "a pass failed and is tried again: nobody is there")]
    assert outage.succeeded(94.5) == "a pass succeeds again; it failed 6 times within 0.5s"


def test_what_never_failed_says_nothing():
    """Successes alone are not worth a line."""
    outage = Outage("a pass")
    assert [outage.succeeded(float(second)) for second in range(3)] == [""] * 3
    assert not outage.lasts


def test_an_hourly_try_that_fails_is_told_each_time():
    """What is tried less often than once a minute is told at every failure."""
    outage = Outage("tidying up")
    assert [bool(outage.failed("full", 3600.0 * hour)) for hour in range(3)] == [True] * 3
    assert outage.lasts


def test_an_error_without_words_is_told_by_its_type():
    """A failure always says why."""
    assert Outage("a pass").failed(TimeoutError(), 0.0) == "a pass failed and is tried again: TimeoutError"
