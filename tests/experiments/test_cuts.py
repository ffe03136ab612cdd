"""Cuts of an experiment: corrected for looking at many, and interactions found only where there are some."""

import numpy as np
import pytest
from tests.experiments.things import arm, evidence, measured, running, spec

from vedette.experiments.advance import look_at, progress_of
from vedette.experiments.cuts import Crossed, adjusted_together, break_down, interactions_of
from vedette.experiments.monitoring import GroupSequential
from vedette.experiments.recorded import judge_again, recorded
from vedette.experiments.report import report
from vedette.kernel.records import evolve

ASKED = spec(arms=("base", "new"))
OTHER = Crossed(name="other", spec=spec(arms=("plain", "rich")), status=running(spec(arms=("plain", "rich"))))
IT = Crossed(name="tone", spec=ASKED, status=running(ASKED))


def _cells(draw, *, together=0.5, n=2000):
    return {
        ("base", "plain"): arm(draw, n),
        ("base", "rich"): arm(draw, n),
        ("new", "plain"): arm(draw, n),
        ("new", "rich"): arm(draw, n, accepted=together),
    }


def test_values_are_corrected_for_each_other():
    """Twelve values without any effect give no finding once corrected, and each p-value is no smaller than before."""
    cuts = {f"v{seed}": evidence(seed, base={"requests": 2000}, new={"requests": 2000}) for seed in range(12)}
    found = break_down(ASKED, running(ASKED), measured(ASKED), "x-plan", cuts, 50_000)
    rows = [row for it in found.values for row in it.comparisons if row.metric == "accepted"]
    assert len(rows) == 12
    raw, corrected = (np.array([getattr(row, name) for row in rows]) for name in ("p_value", "p_adjusted"))
    assert (corrected >= raw).all()
    assert corrected.min() > 0.05
    assert (found.units, found.left_out) == (48_000, 2000)


def test_an_effect_in_one_value_is_found_there():
    """Where one value alone has a strong effect, it is the one that is found."""
    cuts = {name: evidence(seed, base={}, new={}) for seed, name in enumerate(("de", "fr", "it"))}
    cuts["es"] = evidence(9, base={}, new={"accepted": 0.58})
    found = break_down(ASKED, running(ASKED), measured(ASKED), "x-country", cuts, 160_000)
    rows = [(it.value, row.p_adjusted) for it in found.values for row in it.comparisons if row.metric == "accepted"]
    clear = [value for value, p_value in rows if p_value is not None and p_value < 0.05]
    assert clear == ["es"]
    assert found.values[0].comparisons[0].kind == "sequence"


def test_interactions_are_found_where_they_are():
    """An effect that is there only together with another experiment's arm is found; its interval holds it."""
    (found,) = interactions_of(IT, measured(ASKED)[0], OTHER, _cells(np.random.default_rng(4), together=0.7, n=4000))
    assert None not in {found.low, found.high, found.p_value}
    assert (found.low or 0) < 0.2 < (found.high or 0)
    assert (found.p_value or 0) < 0.01
    assert (found.units, found.missing) == (16_000, "")


def test_interactions_are_rarely_found_where_there_are_none():
    """Of 120 pairs of experiments without interaction hardly any is called one, at the level of 5 %."""
    draw = np.random.default_rng(11)
    primary = measured(ASKED)[0]
    p_values = [interactions_of(IT, primary, OTHER, _cells(draw, n=400))[0].p_value for _ in range(120)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05


def test_interactions_that_cannot_be_judged_say_why():
    """Missing combinations and small ones are told; p-values of the others are corrected without them."""
    draw = np.random.default_rng(2)
    cells = _cells(draw)
    (small,) = interactions_of(IT, measured(ASKED)[0], OTHER, {**cells, ("new", "rich"): arm(draw, 50)})
    (missing,) = interactions_of(IT, measured(ASKED)[0], OTHER, {pair: cells[pair] for pair in list(cells)[:3]})
    assert (small.missing, missing.missing) == (
        "a combination of arms has 50 of 100 requests",
        "a combination of arms had no request",
    )
    (judged,) = interactions_of(IT, measured(ASKED)[0], OTHER, cells)
    together = adjusted_together([small, judged, missing])
    assert [it.p_adjusted for it in together] == [None, judged.p_value, None]
    assert interactions_of(IT, measured(ASKED)[0], OTHER, {})[0].missing == "a combination of arms had no request"
    assert adjusted_together([]) == ()


@pytest.mark.parametrize(
    "changes", [{}, {"monitoring": GroupSequential(units=90_000, looks=3)}, {"comparisons": "best"}]
)
def test_a_recorded_look_is_judged_again_to_the_same_answer(changes):
    """What is kept of a look gives its whole report again: quantiles, cautions and the check of the split too."""
    asked = spec(**changes)
    status = running(asked)
    for seen in (evidence(base={}, brief={"seen": 0.5}, long={"accepted": 0.6}), evidence(base={"requests": 30})):
        analysis = look_at(asked, measured(asked), status, seen)
        units = {name: float(seen.of(1, name).requests) for name in ("base", "brief", "long")}
        kept = recorded(analysis, progress_of(status))
        again = judge_again(asked, measured(asked), kept)
        assert report(again, units) == report(analysis, units)
        assert recorded(again, progress_of(status)) == kept
        assert evolve(kept) == kept
