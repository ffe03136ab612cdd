"""A rate from a source: the same figures as any rate, nothing where something is missing, and α kept."""

import math
from datetime import timedelta

import numpy as np
import pytest
from tests.rollouts.things import NOON, spec

from vedette.evidence.counters import Counted, Counting, Series, Window
from vedette.evidence.source import PrometheusSource
from vedette.kernel.documents import dump, load
from vedette.rollouts.gates import Finding, judge
from vedette.rollouts.observation import Observation, RateObservation, Unmeasured
from vedette.rollouts.replay import RecordedLook, replay
from vedette.rollouts.sourced import Group, observe_counts
from vedette.rollouts.spec import Guardrail
from vedette.stats.rate_ratio import log_e_regression

SOURCE = PrometheusSource(
    prometheus="http://prometheus:9090",
    bad='n{version="$version",code="500"}',
    total='n{version="$version"}',
)
NOW = 1000.0
FINE: dict[Group, Counted] = {
    "canary bad": Counted(growth={(3, 0): 4, (4, 0): 1}, last=NOW),
    "canary total": Counted(growth={(3, 0): 90, (4, 0): 60}, last=NOW),
    "stable bad": Counted(growth={(3, 0): 50}, last=NOW),
    "stable total": Counted(growth={(3, 0): 810, (4, 0): 40}, last=NOW),
}
NEVER = Counted(growth={}, last=0.0)


def seen(changed: dict[Group, Counted] | None = None, *, step_plan: int = 4, now: float = NOW) -> Observation:
    """Observe the counts, some of them changed."""
    return observe_counts(SOURCE, FINE | (changed or {}), step_plan=step_plan, now=now)


def test_counts_become_the_cells_of_a_rate():
    """Each plan and hour is a cell, judged by the canary's share of all events there."""
    found = seen()
    assert isinstance(found, RateObservation)
    assert (found.basis, found.covered, found.dispersion) == ("requests", 1.0, 1.0)
    assert [(c.revision, c.canary, c.stable, c.judged_canary, c.judged_total) for c in found.cells] == [
        (3, 90, 810, 4, 54),
        (4, 60, 40, 1, 1),
    ]
    assert [cell.expected_share for cell in found.cells] == pytest.approx([0.1, 0.6])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"canary total": NEVER}, "no series of all events of the canary was found"),
        ({"stable total": NEVER}, "no series of all events of the stable was found"),
        ({"canary total": Counted(growth={(4, 0): 60}, last=NOW - 121)}, "the canary has no sample of the last 2m"),
        ({"stable total": Counted(growth={(4, 0): 60}, last=NOW - 121)}, "the stable has no sample of the last 2m"),
        ({"canary bad": NEVER, "stable bad": NEVER}, "no series of bad events was found"),
        ({"canary bad": Counted(growth={(4, 0): 151}, last=NOW)}, "bad must be a part of total"),
        ({"canary total": Counted(growth={(3, 0): 90}, last=NOW)}, "no event counted in this step"),
    ],
)
def test_what_is_missing_is_missing(changed, why):
    """Arms without series, old samples, bad events nobody ever saw, and steps without events allow no verdict."""
    found = seen(changed)
    assert isinstance(found, Unmeasured)
    assert why in found.why
    verdict = judge(Guardrail(metric="mesh"), found, 0.05, 3)
    assert verdict.finding is Finding.INSUFFICIENT
    assert verdict.sentence == f"mesh was not measured: {found.why}"
    assert load(Unmeasured, dump(found)) == found


def test_version_that_never_failed_has_no_bad_events():
    """Where the other arm shows that failures have series, none of the canary's are none."""
    found = seen({"canary bad": NEVER})
    assert isinstance(found, RateObservation)
    assert sum(cell.bad_canary for cell in found.cells) == 0


def test_bad_event_is_an_event_even_when_its_total_is_scraped_later():
    """A cell never holds more bad events than events, so that nothing is expected of a share of 0."""
    bad = Counted(growth={(3, 0): 4, (4, 0): 2}, last=NOW)
    total = Counted(growth={(3, 0): 90, (4, 1): 60}, last=NOW)
    found = seen({"canary bad": bad, "canary total": total})
    assert isinstance(found, RateObservation)
    (cell,) = [cell for cell in found.cells if (cell.revision, cell.hour) == (4, 0)]
    assert (cell.canary, cell.stable) == (2, 40)
    assert cell.expected_share == pytest.approx(2 / 42)


def test_looks_without_an_answer_count_nothing_twice_in_a_replay():
    """A record with holes, in which a source did not answer, is replayed with the counts it ends with."""

    def look(place: int, observation: Observation) -> RecordedLook:
        at = NOON + timedelta(seconds=place)
        return RecordedLook(at=at, watched=place, weight=10.0, observations={"mesh": observation}, exposures=())

    part, whole = seen({"canary total": Counted(growth={(4, 0): 30}, last=NOW)}), seen()
    guarded = spec(guardrails=(Guardrail(metric="mesh"),))
    found = replay(guarded, [look(1, part), look(2, Unmeasured(why="timed out")), look(3, whole)])
    assert found.bad_requests == {"mesh": 5}
    assert found.notes == ("the recorded evidence ends before this spec decides",)


RUNS, SCRAPES, LENGTH = 200, 48, 15.0
PLANS = (
    Window(revision=3, begin=60, end=240),
    Window(revision=4, begin=270, end=480),
    Window(revision=5, begin=510, end=math.inf),
)
WEIGHTS = (0.05, 0.25, 0.5)


def looks(ratio: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scrape a service of two processes a version while a canary climbs; give bad, total and share of every look.

    2 % of stable's requests fail, ``ratio`` times as many of the canary's; traffic goes up and down, processes are
    restarted by chance, and a series of errors appears with the first of them. Shape (runs × looks, plans).
    """
    dice = np.random.default_rng(seed)
    times = LENGTH * np.arange(1, SCRAPES + 1, dtype=np.float64)
    weight = np.select([times <= 240, times <= 480], WEIGHTS[:2], WEIGHTS[2])
    busy = 150 * (1.2 + np.sin(times / 90))
    found: list[list[tuple[float, float, float]]] = []
    for _ in range(RUNS):
        samples: dict[Group, list[Series]] = {}
        for arm, share, bad_rate in (("canary", weight, 0.02 * ratio), ("stable", 1 - weight, 0.02)):
            groups: tuple[Group, Group] = (
                ("canary bad", "canary total") if arm == "canary" else ("stable bad", "stable total")
            )
            for process in "ab":
                total = dice.poisson(busy * share / 2)
                bad = dice.binomial(total, bad_rate)
                life = np.cumsum(dice.random(SCRAPES) < 0.03)
                counted = {"200": _restarted(total - bad, life), "500": _restarted(bad, life)}
                for code, values in counted.items():
                    there = values > 0 if code == "500" else np.full(SCRAPES, True)
                    labels = frozenset({"instance": f"{arm}-{process}", "code": code}.items())
                    one = Series(labels=labels, times=times[there], values=values[there].astype(np.float64))
                    for group in groups if code == "500" else groups[1:]:
                        samples.setdefault(group, []).append(one)
        found += _looked(samples, times)
    padded = [[*cells, *[(0.0, 0.0, 0.0)] * (len(PLANS) - len(cells))] for cells in found]
    bad_canary, bad_all, expected = np.moveaxis(np.array(padded), -1, 0)
    return bad_canary, bad_all, expected


def _restarted(events: np.ndarray, life: np.ndarray) -> np.ndarray:
    """Count up within each life of a process, from 0."""
    so_far = np.cumsum(events)
    starts = np.searchsorted(life, life)
    counted: np.ndarray = so_far - (so_far - events)[starts]
    return counted


def _looked(samples: dict[Group, list[Series]], times: np.ndarray) -> list[list[tuple[float, float, float]]]:
    """Look after every sixth scrape, as readings do: fed on, and observed."""
    counting, before = Counting(), 0.0
    found = []
    for until in times[5::6]:
        piece: dict[str, list[Series]] = {}
        for group, many in samples.items():
            for one in many:
                new = (one.times > before) & (one.times <= until)
                piece.setdefault(group, []).append(
                    Series(labels=one.labels, times=one.times[new], values=one.values[new])
                )
        counting.feed(piece, PLANS)
        before = until
        counted: dict[Group, Counted] = {group: counting.of(group) for group in samples}
        observed = observe_counts(SOURCE, counted, step_plan=0, now=float(until))
        cells = observed.cells if isinstance(observed, RateObservation) else ()
        found.append([(cell.judged_canary, cell.judged_total, cell.expected_share) for cell in cells])
    return found


def aborted(ratio: float, seed: int, alpha: float) -> float:
    """Give the share of rollouts in which any look found a regression."""
    bad, total, share = looks(ratio, seed)
    log_e = log_e_regression(bad, total, share)[..., -1].reshape(RUNS, -1)
    return float((log_e.max(axis=1) >= math.log(1 / alpha)).mean())


def test_equal_versions_are_taken_back_no_more_often_than_promised():
    """Over 200 ramps with restarts and series that appear, looks at α = 10 % take back at most that of equal versions.

    A version that fails twice as often is nearly always taken back by the same looks (seeds 11 and 12).
    """
    assert 0 < aborted(1.0, 11, 0.1) <= 0.1
    assert aborted(2.0, 12, 0.1) > 0.9
