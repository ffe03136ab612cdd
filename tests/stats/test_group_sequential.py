"""Group sequential designs: published boundaries, what they promise, and what they cost."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from vedette.kernel.errors import InvalidInput
from vedette.stats.brownian import root
from vedette.stats.futility import BetaSpending, LowConditionalPower
from vedette.stats.group_sequential import (
    RECOMMENDED,
    RECOMMENDED_LOOKS,
    RECOMMENDED_WITH_FUTILITY,
    Design,
    Overrun,
    boundaries,
    crossing_probabilities,
    drift_for_power,
    equally_spaced,
    inflation,
    operate,
)
from vedette.stats.sequential import Side
from vedette.stats.spending import SHAPES, Family, spent

ONE_SIDED = Design(family=Family.POCOCK, alpha=0.025, side=Side.GREATER)
FIVE = equally_spaced(5)

PARAMETERS = {Family.WANG_TSIATIS: 0.25, Family.POWER: 2.0, Family.HWANG_SHIH_DECANI: -4.0}
ALL_FAMILIES = [Design(family=family, parameter=PARAMETERS.get(family)) for family in Family]


def ids(design: Design) -> str:
    """Name of a family as the name of a test."""
    return str(design.family)


@pytest.mark.parametrize(
    ("family", "information", "expected"),
    [
        (Family.OBRIEN_FLEMING, equally_spaced(2), [2.79650968126, 1.97743095928]),
        (Family.OBRIEN_FLEMING, equally_spaced(4), [4.04859099942, 2.86278614994, 2.33745510335, 2.02429549971]),
        (Family.OBRIEN_FLEMING, FIVE, [4.56174229888, 3.22563891356, 2.63372314423, 2.28087114944, 2.04007317523]),
        (Family.POCOCK, equally_spaced(3), [2.28947806104] * 3),
        (Family.POCOCK, equally_spaced(4), [2.3612978911] * 4),
        (Family.POCOCK, equally_spaced(10), [2.55501277358] * 10),
        (Family.LAN_DEMETS_POCOCK, equally_spaced(3), [2.27942823892, 2.29491113871, 2.29593835026]),
        (Family.LAN_DEMETS_OBRIEN_FLEMING, (0.5, 0.75, 1), [2.96258804273, 2.35901770741, 2.01408366114]),
    ],
)
def test_rpact_boundaries(family, information, expected):
    """As rpact 3.3.4, getDesignGroupSequential with two sides and alpha .05, to five digits."""
    assert boundaries(Design(family=family), information).boundary_z == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("family", "looks", "alpha", "constant"),
    [
        (Family.POCOCK, 2, 0.05, 2.178),
        (Family.POCOCK, 5, 0.05, 2.413),
        (Family.POCOCK, 5, 0.01, 2.986),
        (Family.POCOCK, 5, 0.1, 2.122),
        (Family.OBRIEN_FLEMING, 3, 0.05, 2.004),
        (Family.OBRIEN_FLEMING, 10, 0.05, 2.087),
        (Family.OBRIEN_FLEMING, 4, 0.01, 2.609),
        (Family.OBRIEN_FLEMING, 5, 0.1, 1.751),
    ],
)
def test_jennison_turnbull_constants(family, looks, alpha, constant):
    """Jennison & Turnbull 2000, tables 2.1 and 2.3: the critical value of the last look."""
    got = boundaries(Design(family=family, alpha=alpha), equally_spaced(looks))
    assert got.boundary_z[-1] == pytest.approx(constant, abs=6e-4)
    assert got.alpha_spent[-1] == pytest.approx(alpha, abs=1e-9)


def test_lan_demets_five_looks():
    """The R package ldbounds documents 4.877 3.357 2.680 2.290 2.031, and 2.438 2.427 2.410 2.397 2.386, for K = 5."""
    obf = boundaries(Design(), FIVE).boundary_z
    pocock = boundaries(Design(family=Family.LAN_DEMETS_POCOCK), FIVE).boundary_z
    assert obf == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=6e-4)
    assert pocock == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=6e-4)


def test_wang_tsiatis_contains_both_shapes():
    """Wang-Tsiatis is O'Brien-Fleming at Δ = 0 and Pocock at Δ = 1/2, as Jennison & Turnbull (2000, §2.7) say."""
    for delta, family in ((0.0, Family.OBRIEN_FLEMING), (0.5, Family.POCOCK)):
        mixed = boundaries(Design(family=Family.WANG_TSIATIS, parameter=delta), FIVE)
        assert mixed.boundary_z == boundaries(Design(family=family), FIVE).boundary_z


def test_wang_tsiatis_constants():
    """Jennison & Turnbull 2000, table 2.9, Δ = .25, alpha .05: 2.038 for two looks, 2.113 for four, 2.136 for five."""
    design = Design(family=Family.WANG_TSIATIS, parameter=0.25)
    got = [boundaries(design, equally_spaced(looks)).boundary_z[-1] for looks in (2, 4, 5)]
    assert got == pytest.approx([2.038, 2.113, 2.136], abs=6e-4)


def test_spotify_overrun():
    """spotify/confidence test_seq_bounds_run_over: t² spending at alpha .01, 810 units where 300 were planned."""
    design = Design(family=Family.POWER, parameter=2.0, alpha=0.01)
    looks = boundaries(design, (250, 450, 630, 810), maximum=300, overrun=Overrun.RESCALE)
    assert [look.nominal_p for look in looks.looks] == pytest.approx([0.00095, 0.00241, 0.0041, 0.00636], abs=1e-5)


def test_overrun_spends_the_rest():
    """A look past the planned maximum spends what is left, leaves past boundaries alone, and nothing after it."""
    plan = boundaries(Design(), (50, 100), maximum=100)
    over = boundaries(Design(), (50, 120, 150), maximum=100)
    assert over.boundary_z[0] == plan.boundary_z[0]
    assert over.alpha_spent[1] == pytest.approx(0.05)
    assert over.boundary_z[1] > plan.boundary_z[1]  # looking later, correlated less with the first look
    assert over.boundary_z[2] == math.inf


def test_early_end_spends_the_rest():
    """A test that ends before its maximum spends what is left at its last look, so that its error is alpha."""
    short = boundaries(Design(), (50, 80), maximum=100, final=True)
    assert sum(crossing_probabilities(short, 0.0)) == pytest.approx(0.05, abs=1e-9)
    assert short.boundary_z[1] < boundaries(Design(), (50, 80), maximum=100).boundary_z[1]


@pytest.mark.parametrize(
    ("family", "looks", "power", "expected"),
    [
        (Family.POCOCK, 2, 0.8, 1.11041263469),
        (Family.POCOCK, 5, 0.9, 1.20660320637),
        (Family.OBRIEN_FLEMING, 2, 0.8, 1.00778625514),
        (Family.OBRIEN_FLEMING, 10, 0.9, 1.03745718599),
    ],
)
def test_rpact_inflation(family, looks, power, expected):
    """As rpact 3.3.4 getDesignCharacteristics (Jennison & Turnbull 2000, tables 2.2, 2.4), alpha .05, two sides."""
    assert inflation(Design(family=family), equally_spaced(looks), power) == pytest.approx(expected, abs=1e-6)


def test_gsdesign_default():
    """R gsDesign's default, printed: upper 3.01 2.55 2.00, lower -0.24 0.94 2.00, beta spent, inflation 1.070."""
    design = Design(
        family=Family.HWANG_SHIH_DECANI,
        parameter=-4.0,
        alpha=0.025,
        side=Side.GREATER,
        futility=BetaSpending(power=0.9),
    )
    looks = boundaries(design, equally_spaced(3))
    assert looks.boundary_z == pytest.approx([3.01, 2.55, 2.00], abs=6e-3)
    assert [look.futility_z for look in looks.looks] == pytest.approx([-0.24, 0.94, 2.00], abs=6e-3)
    assert [look.beta_spent for look in looks.looks] == pytest.approx([0.0148, 0.0437, 0.1], abs=6e-5)
    assert inflation(design, equally_spaced(3), 0.9) == pytest.approx(1.070, abs=6e-4)


@pytest.mark.parametrize("design", ALL_FAMILIES, ids=ids)
def test_simulated_error_and_power(design):
    """Simulated paths of three unequal looks reject as often as computed, without an effect and with one."""
    information = np.array([0.3, 0.7, 1.0])
    looks = boundaries(design, tuple(information))
    paths = np.random.default_rng(3).normal(size=(40_000, 3)) * np.sqrt(np.diff(information, prepend=0.0))
    score = np.cumsum(paths, axis=1)
    for drift in (0.0, 2.8):
        z = (score + drift * information) / np.sqrt(information)
        seen = (np.abs(z) >= looks.boundary_z).any(axis=1).mean()
        assert seen == pytest.approx(sum(crossing_probabilities(looks, drift)), abs=3.5 * 0.5 / 200 * 0.9)


@settings(deadline=None, max_examples=40)
@given(
    design=st.sampled_from([design for design in ALL_FAMILIES if design.family not in SHAPES]),
    steps=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8),
    alpha=st.floats(0.001, 0.2),
    side=st.sampled_from(Side),
)
def test_spending_adds_up(design, steps, alpha, side):
    """Whenever the looks come, together they reject with probability alpha, and each spends what it may."""
    information = np.cumsum(steps).tolist()
    looks = boundaries(Design(family=design.family, parameter=design.parameter, alpha=alpha, side=side), information)
    found = np.cumsum(crossing_probabilities(looks, 0.0))
    assert found[-1] == pytest.approx(alpha, rel=1e-8)
    assert found == pytest.approx(looks.alpha_spent, rel=1e-6, abs=1e-14)


@settings(deadline=None, max_examples=25)
@given(looks=st.integers(2, 12), alpha=st.floats(0.001, 0.2), rho=st.floats(2.0, 4.0))
def test_boundaries_fall(looks, alpha, rho):
    """Critical values of equally spaced looks fall from look to look, for the families that spend little early."""
    for design in (
        Design(family=Family.OBRIEN_FLEMING, alpha=alpha),
        Design(alpha=alpha),
        Design(family=Family.POWER, parameter=rho, alpha=alpha),
    ):
        assert (np.diff(boundaries(design, equally_spaced(looks)).boundary_z) < 0.0).all()


@settings(deadline=None, max_examples=25)
@given(design=st.sampled_from(ALL_FAMILIES), drift=st.floats(0.0, 5.0), more=st.floats(0.05, 2.0))
def test_power_grows_with_the_effect(design, drift, more):
    """A larger effect is found more often, and sooner where it is found with certainty."""
    looks = boundaries(design, FIVE)
    less, larger = operate(looks, drift), operate(looks, drift + more)
    assert larger.power > less.power
    assert operate(looks, 9.0).expected_fraction < operate(looks, 5.0).expected_fraction < 1.0


def test_probabilities_of_an_operation_add_up():
    """Rejecting, rejecting in the other direction and giving up are all there is."""
    for futility in (None, BetaSpending(power=0.8), LowConditionalPower(threshold=0.2)):
        for side in Side:
            looks = boundaries(Design(side=side, futility=futility), FIVE)
            got = operate(looks, 1.0)
            assert sum(got.reject) + sum(got.reject_other) + sum(got.give_up) == pytest.approx(1.0, abs=1e-12)


def test_futility_does_not_bind():
    """Critical values ignore the futility boundary, so that going on past it costs no error."""
    for futility in (BetaSpending(), LowConditionalPower()):
        with_it = boundaries(Design(futility=futility), FIVE)
        without = boundaries(Design(), FIVE)
        assert with_it.boundary_z == without.boundary_z
        assert operate(with_it, 0.0).expected_fraction < operate(without, 0.0).expected_fraction
        assert operate(with_it, 2.8, obey_futility=False).power == operate(without, 2.8).power


@pytest.mark.parametrize("side", [Side.GREATER, Side.BOTH])
def test_beta_spending_keeps_its_power(side):
    """At the drift the futility boundary was made for, each look gives up as often as was to be spent."""
    looks = boundaries(Design(side=side, futility=BetaSpending(power=0.85)), FIVE)
    got = operate(looks, drift_for_power(looks, 0.85))
    assert np.cumsum(got.give_up) == pytest.approx([look.beta_spent for look in looks.looks], abs=1e-3)


def test_futility_before_the_end_is_known():
    """A look on the way gives up where the whole plan does, as long as it goes as planned."""
    design = Design(futility=BetaSpending(power=0.8))
    so_far, plan = boundaries(design, (0.5,), maximum=1.0), boundaries(design, (0.5, 1.0))
    assert so_far.looks[0].futility_z == pytest.approx(plan.looks[0].futility_z)
    over = boundaries(design, (0.5, 1.2, 1.3), maximum=1.0)
    assert over.looks[1].futility_z == pytest.approx(over.looks[1].boundary_z)
    assert over.looks[2].futility_z is None
    ended = boundaries(design, (0.5, 0.8), maximum=1.0, final=True)
    assert ended.looks[1].futility_z == pytest.approx(ended.looks[1].boundary_z)


@pytest.mark.parametrize("side", [Side.GREATER, Side.BOTH])
def test_no_futility_before_anything_is_to_be_spent(side):
    """A look so early that it may spend no error of the second kind gives nothing up."""
    rule = BetaSpending(family=Family.LAN_DEMETS_OBRIEN_FLEMING, parameter=None)
    first, second, _ = boundaries(Design(side=side, futility=rule), (0.001, 0.6, 1.0)).looks
    assert first.futility_z is None
    assert second.futility_z is not None


def test_recommended_designs():
    """Of a fixed test's power .806 they keep .791 and .793, and stop before 3/4 of the sample: as documented."""
    drift = float(ndtri(0.806) - ndtri(0.025))
    for design, power, mean in ((RECOMMENDED, 0.7910, 0.7494), (RECOMMENDED_WITH_FUTILITY, 0.7927, 0.7451)):
        got = operate(boundaries(design, equally_spaced(RECOMMENDED_LOOKS)), drift)
        assert (got.power, got.expected_fraction) == pytest.approx((power, mean), abs=6e-5)


def test_enormous_drifts_stop_at_once():
    """An effect that no look can miss is found at the first, and nothing overflows."""
    got = operate(boundaries(Design(family=Family.POCOCK), FIVE), 500.0)
    assert got.power == pytest.approx(1.0)
    assert got.expected_fraction == pytest.approx(0.2)


MISTAKES = {
    "no looks": lambda: boundaries(Design(), ()),
    "no solution": lambda: root(lambda _: 1.0, 0.0, 1.0),
    "standing information": lambda: boundaries(Design(), (0.5, 0.5)),
    "falling information": lambda: boundaries(Design(), (0.5, 0.4)),
    "no information": lambda: boundaries(Design(), (0.0, 1.0)),
    "unknown information": lambda: boundaries(Design(), (math.nan,)),
    "no maximum": lambda: boundaries(Design(), (0.5,), maximum=0.0),
    "shape without its plan": lambda: boundaries(Design(family=Family.POCOCK), (0.5,), maximum=1.0),
    "no equally spaced looks": lambda: equally_spaced(0),
    "alpha 0": lambda: Design(alpha=0.0),
    "alpha 1": lambda: Design(alpha=1.0),
    "a parameter too many": lambda: Design(parameter=2.0),
    "a parameter too few": lambda: Design(family=Family.POWER),
    "a parameter out of range": lambda: Design(family=Family.WANG_TSIATIS, parameter=0.9),
    "power 1": lambda: BetaSpending(power=1.0),
    "beta spent by a shape": lambda: BetaSpending(family=Family.POCOCK, parameter=None),
    "a high threshold": lambda: LowConditionalPower(threshold=0.6),
    "a shape that spends": lambda: spent(Family.POCOCK, None, 0.05, 0.5),
    "power below alpha": lambda: drift_for_power(boundaries(Design(), FIVE), 0.02),
    "an infinite drift": lambda: operate(boundaries(Design(), FIVE), math.inf),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_are_refused(mistake):
    """What cannot be meant is refused, with a hint at what to do."""
    with pytest.raises(InvalidInput) as refused:
        mistake()
    assert refused.value.hint
