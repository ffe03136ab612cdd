"""How often each rule stops a healthy rollout, how soon it stops a bad one, and what users pay until then.

A ramp of 1 %, 10 % and 50 %, 20 minutes each, looked at every minute, at a base error rate of 0.5 % and alpha 5 %:
vedette's rule beside a z-test looked at again and again, Argo Rollouts, Flagger, Kayenta, and two other always-valid
rules. Then the same at low traffic, and with sticky tenants whose own error rates differ.

    python bench/rollouts.py [--quick] [--seed 1] [--json results.json]

A figure is the share of runs stopped within the hour, the median minute of those stops, and the mean number of bad
requests the canary served before the stop, or in the whole hour without one.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the comparison; as a script, `bench` is found beside this file's directory."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.comparison import run

    run()


if __name__ == "__main__":
    main()
