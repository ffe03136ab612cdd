"""`from vedette import stats`: every name is there, says what it promises, and costs nothing before it is used."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

stats: Any = importlib.import_module("vedette.stats")  # with all it has, not what its stub tells of it
NAMES = [name for names in stats._NAMES.values() for name in names.split()]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_says_what_it_promises(name):
    """A public name is what its module defines under it; functions and classes begin with their promise."""
    found = getattr(stats, name)
    module = importlib.import_module(f"vedette.stats.{stats._PLACES[name]}")
    assert found is getattr(module, name)
    if inspect.isfunction(found) or inspect.isclass(found):
        assert found.__module__ == module.__name__
        assert inspect.getdoc(found)


def test_no_name_means_two_things():
    """No name is listed twice, is that of a module, or is defined by a second module of the room."""
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) & stats._MODULES == set()
    for module in stats._MODULES:
        there = vars(importlib.import_module(f"vedette.stats.{module}"))
        own = {name for name, it in there.items() if getattr(it, "__module__", "") == f"vedette.stats.{module}"}
        assert {name for name in own & set(NAMES) if stats._PLACES[name] != module} == set()


def test_every_module_is_a_namespace():
    """Every module can be reached by its name, and completion names it."""
    assert all(isinstance(getattr(stats, module), ModuleType) for module in stats._MODULES)
    assert set(dir(stats)) == {*NAMES, *stats._MODULES}
    assert stats.proportions.difference is not stats.rates.difference
    with pytest.raises(AttributeError, match="no attribute 'median_of_medians'"):
        _ = stats.median_of_medians


def test_what_tools_read_is_what_is_there():
    """The stub for type checkers names exactly the names there are."""
    stub = Path(stats.__file__).with_suffix(".pyi").read_text("utf-8")
    said = re.findall(r"^from vedette\.stats\.(\w+) import (\w+) as \2$", stub, re.MULTILINE)
    assert {name: module for module, name in said} == stats._PLACES


def test_nothing_is_imported_before_it_is_used():
    """Importing the room imports no numpy and no scipy."""
    asked = "import sys, vedette.stats; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
