"""The benchmarks of the outcome store run, and say what they are for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SAID = {
    "record": (
        "journal, a gateway's records",
        "journal, outcomes, checked",
        "killed behind 1000 appends: the next process finds 1000",
    ),
    "ingest": ("lake on SQLite, 5,000 a batch", "sealing:"),
    "decision": ("10,000 outcomes of 1 min shipped", "canary requests"),
    "history": ("30,000 outcomes in 3 segments", "lake / bare DuckDB for the same figures", "by hour"),
}


@pytest.mark.parametrize("name", _SAID)
def test_a_quick_run_says_every_figure(name, tmp_path):
    """With small numbers each benchmark comes to its end, and leaves nothing behind."""
    ran = subprocess.run(
        [sys.executable, _ROOT / "bench" / f"{name}.py", "--quick"],
        check=False,
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    assert all(said in ran.stdout for said in _SAID[name])
    assert list(tmp_path.iterdir()) == []
