"""The docs say what the code does: pages drawn from it are current, links lead somewhere, the tutorial runs."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.reference import FOLDER, PAGES

from vedette.kernel.documents import KINDS, read_documents

ROOT = Path(__file__).parent.parent.parent
PROSE = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_pages_drawn_from_the_code_are_current(name):
    """Reason codes, states, metrics and settings are documented as the code has them."""
    assert (FOLDER / name).read_text() == PAGES[name](), "run: python -m scripts.reference"


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Every relative link of the docs leads to a file that is there."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_can_be_found():
    """Every page under docs is linked from the index."""
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/*/*.md")}
    assert pages - linked == set()


def test_readme_fits_on_two_screens():
    """The README is short, names the two commands and shows a picture."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 90
    assert "make demo" in text
    assert "make test" in text
    assert "![" in text


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_valid(path):
    """Every example file is read without complaint."""
    documents = read_documents(path.read_text(), path.name)
    assert documents
    assert {document.kind for document in documents} <= set(KINDS)


def test_commands_of_readme_and_guides_run(tmp_path):
    """Every vedette command that README and guides show does what it says, in the order of the README."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    pages = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
    blocks = [text for page in pages for language, text in BLOCK.findall(page.read_text()) if not language]
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("vedette ") and "serve" not in line and "watch" not in line]
    assert len(commands) >= 4
    environment = {**os.environ, "VEDETTE_ACTOR": "ada", "VEDETTE_DATA": str(tmp_path / "data")}
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_tutorial_runs_as_written(tmp_path):
    """Whoever types what the first tutorial says gets a promoted version and a sound audit log."""
    free = {"8700": "18700", "8701": "18701"}
    script = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for language, text in BLOCK.findall((ROOT / "docs" / "tutorials" / "first-rollout.md").read_text()):
        if not language:
            continue  # what is installed already
        body = text
        for port, other in free.items():
            body = body.replace(port, other)
        if language == "sh":
            script.append(body.replace("vedette serve", "vedette serve --port 18700 --gateway-port 18701"))
        else:
            name = body.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(body)
            script += [f"python {name}"] if name == "train.py" else []
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "VEDETTE_ACTOR": "ada"}
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = done.stdout + done.stderr + (tmp_path / "serve.log").read_text()
    assert done.returncode == 0, said
    assert "promoted" in done.stdout, said
    assert "sound" in done.stdout, said
