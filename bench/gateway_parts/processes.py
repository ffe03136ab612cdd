"""Processes under measurement: pinned to a core, their CPU and memory read from /proc."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

MEASURED, BESIDE = 0, 1
"""The core of what is measured, and that of everything else."""


def children(pid: int) -> list[int]:
    """Give the processes below one, at any depth."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *children(child)]
    return found


def on_cpu(pids: Iterable[int]) -> int:
    """Give the nanoseconds that the threads of processes have been on a CPU."""
    total = 0
    for pid in pids:
        for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(schedstat.read_text().split()[0])
    return total


def resident(pids: Iterable[int]) -> float:
    """Give the memory that processes hold, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def pin(pids: Iterable[int], core: int) -> None:
    """Keep every thread of processes on a core."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), {core})


@contextlib.contextmanager
def urgent(pids: Iterable[int]) -> Iterator[None]:
    """Let processes go before all others as long as the block runs, where this machine allows it."""
    tasks = [int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    _schedule(tasks, os.SCHED_FIFO, 1)
    try:
        yield
    finally:
        _schedule(tasks, os.SCHED_OTHER, 0)


def _schedule(tasks: Iterable[int], policy: int, priority: int) -> None:
    for task in tasks:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(task, policy, os.sched_param(priority))


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[object], core: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a command on a core as long as the block runs; what it says goes to ``log``. Gives its process id."""
    with log.open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - the programs being compared
            ["taskset", "-c", str(core), *map(str, command)],  # noqa: S607 - as installed
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(condition: Callable[[], object], seconds: float, log: Path) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it never held; with the end of the log.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(
                f"waited {seconds:.0f} s in vain; {log} ends:\n{log.read_text(errors='replace')[-2000:]}"
            )
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Say whether anyone listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
