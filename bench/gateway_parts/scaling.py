"""Do two workers do twice the work of one?

The load and the backend need a core as well, so on two cores two workers cannot each have a whole one. Where control
groups can be made, each worker is therefore given the same small part of a core, and so much is left for everything
else that the workers are the bottleneck: answers a second then show what a second worker adds. Where they cannot, CPU
per answer is compared, which shows what sharing the work costs.
"""

import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.gateway_parts.load import saturate
from bench.gateway_parts.processes import on_cpu
from bench.gateway_parts.targets import Target, upstream, vedette

_PART = 0.25  # of a core, for each worker
_PERIOD = 20_000  # microseconds
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def limited(pids: Sequence[int]) -> Iterator[bool]:
    """Give each process its part of a core; False where this machine does not let us."""
    groups: list[Path] = []
    root = _V1 if (_V1 / "cpu.cfs_quota_us").exists() or (_V1 / "tasks").exists() else _V2
    try:
        for pid in pids:
            group = root / f"vedette-bench-{pid}"
            group.mkdir()
            groups.append(group)
            if root == _V1:
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
                (group / "cpu.cfs_quota_us").write_text(str(int(_PERIOD * _PART)))
            else:
                (group / "cpu.max").write_text(f"{int(_PERIOD * _PART)} {_PERIOD}")
            (group / "cgroup.procs").write_text(str(pid))
        good = True
    except OSError as error:
        print(f"! no control groups here ({error}): workers are not limited")
        good = False
    try:
        yield good
    finally:
        for group in groups:
            with contextlib.suppress(OSError):
                (root / "cgroup.procs").write_text(str(group.name.rpartition("-")[2]))
            with contextlib.suppress(OSError):
                group.rmdir()


def compare(*, rounds: int, seconds: float) -> int:
    """Measure one and two workers in turn; gives 1 when two are less than 1.8 times one."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="vedette-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        backend = stack.enter_context(upstream(folder))
        targets: dict[int, Target] = {}
        for workers in (1, 2):
            (folder / str(workers)).mkdir()
            targets[workers] = stack.enter_context(vedette(workers, (0, 1))(folder / str(workers), backend.port))
            stack.enter_context(limited(targets[workers].pids))
        for number in range(rounds):
            for workers, target in targets.items():
                before = [on_cpu([pid]) for pid in target.pids]
                answers, took = saturate(target.address, folder, stream=False, connections=32, seconds=seconds)
                spent = [on_cpu([pid]) - first for pid, first in zip(target.pids, before, strict=True)]
                rates[workers].append(answers / took)
                costs[workers].append(sum(spent) / answers / 1000)
                shares = ", ".join(f"{each / sum(spent):.0%}" for each in spent)
                print(
                    f"· round {number + 1}, {workers} worker(s): {answers / took:8,.0f} answers a second, "
                    f"{costs[workers][-1]:6.1f} us CPU each, work shared {shares}, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    cost = statistics.median(two / one for one, two in zip(costs[1], costs[2], strict=True))
    print(f"\ntwo workers give {ratio:.2f} x the answers of one (goal: 1.8), at {cost:.2f} x the CPU an answer")
    return int(ratio < 1.8)
