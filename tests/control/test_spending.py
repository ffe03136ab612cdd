"""What domains have used, as the control plane tells gateways: summed from what was recorded, and how fresh it is."""

from datetime import timedelta

from vedette.control.spending import FRESH

BOTH = [("pay", "day"), ("pay", "month")]


def test_spending_is_the_sum_of_what_was_recorded(pay):
    """Tokens and costs of all versions and plan revisions add up, those of today and those of this month."""
    pay.ship("pay", 1, {"v1": (3, 0)}, tokens_in=10.0, tokens_out=5.0, cost=0.5)
    pay.go(86_400)
    pay.ship("pay", 2, {"v1": (1, 1), "v2": (1, 0)}, tokens_in=1.0, cost=0.25)
    today, month = pay.plane.traffic.spending(BOTH)
    assert (today.tokens, today.money, today.at) == (2.0, 0.5, pay.clock.now())
    assert (month.tokens, month.money) == (47.0, 2.0)
    assert (today.since.day, month.since.day) == (24, 1)


def test_spending_is_read_anew_after_a_while(pay):
    """A figure is given again for some seconds and says as of when it is; then, or on a new day, it is read anew."""
    first = pay.plane.traffic.spending(BOTH)
    pay.ship("pay", 1, {"v1": (1, 0)}, tokens_in=10.0)
    pay.go(FRESH / 2)
    assert pay.plane.traffic.spending(BOTH) == first
    pay.go(FRESH)
    assert [spent.tokens for spent in pay.plane.traffic.spending(BOTH)] == [10.0, 10.0]
    pay.clock.calendar += timedelta(days=1)
    assert [spent.tokens for spent in pay.plane.traffic.spending(BOTH)] == [0.0, 10.0]


def test_who_used_nothing_is_told_so(pay):
    """A domain without traffic, or that nobody knows, has used nothing."""
    assert [(s.domain, s.tokens, s.money) for s in pay.plane.traffic.spending([("none", "day")])] == [("none", 0, 0)]
