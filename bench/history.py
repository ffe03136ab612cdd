"""What it costs to ask millions of stored outcomes, and to draw a chart of three months of five hundred domains.

Outcomes of 30 days are made by DuckDB, written as the sealer writes them and listed. Then an experiment is counted anew
from all of them (by arm and bucket, moments of five measures and their histograms), beside DuckDB without anything of
ours: the same figures from the same files by one hand-written query, and its moments alone. Last, hours and days of one
domain are read of roll-ups that 500 domains have for 90 days.

    python bench/history.py [--quick] [--outcomes 10000000] [--rounds 3]

Figures are the processor's seconds, all threads, and the largest memory of the process. The goals are 1.2 times bare
DuckDB, 1 GB, and 50 ms for a chart.
"""

import resource
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

_DOMAINS, _DAYS, _VERSIONS = 500, 90, 2


def main() -> None:
    """Measure and print."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from bench.store_data import arguments, cpu, interleaved, show
    from bench.store_filling import EXPERIMENT, MEASURES, bare, fill_rollups, fill_segments

    from vedette.lake.history import connect
    from vedette.lake.outcomes import Lake

    parser = arguments(__doc__)
    parser.add_argument("--outcomes", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    total, days, rounds = (30_000, 3, 1) if options.quick else (options.outcomes, 30, options.rounds)
    domains = 5 if options.quick else _DOMAINS
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(f"sqlite:///{folder}/outcomes.db")
        lake.migrate()
        spent = cpu(lambda: fill_segments(lake, total, days))
        files = sorted(Path(folder, "outcomes.segments").glob("*.parquet"))
        size = sum(path.stat().st_size for path in files)
        print(f"{total:,} outcomes in {len(files)} segments, {size / total:.1f} bytes each ({spent:.0f} s to make)\n")

        def asked() -> float:
            return cpu(lambda: lake.recounted("payments", EXPERIMENT))

        def by_hand(*, histograms: bool) -> float:
            with connect() as engine:
                return cpu(lambda: bare(engine, files, histograms=histograms))

        works = (
            ("bare DuckDB, moments", lambda: by_hand(histograms=False)),
            ("bare DuckDB, moments and histograms", lambda: by_hand(histograms=True)),
            ("lake, moments and histograms", asked),
        )
        found = interleaved(rounds, works)
        show(found, f"s of CPU, {len(MEASURES)} measures")
        ratio = min(found["lake, moments and histograms"]) / min(found["bare DuckDB, moments and histograms"])
        print(f"\nlake / bare DuckDB for the same figures: {ratio:.2f}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"largest memory so far: {peak:,.0f} MiB\n")

        end = fill_rollups(lake, domains, _DAYS, _VERSIONS)
        began = end - timedelta(days=_DAYS)

        def charted(step: str) -> float:
            begin = time.perf_counter()
            getattr(lake, step)("domain-1", began, end)
            return (time.perf_counter() - begin) * 1e3

        print(f"roll-ups of {domains} domains, {_DAYS} days, {_VERSIONS} versions, 5 measures; a chart of one domain:")
        show(
            interleaved(max(rounds, 7), (("by hour", lambda: charted("hours")), ("by day", lambda: charted("days")))),
            "ms by the clock",
        )
        lake.close()


if __name__ == "__main__":
    main()
