"""How often each rule errs when it is looked at again and again, how soon it finds what is there, what intervals hold.

A. Two equal arms, a look after every pair of users: false claims, on the absolute and the relative scale.
B. An effect that a fixed test finds with power 0.8: power by the planned size and by twice that, and mean stop.
C. Four arms, 5000 units each: how often a winner is declared, how much of it wrongly, and how soon.
D. Intervals of each kind: how often they hold the truth; and live traffic under a bandit, as levels drift.

vedette's own code beside the rules its peers publish: GrowthBook, seqabpy (Eppo, Netflix, Statsig), TensorZero, spotify
confidence, tea-tasting, and the classical designs.

    python bench/validity.py [--quick] [--part A] [--seed 1] [--json results.json]

A figure is a share or a mean over runs and, in brackets, its standard error in thousandths; computed ones have none.
"!" marks what misses its bar by more than three standard errors; the bars missed are listed at the end.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the parts; as a script, `bench` is found beside this file's directory."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.validity_parts.run import run

    run()


if __name__ == "__main__":
    main()
