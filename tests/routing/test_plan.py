"""A traffic plan that could not be served as it was meant is refused."""

import pytest
from tests.routing.plans import BACKEND, layer, plan, running

from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput
from vedette.routing.layers import slices_of
from vedette.routing.override import Override, Prompt, Route, Rule
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


def test_experiments_read_back_from_their_json():
    """A plan with layers, targeting and every kind of override loads as an equal one."""
    override = Override(
        version="v2",
        prompt=Prompt(system="Be kind.", place="after", template="{query}!"),
        parameters={"temperature": 0.5, "stop": ["a", None]},
        route=Route(timeout=2.5, retries=0, fallback=False),
        values={"colour": {"deep": [1, True]}},
    )
    rules = (Rule(attribute="x-plan", test="matches", values=("g.*",)),)
    experiment = running(
        overrides={"control": Override(), "treatment": override}, targeting=rules, dimensions=("x-country",)
    )
    whole = plan(1, layers=(layer(experiment),), hold_out=5)
    assert load(TrafficPlan, dump(whole)) == whole


def test_plan_stored_before_experiments_loads():
    """A plan written before there were experiments has none, and is equal to what is written today."""
    stored = {key: value for key, value in dump(plan(5)).items() if key not in {"layers", "holdOut"}}
    assert load(TrafficPlan, stored) == plan(5)


def test_plan_of_a_newer_vedette_loads():
    """What a plan says that this code does not know is passed over; what users write within it is read as ever."""
    assert load(TrafficPlan, dump(plan(5)) | {"notYetKnown": {"deep": [1]}}) == plan(5)
    with pytest.raises(InvalidInput, match="unknown field"):
        load(TrafficPlan, dump(plan(5)) | {"config": {"notYetKnown": 1}})


def test_plan_stored_before_it_named_a_pepper_loads():
    """A plan written before plans named a pepper names none."""
    stored = {key: value for key, value in dump(plan(5)).items() if key != "pepper"}
    assert load(TrafficPlan, stored) == plan(5)


def test_versions_of_arms_need_their_backends():
    """A version that an arm serves is in the plan; one of an arm that was stopped need not be."""
    overrides = {"control": Override(), "treatment": Override(version="v9")}
    with pytest.raises(InvalidInput, match="lacks the backend of v9"):
        plan(None, layers=(layer(running(overrides=overrides)),))
    stopped = tuple(piece for piece in slices_of({"control": 1, "treatment": 1}) if piece.arm == "control")
    assert plan(None, layers=(layer(running(overrides=overrides, slices=stopped)),)).layers


@pytest.mark.parametrize("hold_out", [-1, 1_000_001])
def test_hold_out_outside_the_traffic_is_refused(hold_out):
    """A hold-out is 0 to 1,000,000 millionths of the units."""
    with pytest.raises(InvalidInput, match="hold-out"):
        plan(None, hold_out=hold_out)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((layer(running("a")), layer(running("b"))), "layers are named 'prompts'"),
        ((layer(running("a", id="same")), layer(running("b", id="same"), name="x")), "have the id 'same'"),
        ((layer(running("a")), layer(running("a", id="b", salt="b"), name="x")), "experiments are named 'a'"),
        ((layer(running("a", salt="s")), layer(running("b", salt="s"), name="x")), "experiments have the salt 's'"),
    ],
)
def test_what_must_differ_in_a_plan_differs(layers, said):
    """Names, ids and salts stand once in a plan: two hashes of one salt would not be independent."""
    with pytest.raises(InvalidInput, match=said):
        plan(None, layers=layers)
