"""Rounds of measurement, all targets in turn, and the table of what they come to beside the goals."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from bench.gateway_parts.load import Address, latencies, saturate
from bench.gateway_parts.peers import PEERS
from bench.gateway_parts.processes import on_cpu, resident, urgent
from bench.gateway_parts.targets import Backend, Starter, Target, nginx, upstream, vedette

SLOW = {"litellm"}
"""Targets of a hundred requests a second: latency is measured at a tenth of the rate, and load lasts longer."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    rounds: int = 5
    seconds: float = 2.0
    connections: int = 16
    peers: tuple[str, ...] = tuple(PEERS)
    latency_seconds: float = 4.0


@dataclass
class Figures:
    """What was seen of one target, a value a round: microseconds of CPU an answer, of latency, and answers a second."""

    whole: list[float] = field(default_factory=list)
    stream: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)  # of those who work for it, an answer
    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: float = 0.0  # MB, after the load
    failure: str = ""


@contextlib.contextmanager
def _stage(plan: Plan) -> Iterator[tuple[Path, Backend, dict[str, Target]]]:
    """Start the backend and every target; one that does not start is left out, loudly."""
    starters: dict[str, Starter] = {"nginx": nginx, "vedette": vedette()} | {name: PEERS[name] for name in plan.peers}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vedette-bench-")))
        backend = stack.enter_context(upstream(folder))
        targets: dict[str, Target] = {}
        for name, start in starters.items():
            print(f"· starting {name}", flush=True)
            try:
                targets[name] = stack.enter_context(start(folder, backend.port))
            except (OSError, TimeoutError, subprocess.CalledProcessError) as error:
                print(f"! {name} does not start and is left out: {error}", flush=True)
        yield folder, backend, targets


def measure(plan: Plan) -> dict[str, Figures]:
    """Measure every target, and the backend alone as ``direct``."""
    with _stage(plan) as (folder, backend, targets):
        figures = {name: Figures() for name in ("direct", *targets)}
        for target in targets.values():
            for stream in (False, True):
                _try(Figures(), partial(_warm_up, target, folder, stream=stream))
        for number in range(plan.rounds):
            print(f"· round {number + 1} of {plan.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
            for name, target in targets.items():
                for stream in (False, True):
                    patient = replace(plan, seconds=5 * plan.seconds) if name in SLOW else plan
                    _cost(figures[name], target, folder, patient, stream=stream)
            _latency(figures["direct"], Target(Address(backend.port), ()), backend, plan, 100)
            for name, target in targets.items():
                _latency(figures[name], target, backend, plan, 10 if name in SLOW else 100)
        for name, target in targets.items():
            figures[name].memory = resident(target.pids)
        return figures


def _warm_up(target: Target, folder: Path, *, stream: bool) -> None:
    saturate(target.address, folder, stream=stream, connections=4, seconds=1)


def _try(figures: Figures, work: Callable[[], object]) -> None:
    try:
        work()
    except (RuntimeError, OSError) as error:
        figures.failure = str(error).splitlines()[0]


def _cost(figures: Figures, target: Target, folder: Path, plan: Plan, *, stream: bool) -> None:
    def work() -> None:
        before, beside = on_cpu(target.pids), on_cpu(target.others)
        answers, took = saturate(
            target.address, folder, stream=stream, connections=plan.connections, seconds=plan.seconds
        )
        time.sleep(0.1)
        spent = (on_cpu(target.pids) - before) / answers / 1000
        (figures.stream if stream else figures.whole).append(spent)
        if not stream:
            figures.rate.append(answers / took)
            figures.beside.append((on_cpu(target.others) - beside) / answers / 1000)

    _try(figures, work)


def _latency(figures: Figures, target: Target, backend: Backend, plan: Plan, rate: float) -> None:
    def work() -> None:
        with urgent((os.getpid(), backend.pid, *target.pids)):
            p50, p99 = latencies(target.address, rate=rate, seconds=plan.latency_seconds)
        figures.p50.append(p50)
        figures.p99.append(p99)

    _try(figures, work)


@dataclass(frozen=True)
class Goal:
    """What vedette's figure may be at most, as a multiple of another's."""

    what: str
    figure: str
    of: str
    at_most: float


GOALS = (
    Goal("CPU a JSON request / nginx", "whole", "nginx", 2.0),
    Goal("CPU a JSON request / Envoy", "whole", "envoy", 0.75),
    Goal("CPU a JSON request / TensorZero", "whole", "tensorzero", 1 / 5),
    Goal("CPU a JSON request / LiteLLM", "whole", "litellm", 1 / 200),
    Goal("CPU a stream of 35 events / nginx", "stream", "nginx", 1.3),
    Goal("CPU a stream of 35 events / TensorZero", "stream", "tensorzero", 1 / 10),
    Goal("added median latency / nginx", "p50", "nginx", 2.5),
)


def ratios(figures: Mapping[str, Figures], goal: Goal) -> list[float]:
    """Give a goal's ratio in each round; empty where one of the two was not measured."""
    if goal.of not in figures:
        return []
    ours, theirs = (getattr(figures[name], goal.figure) for name in ("vedette", goal.of))
    direct = figures["direct"].p50 if goal.figure == "p50" else [0.0] * len(ours)
    return [
        (our - base) / (their - base) for our, their, base in zip(ours, theirs, direct, strict=False) if their > base
    ]


def table(figures: Mapping[str, Figures]) -> str:
    """Write what was seen, medians over the rounds, and the goals beside it."""
    head = f"{'':12}{'JSON':>9}{'stream':>9}{'beside':>9}{'answers':>10}{'p50':>8}{'p99':>9}{'memory':>9}"
    units = f"{'':12}{'us CPU':>9}{'us CPU':>9}{'us CPU':>9}{'a second':>10}{'us':>8}{'us':>9}{'MB':>9}"
    lines = ["", head, units]
    for name, each in figures.items():
        cells = (each.whole, each.stream, each.beside, each.rate, each.p50, each.p99)
        widths = (9, 9, 9, 10, 8, 9)
        shown = (
            f"{statistics.median(cell):{width},.1f}" if cell else f"{'-':>{width}}"
            for cell, width in zip(cells, widths, strict=True)
        )
        lines.append(f"{name:12}{''.join(shown)}{each.memory:9.0f}{'  ! ' + each.failure if each.failure else ''}")
    lines += ["", f"{'goal':44}{'at most':>9}{'median':>9}{'best':>9}{'worst':>9}"]
    for goal in GOALS:
        found = ratios(figures, goal)
        if not found:
            lines.append(f"{goal.what:44}{goal.at_most:9.4g}{'not measured':>18}")
            continue
        middle = statistics.median(found)
        mark = "" if middle <= goal.at_most else "  missed"
        lines.append(f"{goal.what:44}{goal.at_most:9.4g}{middle:9.4g}{min(found):9.4g}{max(found):9.4g}{mark}")
    memory = figures["vedette"].memory
    lines.append(f"{'memory of a worker, MB':44}{40:9}{memory:9.0f}{'' if memory <= 40 else '  missed'}")
    return "\n".join(lines)


def as_json(figures: Mapping[str, Figures]) -> str:
    """Write every figure of every round."""
    return json.dumps({name: asdict(each) for name, each in figures.items()}, indent=1)
