"""A traffic plan that could not be served as it was meant is refused."""

import pytest
from tests.routing.plans import BACKEND, plan

from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput
from vedette.routing.plan import TrafficPlan


def test_plan_reads_back_from_its_json():
    """A plan dumped as JSON loads as an equal one, so gateways read what was compiled."""
    assert load(TrafficPlan, dump(plan(123_456))) == plan(123_456)


@pytest.mark.parametrize("weight", [-1, 1_000_001])
def test_weight_outside_the_traffic_is_refused(weight):
    """A canary has 0 to 1,000,000 millionths."""
    with pytest.raises(InvalidInput, match="0 to 1000000"):
        plan(weight)


def test_plan_of_another_algorithm_is_refused():
    """A plan made for another way of assigning is never served with this one."""
    with pytest.raises(InvalidInput, match="this gateway speaks"):
        plan(1, algorithm="xxh3-64/2048")


def test_plan_names_the_backend_it_lacks():
    """Every version a plan names has its backend in it."""
    with pytest.raises(InvalidInput, match="lacks the backend of v2"):
        plan(1, backends={"v1": BACKEND})


def test_24_effective_weight_is_what_is_published():
    """The plan says the canary's share in integers; without a canary it is 0."""
    assert (plan(999_999).weight, plan(None).weight) == (999_999, 0)
