"""The benchmark prints its table and writes the same figures as JSON."""

import json

from bench.comparison import run


def test_a_small_run_prints_a_row_a_rule_and_writes_every_figure(tmp_path, capsys):
    """One block, two rules: each scenario has its share of stops, the median minute and the bad requests served."""
    results = tmp_path / "results.json"
    runs = ["--healthy-runs", "40", "--bad-runs", "20"]
    run(["--block", "100 requests", "--rule", "style", *runs, "--json", str(results)])
    printed = capsys.readouterr().out
    assert "Argo Rollouts style" in printed
    assert "Flagger style" in printed
    figures = json.loads(results.read_text())
    assert {(cell["scenario"], cell["runs"]) for cell in figures} == {("A/A", 40), ("x4", 20), ("x10", 20)}
    assert all(0.0 <= cell["stopped"] <= 1.0 and cell["bad_served"] >= 0.0 for cell in figures)
    assert {cell["stopped"] for cell in figures if cell["rule"].startswith("Flagger")} == {1.0}
