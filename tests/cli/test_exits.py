"""Exit codes by one table, errors in one line."""

import inspect
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import vedette
from vedette.cli import exits
from vedette.cli.main import cli
from vedette.kernel import errors
from vedette.kernel.errors import InvalidDocument, LeaseLost, StaleRevision, VedetteError

CODES = {
    "InvalidInput": 2,
    "InvalidDocument": 2,
    "NotFound": 3,
    "Conflict": 4,
    "StaleRevision": 4,
    "Refused": 5,
    "Denied": 6,
    "Unavailable": 7,
    "Corrupt": 8,
    "LeaseLost": 9,
    "VedetteError": 1,
}


@pytest.mark.parametrize(
    ("name", "cls"), inspect.getmembers(errors, lambda it: inspect.isclass(it) and issubclass(it, VedetteError))
)
def test_every_error_of_the_kernel_has_its_exit_code(name, cls):
    """Each error of the tree ends with the code of the table, and each code has a meaning in the help."""
    made = cls("wrong", source="a.yaml", line=1, column=2) if issubclass(cls, InvalidDocument) else cls("wrong")
    assert exits.exit_code(made) == CODES[name]
    assert CODES[name] in exits.MEANINGS


def test_a_subclass_ends_like_its_ancestor_and_a_stranger_unexpected():
    """The nearest class of the ancestry decides; errors of others are unexpected."""
    assert exits.exit_code(type("Fenced", (LeaseLost,), {})("x")) == 9
    assert exits.exit_code(type("Late", (StaleRevision,), {})("x")) == 4
    assert exits.exit_code(KeyError("x")) == exits.UNEXPECTED


@pytest.fixture
def failing(monkeypatch):
    """A verb that raises what the test asks for."""
    raised: list[BaseException] = []

    @click.command()
    def fail():
        raise raised[0]

    monkeypatch.setitem(cli.commands, "fail", fail)
    return raised


def test_an_error_is_one_line_on_standard_error_without_traceback(failing):
    """People see what and what to do in one line, even of a message with line breaks; --debug adds the traceback."""
    failing.append(errors.Refused("not\nnow", hint="wait"))
    result = CliRunner().invoke(cli, ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (5, "", "error: not now (wait)\n")
    assert "Traceback" in CliRunner().invoke(cli, ["--debug", "fail"]).stderr


def test_an_unexpected_error_is_no_traceback_either(failing):
    """A bug ends with 1 and one line that says how to see more; Ctrl-C ends with 130."""
    failing.append(RuntimeError("boom"))
    result = CliRunner().invoke(cli, ["fail"])
    assert result.exit_code == 1
    assert result.stderr == "error: RuntimeError: boom (that was not expected; --debug shows where)\n"
    failing[0] = KeyboardInterrupt()
    assert CliRunner().invoke(cli, ["fail"]).exit_code == exits.INTERRUPTED


@pytest.mark.parametrize("arguments", [["fly"], ["domain", "get"], ["domain", "list", "--colour"], ["--data"]])
def test_wrong_usage_ends_with_two_in_one_line(arguments):
    """Usage errors look like all others and point to the help."""
    result = CliRunner().invoke(cli, arguments, prog_name="vedette")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_the_command_of_a_user_ends_with_its_code(here):
    """`python -m vedette` in a process of its own prints its version, and ends with the table's codes."""
    where = ["--data", str(here.folder)]
    for arguments, code in ((["--version"], 0), ([*where, "domain", "get", "nowhere"], 3), (["rollout", "go"], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "vedette", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert (vedette.__version__ in done.stdout) == (code == 0)


def test_a_server_that_is_not_there_is_unavailable(here):
    """No answer ends with 7 and what to check; an address that is none with 2."""
    here.where = ("--server", "http://127.0.0.1:9")
    assert "does not answer" in here.run("domain", "list", code=7).stderr
    here.where = ("--server", "127.0.0.1:9")
    assert "write http://host:port" in here.run("domain", "list", code=2).stderr
    here.where = ("--data", "mysql://x")
    assert "postgresql://" in here.run("domain", "list", code=2).stderr
    here.where = ("--data", "x", "--server", "http://y")
    here.run("domain", "list", code=2)
