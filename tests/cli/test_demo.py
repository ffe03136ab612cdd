"""``vedette demo`` starts the tour, and says what it needs."""

import sys
from types import ModuleType

import pytest
from click.testing import CliRunner

from vedette.cli.main import cli


@pytest.fixture
def tour(monkeypatch):
    """A tour that ends as it is told, and remembers how it was asked."""
    asked = {}

    def main(**given):
        asked.update(given)
        return 1

    module = ModuleType("vedette.demo.run")
    monkeypatch.setattr(module, "main", main, raising=False)
    monkeypatch.setitem(sys.modules, "vedette.demo.run", module)
    return asked


def test_the_tour_is_asked_as_the_user_asked_and_its_end_is_the_command_s(tour, tmp_path):
    """Each flag reaches the tour, and the exit code is what the tour gave."""
    flags = ["--serve", "--seed", "7", "--rate", "50", "--plain", "--data", str(tmp_path)]
    assert CliRunner().invoke(cli, ["demo", *flags]).exit_code == 1
    assert tour == {"serve": True, "seed": 7, "rate": 50.0, "plain": True, "data": tmp_path}


def test_a_missing_extra_is_named(monkeypatch):
    """Without the demo's packages it ends with 7 and says what to install; a missing part of vedette is a bug: 1."""

    class Missing:
        name = "sklearn"

        def find_spec(self, fullname, *_):
            if fullname == "vedette.demo.run":
                raise ModuleNotFoundError(f"No module named {self.name!r}", name=self.name)

    missing = Missing()
    monkeypatch.delitem(sys.modules, "vedette.demo.run", raising=False)
    monkeypatch.setattr(sys, "meta_path", [missing, *sys.meta_path])
    result = CliRunner().invoke(cli, ["demo"])
    assert (result.exit_code, result.stderr) == (7, "error: the demo needs sklearn (pip install 'vedette[demo]')\n")
    missing.name = "vedette.demo.other"
    assert CliRunner().invoke(cli, ["demo"]).exit_code == 1
