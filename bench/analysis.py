"""How long it takes to analyse a million users in four arms from a Parquet file, and from sufficient statistics.

A mean, a ratio and a regression-adjusted mean (CUPED), three treatments against a control: vedette beside tea-tasting,
and beside floors that only sum what the three metrics need (eleven sums an arm) and analyse nothing: plain DuckDB and
polars. Rounds are interleaved, so that a busy machine is busy for all; compare ratios, and those of processor time
where other work runs beside.

    python bench/analysis.py [--rounds 15] [--users 1000000] [--seed 1] [--json results.json]

A row is the best and the median time, and medians over rounds of its ratios to the first row of its table. The file
has nine columns, in row groups of 122,880 rows (DuckDB's own), and is made anew in a temporary directory.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the rounds; as a script, `bench` is found beside this file's directory."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.analysis_rounds import run

    run()


if __name__ == "__main__":
    main()
