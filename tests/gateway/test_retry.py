"""How long to wait before asking again, and how often."""

import pytest

from vedette.gateway.retry import RetryBudget, is_failure, pause, retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        (b"3", 3.0),
        (b" 120 ", 120.0),
        (b"-5", 0.0),
        (b"1e9", 0.0),
        (b"soon", 0.0),
        (b"\xb2", 0.0),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        (b"9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_read_in_both_forms(value, seconds):
    """Seconds and dates are read as RFC 9110 says; what makes no sense asks for nothing."""
    assert retry_after(value) == seconds


def test_retry_after_a_date_to_come():
    """A date to come is a pause, with or without its zone."""
    assert retry_after(b"Fri, 31 Dec 2999 23:59:59 GMT") > 1e9
    assert retry_after(b"Fri, 31 Dec 2999 23:59:59 -0000") > 1e9


def test_pause_is_never_shorter_than_asked():
    """Jitter is added to what the backend asked for, never taken from it, and grows with each try."""
    assert all(2.0 <= pause(0, 2.0) <= 2.05 for _ in range(100))
    assert max(pause(5, 0.0) for _ in range(200)) > max(pause(0, 0.0) for _ in range(200))


def test_budget_gives_a_tenth_of_the_requests():
    """After the burst of ten, ten requests pay for one retry."""
    budget = RetryBudget()
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(100):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) in {9, 10}


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, False), (400, False), (401, True), (404, True), (422, False), (429, True), (500, True)],
)
def test_what_counts_as_the_backends_failure(status, failure):
    """Key, path, model name and pace are the gateway's; the rest of 4xx is the client's."""
    assert is_failure(status) is failure
