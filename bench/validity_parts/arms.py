"""C: how often one of four arms is called the only best one, rightly and wrongly, and how soon."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import lru_cache, partial

import numpy as np
from bench.validity_parts.figures import ALPHA, D80, PLANNED, Bar, Figure, Report, average, in_chunks, joined, share
from bench.validity_parts.peeking import TUNE_AT, anytime, default_design
from bench.validity_rules import several
from bench.validity_rules.pair import Array
from bench.validity_rules.planned import sizes
from bench.validity_rules.several import Declared, Several

from vedette.experiments.analysis import design_of
from vedette.stats.contrasts import FixedRule, SequenceRule
from vedette.stats.contrasts import Rule as ProductRule
from vedette.stats.group_sequential import Design, equally_spaced
from vedette.stats.look_rule import LookRule
from vedette.stats.spending import Family

CHUNK = 250
EVERY, FIRST = 50, 100
SCENARIOS: dict[str, tuple[float, ...]] = {
    "all equal": (0.0, 0.0, 0.0, 0.0),
    "best by d80": (D80, 0.0, 0.0, 0.0),
    "best by 1.5 d80": (1.5 * D80, 0.0, 0.0, 0.0),
    "two tied best": (D80, D80, 0.0, 0.0),
}
DESIGNS: dict[str, tuple[Design, tuple[int, ...]]] = {
    "power, rho 2": (Design(family=Family.POWER, parameter=2.0), (10,)),
    "power, rho 4": (Design(family=Family.POWER, parameter=4.0), (10,)),
    "Lan-DeMets O'Brien-Fleming": (Design(family=Family.LAN_DEMETS_OBRIEN_FLEMING), (5, 20)),
    "Hwang-Shih-DeCani -5": (Design(family=Family.HWANG_SHIH_DECANI, parameter=-5.0), (5, 10, 20)),
    "Hwang-Shih-DeCani -8": (Design(family=Family.HWANG_SHIH_DECANI, parameter=-8.0), (5, 20)),
}


def look_rules(design: Design, looks: int) -> Callable[[int], ProductRule]:
    """Give the rule of each of equally spaced looks."""
    fractions = equally_spaced(looks)
    return lambda look: LookRule(design=design, information=fractions[: look + 1], final=look + 1 == looks)


@lru_cache(maxsize=1)
def winners() -> dict[str, Callable[[Several], tuple[Declared, Array]]]:
    """Rules that declare a winner; each gives what it declares, and the sizes of its looks."""

    def planned(design: Design, looks: int, seen: Several) -> tuple[Declared, Array]:
        at = sizes(looks, PLANNED)
        return several.ours(seen.at(at), look_rules(design, looks)), at

    def whenever(rule: Callable[[Several], Declared], seen: Several) -> tuple[Declared, Array]:
        return rule(seen), seen.n

    def fixed(seen: Several) -> tuple[Declared, Array]:
        at = sizes(1, PLANNED)
        return several.ours(seen.at(at), lambda _: FixedRule(alpha=ALPHA)), at

    def five(rule: Callable[[Several], Declared], seen: Several) -> tuple[Declared, Array]:
        at = sizes(5, PLANNED)
        return rule(seen.at(at)), at

    default = default_design()
    found: dict[str, Callable[[Several], tuple[Declared, Array]]] = {
        "vedette Fixed": fixed,
        "vedette GroupSequential, default": partial(planned, design_of(default, ALPHA), default.looks),
        "vedette AnytimeValid, tune_at = N": partial(whenever, partial(several.ours, rules=lambda _: anytime())),
        "vedette AnytimeValid, tune_at = N / 2": partial(
            whenever, partial(several.ours, rules=lambda _: SequenceRule(alpha=ALPHA, tuning=TUNE_AT / 2.0))
        ),
        "P(best) > 95 % at each of 99 looks": partial(whenever, several.probability_best),
        "TensorZero": partial(whenever, several.likelihood_ratio),
        "asymptotic CS, leader vs all, .05": partial(whenever, partial(several.leader_by_sequence, alpha=0.05)),
        "asymptotic CS, leader vs all, .025": partial(whenever, partial(several.leader_by_sequence, alpha=0.025)),
        "O'Brien-Fleming, 5 looks, leader vs all, .05": partial(
            five, partial(several.leader_by_obrien_fleming, alpha=0.05)
        ),
        "O'Brien-Fleming, 5 looks, leader vs all, .025": partial(
            five, partial(several.leader_by_obrien_fleming, alpha=0.025)
        ),
    }
    for name, (design, counts) in DESIGNS.items():
        found |= {f"{name}, {looks} looks": partial(planned, design, looks) for looks in counts}
    return found


def chunk(means: tuple[float, ...], runs: int, seed: int) -> dict[str, Array]:
    """By rule, the arm each run declares and the size it does so at (the planned one without); for others, if any."""
    draw = np.random.default_rng(seed)
    seen = several.simulated(draw, np.asarray(means), runs, every=EVERY, first=FIRST, last=PLANNED)
    found = {}
    for name, rule in winners().items():
        (arm, look), at = rule(seen)
        stop = np.where(arm < 0, float(PLANNED), at[np.minimum(look, at.size - 1).astype(np.int64)])
        found[name] = np.stack([arm.astype(np.float64), stop / PLANNED])
    levels = several.fixed_levels(len(means) - 1)
    last = seen.at(np.array([PLANNED]))
    found |= {f"fixed, 3 vs control, {name}": several.any_fixed(last, level) for name, level in levels.items()}
    found["every look, 3 vs control, unadjusted"] = several.any_fixed(seen, levels["unadjusted"])
    for corrected in (False, True):
        name = f"GrowthBook sequential, 3 vs control, {'Bonferroni' if corrected else 'unadjusted'}"
        found[name] = several.any_sequential(seen, corrected=corrected)
    return found


def run(report: Report, *, runs: int, seed: int, pool: Executor) -> None:
    """Print who declares a winner, how much of it wrongly, and when."""
    declared: dict[str, dict[str, Figure]] = {}
    anything: dict[str, dict[str, Figure]] = {}
    columns: list[str] = []
    for place, (scenario, means) in enumerate(SCENARIOS.items()):
        begun = time.perf_counter()
        found = in_chunks(partial(chunk, means), runs, CHUNK, (seed, 3, place), pool)
        print(f"C: {scenario}, {runs} runs, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        unique = sum(mean == max(means) for mean in means) == 1
        columns += [scenario, *([f"wrong, {scenario[8:]}", f"stop, {scenario[8:]}"] if unique else [])]
        for name, parts in found.items():
            if parts[0].ndim == 1:
                anything.setdefault(name, {})[scenario] = share(joined(parts))
                continue
            arm, stop = np.concatenate(parts, axis=1)
            row = declared.setdefault(name, {})
            row[scenario] = share(arm >= 0)
            if unique:
                row[f"wrong, {scenario[8:]}"], row[f"stop, {scenario[8:]}"] = share(arm > 0), average(stop)
    bars: dict[tuple[str, str], Bar] = {}
    for name in declared:
        if name.startswith("vedette"):
            bars |= {(name, scenario): Bar("most", ALPHA) for scenario in ("all equal", "two tied best")}
    name = "vedette Fixed"  # looks on the way cost a little power for stopping sooner
    bars |= {(name, "best by d80"): Bar("least", 0.60), (name, "best by 1.5 d80"): Bar("least", 0.96)}
    report.table(
        f"C. Four arms, N = {PLANNED} each: a winner is declared, wrongly, and mean stop / N (error in thousandths)",
        columns,
        declared,
        bars,
    )
    report.table("C. The same: any arm is called different from the first", list(SCENARIOS), anything)
