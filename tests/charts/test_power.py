"""Power plots show how likely a design finds an effect, and where the plan stands."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.charts.reading import described, drawn_texts, nodes, number, points, said

from vedette.charts.power import PowerCurve, power_plot
from vedette.kernel.errors import InvalidInput

SIZES = (100.0, 400.0, 900.0, 1571.0, 2500.0)


def z_test(effect: float) -> PowerCurve:
    """Power of a two-sample z test of a standardised effect at 2.5 % one-sided."""
    powers = (NormalDist().cdf(effect * math.sqrt(size / 2) - 1.959964) for size in SIZES)
    return PowerCurve(label=f"effect {effect}", points=tuple(zip(SIZES, powers, strict=True)))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_more_power_stands_higher(powers):
    """The curve goes to the right with the sample and up with the power, on a scale from 0 to 1."""
    chart = power_plot([PowerCurve(label="a", points=tuple(enumerate(powers)))], title="t", target=None)
    rules = [number(rule, "y1") for rule in nodes(chart, "line", "rule")]
    zero, one = max(rules), min(rules)
    (curve,) = nodes(chart, "path", "line")
    places = points(curve)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [(zero - y) / (zero - one) for _, y in places] == pytest.approx(powers, abs=1e-3)


def test_the_plan_is_marked_on_the_curve():
    """The planned point lies on its curve, is written out, and lines lead from it to both axes."""
    chart = power_plot([z_test(0.1)], title="t", planned=(1571.0, 0.8))
    assert "1,571: 80%" in [said(text) for text in drawn_texts(chart)]
    (plan,) = nodes(chart, "path", "open")
    left, y = points(plan)[0]
    (curve,) = nodes(chart, "path", "s0", "line")
    x_of_curve, y_of_curve = points(curve)[3]
    assert left + 7 == pytest.approx(x_of_curve, abs=0.02)
    assert y == pytest.approx(y_of_curve, abs=0.2)


def test_the_words_say_where_the_target_is_reached():
    """The description tells the plan, the ends of each curve, and the first point that reaches the target."""
    chart = power_plot([z_test(0.1), z_test(0.01)], title="t", planned=(1571.0, 0.8))
    assert "Planned: 1,571 units per variant, power 80%." in described(chart)
    assert "; 80% is reached at 1,571." in described(chart)
    assert described(chart).count("is reached") == 1


def test_curves_are_told_apart_without_colour():
    """Each curve has its dash and its marker, and a legend names them; one curve alone needs none."""
    chart = power_plot([z_test(0.05), z_test(0.1), z_test(0.2)], title="t")
    assert len({line.get("stroke-dasharray") for line in nodes(chart, "path", "line")}) == 3
    assert {"effect 0.05", "effect 0.1", "effect 0.2"} <= {said(text) for text in drawn_texts(chart)}
    assert "effect 0.1" not in {said(text) for text in drawn_texts(power_plot([z_test(0.1)], title="t"))}


def test_the_table_holds_every_point():
    """Each point of each curve is a row, as it was given."""
    curve = z_test(0.1)
    assert power_plot([curve], title="t").table.rows == tuple(("effect 0.1", x, y) for x, y in curve.points)


def test_effects_may_be_said_in_percent():
    """Power against the effect: the axis says percent, equal ratios are equally far where that is asked."""
    points_of = tuple((effect, effect * 5) for effect in (0.01, 0.02, 0.04, 0.08))
    chart = power_plot(
        [PowerCurve(label="a", points=points_of)], title="t", percent=True, log=True, axis="relative effect"
    )
    (curve,) = nodes(chart, "path", "line")
    xs = [x for x, _ in points(curve)]
    gaps = [after - before for before, after in pairwise(xs)]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.02)
    assert "2%" in {said(text) for text in drawn_texts(chart)}


@pytest.mark.parametrize(
    "wrong",
    [((1.0, 0.5),), ((1.0, 0.5), (1.0, 0.6)), ((1.0, 0.5), (2.0, 1.2)), ((1.0, math.nan), (2.0, 0.5)), ()],
    ids=["one point", "out of order", "no probability", "nan", "none"],
)
def test_curves_that_cannot_be_drawn_are_refused(wrong):
    """One point, points out of order, NaN and powers outside 0 to 1 are errors that name the curve."""
    with pytest.raises(InvalidInput, match="'a'"):
        power_plot([PowerCurve(label="a", points=wrong)], title="t")


@pytest.mark.parametrize("wrong", [{"target": 80.0}, {"planned": (100.0, 80.0)}, {"planned": (math.nan, 0.8)}])
def test_a_plan_that_cannot_be_drawn_is_refused(wrong):
    """A power of 80 is most likely meant in percent, and is refused with that hint; so is NaN."""
    with pytest.raises(InvalidInput):
        power_plot([z_test(0.1)], title="t", **wrong)
