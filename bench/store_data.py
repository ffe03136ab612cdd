"""Outcomes like those of a gateway, for the benchmarks of the outcome store."""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from vedette.evidence.outcome import Exposure, Outcome, OutcomeStatus
from vedette.kernel.ids import uuid7

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def outcomes(count: int, *, seed: int, domains: int = 20, began: datetime = BEGAN) -> list[Outcome]:
    """Make outcomes of one minute: two versions of each domain, sticky units, five measures, one experiment in ten."""
    draw = random.Random(seed)
    first = int(began.timestamp() * 1000)
    made = []
    for number in range(count):
        offset = 60_000 * number // max(count, 1)
        domain = draw.randrange(domains)
        version = f"domain-{domain}-{draw.randrange(2) + 1}"
        tried = domain % 10 == 0
        made.append(
            Outcome(
                id=uuid7(first + offset, draw.randbytes(10)),
                domain=f"domain-{domain}",
                at=began + timedelta(milliseconds=offset),
                assigned=version,
                served=version,
                plan_revision=0 if tried else 3,
                bucket=draw.randrange(1024),
                status=OutcomeStatus.OK,
                measures={
                    "error": float(draw.random() < 0.01),
                    "latency_ms": draw.lognormvariate(6, 0.5),
                    "ttft_ms": draw.lognormvariate(4, 0.5),
                    "tokens_in": float(draw.randrange(20, 2000)),
                    "tokens_out": float(draw.randrange(1, 500)),
                },
                exposures=(Exposure(experiment="tone", arm=draw.choice(("a", "b")), epoch=0),) if tried else (),
            )
        )
    return made


def cpu(work: Callable[[], object]) -> float:
    """Give the processor's seconds that some work takes, in all threads of this process."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def interleaved(rounds: int, works: Sequence[tuple[str, Callable[[], float]]]) -> dict[str, list[float]]:
    """Give what each of some works measured, round by round, one after the other, so that all meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name, _ in works}
    for _ in range(rounds):
        for name, work in works:
            found[name].append(work())
    return found


def show(found: dict[str, list[float]], unit: str) -> None:
    """Print the best and the middle round of each work."""
    print(f"{'':44}{'best':>10}{'median':>10}  {unit}")
    for name, figures in found.items():
        print(f"{name:44}{min(figures):10.3f}{statistics.median(figures):10.3f}")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a benchmark's arguments."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    return parser
