"""Experiments have the units they should: sticky, exclusive in a layer, independent between layers, monotone."""

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from tests.routing.plans import layer, plan, running

from vedette.evidence.outcome import Exposure
from vedette.kernel.hashing import seed_of
from vedette.routing.assign import LONGEST_DIMENSION, NOT_EXPOSED, CompiledExperiments, Exposed
from vedette.routing.choose import CompiledPlan
from vedette.routing.layers import PLACES, Layer, RunningExperiment, Stretch, place_of, reserve, slices_of
from vedette.routing.override import Override, Prompt, Route, Rule

UNITS = [f"user-{number}" for number in range(50_000)]
ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs/reference/assignment-vectors.json").read_text("utf-8"))
VERSIONED = {"control": Override(), "treatment": Override(version="v2")}

_units = st.text(st.characters(exclude_categories=["Cs"]))


def in_layers(*names: str, **fields: object) -> CompiledPlan:
    """Compile a plan with one experiment over the whole of each of as many layers, a rollout at 30 % beside them."""
    layers = tuple(layer(running(name, **fields), name=f"layer-{name}") for name in names)
    return CompiledPlan(plan(300_000, layers=layers))


def experiments(*layers: Layer, **fields: object) -> CompiledExperiments:
    """Compile the experiments of a plan that has some."""
    compiled = CompiledExperiments.of(plan(None, layers=layers, **fields))  # type: ignore[arg-type]  # by name
    assert compiled is not None
    return compiled


def alone(experiment: RunningExperiment) -> CompiledExperiments:
    """Compile the experiments of a plan that has one."""
    return experiments(layer(experiment))


def arm(compiled: CompiledExperiments, unit: str, name: str = "tone") -> str | None:
    """Give the arm a unit has in an experiment, or None."""
    return compiled.expose(unit).names.get(name)


def test_published_places_hold():
    """Each published unit stands at its published places, in integers."""
    for vector in VECTORS["places"]:
        domain, unit = vector["domain"], vector["unit"].encode()
        salts = f"hold-out/{domain}", f"layer/{domain}/{vector['layerSalt']}", f"arms/{vector['experimentSalt']}"
        places = [place_of(seed_of(salt), unit) for salt in salts]
        assert places == [vector["holdOutPlace"], vector["layerPlace"], vector["armPlace"]]


@pytest.mark.parametrize("vector", VECTORS["places"][1:20])
def test_compiled_experiments_stand_by_the_published_places(vector):
    """What is compiled agrees with the published rules at the very edges of places, and not one place further."""
    held, at, arms = vector["holdOutPlace"], vector["layerPlace"], vector["armPlace"]

    def seen(hold_out: int, begin: int, end: int, edge: int) -> str | None:
        experiment = running(
            salt=vector["experimentSalt"],
            stretches=(Stretch(begin=begin, end=end),),
            exposed=end - begin,
            slices=slices_of({"a": edge, "b": PLACES - edge}),
            overrides={"a": Override(), "b": Override()},
        )
        single = Layer(name="l", salt=vector["layerSalt"], experiments=(experiment,))
        return arm(experiments(single, domain=vector["domain"], hold_out=hold_out), vector["unit"])

    assert seen(held, at, at + 1, arms + 1) == "a"
    assert seen(held, at, at + 1, arms) == "b"
    assert seen(held + 1, at, at + 1, arms) is None
    assert seen(held, 0, at, arms) is None
    assert seen(held, at + 1, PLACES, arms) is None


@pytest.mark.parametrize("count", [3, 10])
def test_arms_are_independent_between_layers_and_of_a_rollout(count):
    """50,000 units: the arms of any two of 3 and of 10 experiments, and of a rollout, are independent (chi-square)."""
    names = [f"x{number}" for number in range(count)]
    compiled = in_layers(*names)
    seen = [compiled.assign(unit) for unit in UNITS]
    columns = {name: np.array([exposed.names[name] == "treatment" for _, exposed in seen]) for name in names}
    columns["rollout"] = np.array([choice.arm == "canary" for choice, _ in seen])
    pairs = list(combinations(columns.values(), 2))
    p_values = [
        chi2_contingency(np.bincount(2 * one + other, minlength=4).reshape(2, 2), correction=False).pvalue
        for one, other in pairs
    ]
    assert min(p_values) > 0.01 / len(pairs)
    assert len(pairs) == count * (count + 1) / 2


def test_arms_are_independent_of_the_place_in_the_layer():
    """Two experiments that share a layer split their units each by its own hash, evenly in every part of the layer."""
    halves = [(Stretch(begin=0, end=500_000),), (Stretch(begin=500_000, end=PLACES),)]
    pair = [running(name, stretches=half, exposed=500_000) for name, half in zip("ab", halves, strict=True)]
    compiled = experiments(layer(*pair))
    counts = Counter(next(iter(compiled.expose(unit).names.items())) for unit in UNITS)
    assert all(abs(count - 12_500) < 4 * sqrt(50_000 * 0.25 * 0.75) for count in counts.values())
    assert len(counts) == 4


def test_nobody_is_in_two_experiments_of_one_layer():
    """Ten experiments that share a layer have each unit at most once, and between them all they hold."""
    each = PLACES // 10
    tenth = [
        running(f"x{n}", stretches=(Stretch(begin=n * each, end=(n + 1) * each),), exposed=each) for n in range(10)
    ]
    compiled = experiments(layer(*tenth))
    seen = [compiled.expose(unit).exposures for unit in UNITS]
    assert {len(exposures) for exposures in seen} == {1}
    counts = Counter(exposures[0].experiment for exposures in seen)
    assert all(abs(count - 5_000) < 4 * sqrt(5_000 * 0.9) for count in counts.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 120_000), min_size=1, max_size=6), st.data())
def test_ramping_and_taking_more_places_moves_nobody(sizes, data):
    """Exposing more of what an experiment holds, and adding stretches behind it, keeps everybody's arm."""
    taken = [Stretch(begin=200_000, end=250_000), Stretch(begin=600_000, end=610_000)]
    stretches: tuple[Stretch, ...] = ()
    units, before = UNITS[:300], dict.fromkeys(UNITS[:300])
    for size in sizes:
        more = reserve([*taken, *stretches], size)
        assert more is not None
        stretches += more
        held = sum(part.end - part.begin for part in stretches)
        lowest = held - size
        for exposed in sorted(data.draw(st.lists(st.integers(lowest, held), min_size=1, max_size=2))):
            compiled = alone(running(stretches=stretches, exposed=exposed))
            now = {unit: arm(compiled, unit) for unit in units}
            assert all(now[unit] == known for unit, known in before.items() if known)
            before = now


@given(st.integers(0, PLACES))
@settings(max_examples=30, deadline=None)
def test_exposure_is_a_share_of_the_layer(exposed):
    """An experiment has the units whose place is among those exposed, and no others."""
    compiled = alone(running(exposed=exposed))
    seed = seed_of("layer/pay/salt-of-prompts")
    for unit in UNITS[:200]:
        assert (arm(compiled, unit) is not None) == (place_of(seed, unit.encode()) < exposed)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), min_size=2).filter(lambda w: sum(w.values())))
@settings(max_examples=40, deadline=None)
def test_stopping_an_arm_moves_nobody_else(weights):
    """When an arm's slices go, its units have no arm, and all others keep theirs, whatever the weights."""
    slices = slices_of(weights)
    overrides = {name: Override() for name in weights}
    whole = alone(running(slices=slices, overrides=overrides))
    stopped = slices[0].arm
    rest = tuple(piece for piece in slices if piece.arm != stopped)
    holed = alone(running(slices=rest, overrides=overrides, epoch=1))
    for unit in UNITS[:200]:
        was = arm(whole, unit)
        assert arm(holed, unit) == (None if was == stopped else was)


@pytest.mark.parametrize(
    "weights", [{"a": 1, "b": 99}, {"a": 0.0001, "b": 0.2, "c": 0.7999}, dict.fromkeys("abcde", 3)]
)
def test_weights_are_exact(weights):
    """Slices are the weights to a millionth, and realised shares are within binomial error of them."""
    total = sum(weights.values())
    compiled = alone(running(slices=slices_of(weights), overrides={name: Override() for name in weights}))
    counts = Counter(arm(compiled, unit) for unit in UNITS)
    for name, weight in weights.items():
        share = weight / total
        held = sum(piece.end - piece.begin for piece in slices_of(weights) if piece.arm == name)
        assert abs(held - share * PLACES) <= 1
        assert abs(counts[name] - share * len(UNITS)) <= 4 * sqrt(len(UNITS) * share * (1 - share)) + 1


def test_held_out_units_see_no_experiment_anywhere():
    """A hold-out of 10 % is the same tenth of the units in every layer, and versions go back to the rollout's."""
    layers = tuple(layer(running(name, overrides=VERSIONED), name=f"layer-{name}") for name in "abc")
    with_all, with_out = (CompiledPlan(plan(None, layers=layers, hold_out=share)) for share in (0, 100_000))
    out = [unit for unit in UNITS if not with_out.assign(unit)[1].exposures]
    assert len(out) == pytest.approx(5_000, abs=4 * sqrt(50_000 * 0.09))
    assert {with_out.assign(unit)[0].version for unit in out} == {"v1"}
    assert all(len(with_all.assign(unit)[1].exposures) == 3 for unit in out[:200])
    inside = set(UNITS) - set(out)
    assert all(with_out.assign(unit) == with_all.assign(unit) for unit in list(inside)[:500])


def test_another_process_assigns_the_same():
    """After a restart, and with another PYTHONHASHSEED, every unit has the arms it had."""
    program = (
        "import json, sys; sys.path.insert(0, '.')\n"
        "from tests.routing.test_assign import in_layers\n"
        "compiled = in_layers('x', 'y')\n"
        "print(json.dumps([dict(compiled.assign(f'user-{n}')[1].names) for n in range(2000)]))"
    )
    compiled = in_layers("x", "y")
    mine = [dict(compiled.assign(unit)[1].names) for unit in UNITS[:2000]]
    for seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(answer.stdout) == mine


@given(_units)
def test_every_text_is_a_unit(unit):
    """Whatever the unit is called, it has one arm and keeps it."""
    compiled = alone(running())
    assert compiled.expose(unit) is compiled.expose(unit)
    assert arm(compiled, unit) in {"control", "treatment"}


def test_without_experiments_nothing_is_compiled():
    """A plan without experiments, and one whose layers are empty, costs nobody anything."""
    for layers in ((), (layer(),)):
        compiled = CompiledPlan(plan(300_000, layers=layers, hold_out=1))
        assert compiled.experiments is None
        for unit in UNITS[:100]:
            choice, exposed = compiled.assign(unit)
            assert choice == compiled.choose(unit)
            assert exposed is NOT_EXPOSED


def test_an_arms_version_overrules_the_rollout():
    """A version of an arm is the choice, as experiment, in the unit's own bucket; other arms leave the rollout's."""
    compiled = CompiledPlan(plan(500_000, stable="v1", layers=(layer(running(overrides=VERSIONED)),)))
    seen = set()
    for unit in UNITS[:500]:
        choice, exposed = compiled.assign(unit)
        rollout = compiled.choose(unit)
        assert (choice.bucket, choice.rank) == (rollout.bucket, rollout.rank)
        if exposed.names["tone"] == "treatment":
            assert (choice.version, choice.arm) == ("v2", "experiment")
        else:
            assert choice == rollout
        seen.add(choice.arm)
    assert seen == {"stable", "canary", "experiment"}


def _exposed_to(compiled: CompiledExperiments, **arms: str) -> Exposed:
    return next(found for unit in UNITS if (found := compiled.expose(unit)).names == arms)


def test_overrides_of_layers_come_together_and_the_first_word_stands():
    """What layers change is changed together; where two change the same thing, the first layer of the plan wins."""
    route, prompt = Route(timeout=9.0), Prompt(template="Briefly: {query}")
    first = Override(version="v2", parameters={"temperature": 0.1}, values={"colour": "red"})
    second = Override(parameters={"temperature": 0.9, "seed": 7}, prompt=prompt, values={"colour": "blue", "size": 2})
    third = Override(version="v1", route=route, prompt=Prompt(system="Be kind."))
    made = [
        running(n, overrides={"control": Override(), "treatment": o})
        for n, o in zip("abc", (first, second, third), strict=True)
    ]
    layers = tuple(layer(experiment, name=f"layer-{experiment.name}") for experiment in made)
    compiled = experiments(*layers)
    everything = _exposed_to(compiled, a="treatment", b="treatment", c="treatment")
    assert everything.override == Override(
        version="v2",
        prompt=prompt,
        parameters={"temperature": 0.1, "seed": 7},
        route=route,
        values={"colour": "red", "size": 2},
    )
    assert everything.exposures == tuple(Exposure(experiment=f"id-of-{n}", arm="treatment", epoch=0) for n in "abc")
    assert _exposed_to(compiled, a="control", b="control", c="treatment").override == third
    assert _exposed_to(compiled, a="control", b="control", c="control").override is None


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        (Rule(attribute="x-plan", values=("gold", "silver")), {"gold", "silver"}),
        (Rule(attribute="x-plan", test="is-not", values=("gold",)), {"silver", "golden", ""}),
        (Rule(attribute="x-plan", test="begins-with", values=("gold",)), {"gold", "golden"}),
        (Rule(attribute="x-plan", test="matches", values=("g.*n", "sil")), {"golden"}),
        (Rule(attribute="x-plan", test="exists"), {"gold", "silver", "golden"}),
        (Rule(attribute="x-plan", test="is-missing"), {""}),
    ],
)
def test_targeting_takes_the_requests_it_names(rule, taken):
    """An experiment has a request only where its rules hold, and a request that lacks an attribute has it empty."""
    compiled = alone(running(targeting=(rule,)))
    asked = ["gold", "silver", "golden", ""]
    found = {said for said in asked if compiled.expose("u", {"x-plan": said} if said else {}).exposures}
    assert found == taken
    assert compiled.attributes == ("x-plan",)


def test_all_rules_must_hold_and_leave_the_place_to_nobody_else():
    """One rule that fails is enough; the unit then has no experiment in that layer, and keeps those of others."""
    rules = (Rule(attribute="x-plan", values=("gold",)), Rule(attribute="user", test="begins-with", values=("t-",)))
    layers = (layer(running("a", targeting=rules)), layer(running("b"), name="other"))
    compiled = experiments(*layers)
    assert set(compiled.expose("u", {"x-plan": "gold", "user": "t-1"}).names) == {"a", "b"}
    assert set(compiled.expose("u", {"x-plan": "gold", "user": "s-1"}).names) == {"b"}
    assert compiled.attributes == ("x-plan", "user")


def test_dimensions_are_those_of_the_experiments_that_have_the_unit():
    """Dimensions are recorded as the request said them, short and printable, and only for who is exposed."""
    compiled = alone(running(dimensions=("x-country", "x-app"), exposed=500_000))
    said = {"x-country": "DE\x00\n", "x-app": "ä" * 100, "x-other": "no"}
    seen = [compiled.expose(unit, said) for unit in UNITS[:50]]
    assert {bool(exposed.exposures) for exposed in seen} == {True, False}
    for exposed in seen:
        expected = {"x-country": "DE", "x-app": "ä" * LONGEST_DIMENSION} if exposed.exposures else {}
        assert exposed.dimensions == expected
    assert all(compiled.expose(unit, {}).dimensions == {} for unit in UNITS[:50])


def test_more_combinations_than_are_remembered_are_worked_out_anew(monkeypatch):
    """Beyond what is remembered a combination is worked out each time, to the same end."""
    monkeypatch.setattr("vedette.routing.assign._MOST_KNOWN", 1)
    layers = [layer(running(name), name=f"layer-{name}") for name in "xy"]
    compiled, fresh = experiments(*layers), experiments(*layers)
    seen = [compiled.expose(unit) for unit in UNITS[:100]]
    monkeypatch.undo()
    assert seen == [fresh.expose(unit) for unit in UNITS[:100]]
    assert compiled._remembered == 1
