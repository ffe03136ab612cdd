"""The demo decides by itself, says so, and its exit code tells whether it decided right."""

import io
import re

import pytest
from rich.console import Console

from vedette.control.plane import open_plane
from vedette.demo.data import load_domains
from vedette.demo.run import main, perform
from vedette.demo.scenario import prepare
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.records import evolve
from vedette.rollouts.machine import Phase

WORSE, BETTER = "v2-misjoined-labels", "v2-curved"
RATE = 120.0


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The domain of digits, trained."""
    domain = next(domain for domain in load_domains() if domain.id == "digits")
    return prepare(domain, tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def short_bakes(monkeypatch):
    """Steps that wait for samples and hardly for the clock."""
    monkeypatch.setattr("vedette.demo.scenario.BAKE", 0.5)


def screen(*, terminal: bool) -> tuple[Console, io.StringIO]:
    """A console, and the memory it writes to."""
    paper = io.StringIO()
    return Console(file=paper, force_terminal=terminal, width=150, height=24, highlight=False), paper


def test_the_worse_is_taken_back_and_the_better_promoted(digits, tmp_path):
    """Left alone on real traffic, the engine takes the worse candidate back, promotes the better, and 0 is returned."""
    console, paper = screen(terminal=True)
    assert perform(console, [digits], tmp_path, rate=RATE, plain=False) == 0
    said = paper.getvalue()
    assert "all 2 decisions were the right ones" in said
    assert "0 requests failed" in said
    with open_plane(tmp_path) as plane:
        newest, oldest = plane.canary.page(domain="digits").items
        assert (oldest.spec.version, oldest.status.phase) == (WORSE, Phase.ABORTED)
        assert (newest.spec.version, newest.status.phase) == (BETTER, Phase.PROMOTED)
        assert oldest.status.because.startswith("accuracy is worse")
        assert plane.versions.aliases("digits")["stable"] == BETTER
        assert plane.governance.verify() == ()


def test_a_wrong_decision_is_an_error(digits, tmp_path):
    """Were the bad candidate better in truth, taking it back would be wrong: 1 is returned, and which it was."""
    wronged = evolve(digits, candidates=(WORSE,), errors={**digits.errors, WORSE: 0.0})
    console, paper = screen(terminal=False)
    assert perform(console, [wronged], tmp_path, rate=RATE) == 1
    said = paper.getvalue()
    assert f"WRONG  digits · {WORSE}  taken back by itself" in said
    assert "it should have been promoted" in said
    assert f"1 of 1 decisions were wrong: digits/{WORSE}" in said


def test_what_is_not_decided_in_time_is_an_error(digits, tmp_path):
    """At the deadline the demo ends with 1 and names what was not decided."""
    console, paper = screen(terminal=False)
    assert perform(console, [digits], tmp_path, rate=RATE, deadline=0.0) == 1
    said = paper.getvalue()
    assert re.search(rf"NOT DECIDED \(its rollout never began\).*\n(.*\n)*.*digits/{WORSE}, digits/{BETTER}", said)


def test_a_rate_of_nothing_is_refused():
    """No queries, no demo."""
    with pytest.raises(InvalidInput, match="above 0"):
        main(rate=0.0)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    """The demo writes into nobody's data."""
    (tmp_path / "control.db").touch()
    with pytest.raises(Refused, match="not empty"):
        main(data=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["control.db"]
