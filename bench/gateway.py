"""What a request costs in vedette's gateway, beside nginx and other gateways: CPU a request, latency added, memory.

    python bench/gateway.py [--rounds 5] [--peers envoy,tensorzero,litellm] [--json results.json] [--workers]

nginx and wrk come from Debian (`apt-get install nginx-light wrk`), the peers from PyPI, each into an environment of its
own under ~/.cache/vedette-bench. Everything runs on this machine, over loopback: the target alone on core 0; the load,
the model server of canned answers and, for vedette, its control plane on core 1. Targets take turns in every round.

CPU is what the kernel says the target's threads were on a core (/proc/PID/task/*/schedstat), divided by the answers;
unlike answers a second it means something on a busy machine. Goals are on its ratios, round by round, medians of them;
`best` is the round that neighbours disturbed least. A request is a chat of 1.4 KB by a new user; its answer one JSON of
1.4 KB, or a stream of 35 events at once. Latency is from the moment a request was meant to be sent, at 100 a second
(LiteLLM at 10); what the backend takes alone ("direct") is taken off for "added".

vedette has everything on: `vedette serve`, keys checked, limits on requests, tokens and concurrency, deadlines, a
rollout at 15 %, sticky assignment, usage read, figures kept, and every outcome in the journal before the answer's last
byte; "beside" is what its control plane, shipping into SQLite and all, takes meanwhile. nginx and Envoy read no bodies;
no peer records anything.

`--workers` compares one and two workers instead.
"""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Measure, print, and say by the exit code whether every goal that was measured is met."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.gateway_parts import scaling
    from bench.gateway_parts.peers import PEERS
    from bench.gateway_parts.rounds import Plan, as_json, measure, table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load, a target and round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--peers", default=",".join(PEERS), help="which, or none")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    parser.add_argument("--workers", action="store_true", help="one and two workers, beside each other")
    given = parser.parse_args()
    if given.workers:
        return scaling.compare(rounds=given.rounds, seconds=given.seconds)
    peers = tuple(name for name in given.peers.split(",") if name in PEERS)
    figures = measure(Plan(rounds=given.rounds, seconds=given.seconds, connections=given.connections, peers=peers))
    if given.json:
        given.json.write_text(as_json(figures))
    text = table(figures)
    print(text)
    return int("missed" in text)


if __name__ == "__main__":
    sys.exit(main())
