"""Help that teaches, completion, and the reference page."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from tests.cli.conftest import Stage

from vedette.cli import reference
from vedette.cli.exits import MEANINGS
from vedette.cli.main import cli
from vedette.cli.session import Session
from vedette.cli.verbs import promise

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
VERBS = dict(reference.verbs())
ASKED = """serve gateway apply doctor demo completion
domain create|domain list|domain get|domain update|domain archive|domain restore|domain delete|domain revisions
domain history|domain spending|version register|version list|version get|version install|version serving
rollout plan|rollout start
rollout list|rollout get|rollout watch|rollout pause|rollout resume|rollout promote|rollout abort|rollout retry
rollout undo|rollout set-weight|rollout explain|rollout replay|rollout analytics|stats compare|stats pairs|stats srm
stats power|audit list|audit verify
experiment plan|experiment create|experiment start|experiment ramp|experiment watch|experiment results|experiment looks
experiment stop-arm|experiment stop|experiment decide|experiment promote|experiment archive|experiment explain
experiment breakdown|experiment interactions|experiment scores|experiment list|experiment show
audit export|audit head|user invite|user list|user role|user remove|token create|token list|token revoke
key create|key list|key update|key revoke|outcomes import|outcomes list|outcomes erase"""


def test_every_verb_there_should_be_is_there():
    """The verbs the product promises are the verbs there are."""
    first, rest = ASKED.split("\n", 1)
    promised = {*first.split(), *rest.replace("\n", "|").split("|")}
    assert {name.removeprefix("vedette ") for name in VERBS} == promised


@pytest.mark.parametrize("name", VERBS)
def test_help_says_what_a_verb_does_with_an_example(name):
    """Each verb's help begins with what it does, with an example of itself and every option's meaning."""
    result = CliRunner().invoke(cli, [*name.split()[1:], "--help"], prog_name="vedette")
    assert result.exit_code == 0
    assert promise(VERBS[name]).endswith(".")
    examples = result.stdout.split("Examples:\n")[1]
    assert name in examples
    assert all(param.help for param in VERBS[name].params)


def test_the_first_help_shows_groups_examples_and_exit_codes():
    """`vedette --help` names every group, and each exit code with its meaning."""
    shown = CliRunner().invoke(cli, ["--help"], prog_name="vedette").stdout
    assert all(command in shown for command in cli.commands)
    assert all(f"{code}  " in shown for code in MEANINGS)
    assert "Examples:" in shown


def test_the_reference_page_is_what_the_commands_say():
    """docs/reference/cli.md is rendered from the commands as they are now (`python -m vedette.cli.reference`)."""
    assert PAGE.read_text(encoding="utf-8") == reference.render()
    assert all(f"# {name}\n" in PAGE.read_text(encoding="utf-8") for name in VERBS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_emitted(shell):
    """Each shell gets a script that asks vedette."""
    result = CliRunner().invoke(cli, ["completion", shell], prog_name="vedette")
    assert result.exit_code == 0
    assert "_VEDETTE_COMPLETE" in result.stdout


def complete(stage: Stage, *words: str) -> list[str]:
    """Complete the last of some words, on the stage's data."""
    completer = ShellComplete(cli, {"obj": Session()}, "vedette", "_VEDETTE_COMPLETE")
    return [item.value for item in completer.get_completions([*stage.where, *words[:-1]], words[-1])]


def test_names_that_exist_are_completed(stage):
    """Domains, their versions, rollouts and experiments are completed; what cannot be read completes nothing."""
    stage.rolling()
    pair = ("--variant", "base", "--variant", "v2", "--metric", "errors")
    stage.run("experiment", "create", "payments", "--name", "tone", *pair)
    assert complete(stage, "experiment", "show", "") == ["tone"]
    assert complete(stage, "domain", "get", "p") == ["payments"]
    assert complete(stage, "version", "get", "payments", "v") == ["v1", "v2"]
    assert complete(stage, "rollout", "get", "") == ["payments-v2"]
    assert complete(stage, "version", "get", "nowhere", "v") == []
    assert complete(stage, "rollout", "a") == ["abort", "analytics"]


def test_a_shell_that_completes_gets_names(here):
    """The completion protocol works in a process of its own, as bash uses it."""
    here.serving()
    asked = {"_VEDETTE_COMPLETE": "bash_complete", "COMP_WORDS": "vedette domain get p", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "vedette"],
        env={**os.environ, **asked, "VEDETTE_DATA": str(here.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "plain,payments"


def test_groups_without_a_verb_teach(here):
    """A group alone shows its help and ends with 2."""
    for group in ("domain", "version", "rollout", "experiment", "audit"):
        assert "Commands:" in here.run(group, code=2).stdout
    assert isinstance(cli.commands["domain"], click.Group)
