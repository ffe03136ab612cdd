"""What it costs to ask, in process, which version or arm a user has: vedette beside feature-flag SDKs.

    python bench/assign.py [--rounds 7] [--calls 20000]

Peers are installed from PyPI, each into an environment of its own under ~/.cache/vedette-bench, and configured from
memory: none speaks with a server, logs or counts. All have the same job: users of one country, 85 to 15 between two
variations, sticky by user; vedette's rollout is the same split without the country. Figures are nanoseconds of the
calling thread's CPU a call, medians over rounds in which everyone takes turns.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

GOAL = 500.0
"""Nanoseconds vedette may take."""

_PARTS = Path(__file__).resolve().parent / "assign_parts"
_PEERS = {
    "Eppo": ("eppo_peer.py", "eppo-server-sdk"),
    "LaunchDarkly": ("launchdarkly_peer.py", "launchdarkly-server-sdk"),
    "GrowthBook": ("growthbook_peer.py", "growthbook"),
    "Unleash": ("unleash_peer.py", "UnleashClient"),
}


class Measured:
    """A process that times itself when asked to."""

    def __init__(self, name: str, command: Sequence[object]) -> None:
        self.name = name
        self.nanoseconds: list[float] = []
        path = os.pathsep.join([str(_PARTS.parents[1]), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(  # noqa: S603 - the programs being compared
            [*map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.split = self._hear().removeprefix("ready ")

    def time(self, calls: int) -> None:
        """Time one round."""
        if self._process.stdin:
            self._process.stdin.write(f"{calls}\n")
            self._process.stdin.flush()
        self.nanoseconds.append(float(self._hear()))

    def _hear(self) -> str:
        line = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self.name} does not run here")
        return line

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def main() -> int:
    """Measure, print, and say by the exit code whether the goal is met."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.gateway_parts.targets import environment_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20_000)
    given = parser.parse_args()
    commands: dict[str, Sequence[object]] = {
        f"vedette, {kind}": (sys.executable, _PARTS / "ours.py", kind) for kind in ("rollout", "experiment")
    }
    for name, (script, package) in _PEERS.items():
        try:
            commands[name] = (environment_of(name.lower(), package) / "python", _PARTS / script)
        except subprocess.CalledProcessError as error:
            print(f"! {name} cannot be installed: {error}")
    with contextlib.ExitStack() as stack:
        measured: list[Measured] = []
        for name, command in commands.items():
            try:
                measured.append(Measured(name, command))
                stack.callback(measured[-1].end)
            except RuntimeError as error:
                print(f"! {error}, and is left out")
        for _ in range(given.rounds):
            for each in measured:
                each.time(given.calls)
    floor = statistics.median(measured[0].nanoseconds)
    print(f"{'':22}{'ns a call':>10}{'best':>9}{'worst':>9}{'ratio':>8}   split of 10,000 users")
    for each in measured:
        middle = statistics.median(each.nanoseconds)
        print(
            f"{each.name:22}{middle:10,.0f}{min(each.nanoseconds):9,.0f}{max(each.nanoseconds):9,.0f}"
            f"{middle / floor:8.1f}   {each.split}"
        )
    missed = [each.name for each in measured[:2] if statistics.median(each.nanoseconds) > GOAL]
    print(f"goal: at most {GOAL:.0f} ns; {'missed by ' + ', '.join(missed) if missed else 'met'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
