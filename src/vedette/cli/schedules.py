"""A rollout's schedule on the command line: a document, flags, or flags over a document."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vedette.cli.verbs import F
from vedette.kernel.errors import InvalidInput, NotFound


def schedule_options(function: F) -> F:
    """Add the options that say how a rollout shall climb."""
    options = [
        click.option("--file", "-f", metavar="FILE", help="A Rollout document; flags change what it says. - is stdin."),
        click.option("--steps", metavar="STEPS", help="Weights, each with its bake if you like: 1%:10m,10%:1h,100%."),
        click.option("--bake", metavar="DURATION", help="How long every step is watched at least."),
        click.option("--min-samples", type=int, help="Canary requests every step serves at least."),
        click.option("--approval/--no-approval", default=None, help="A person promotes every step."),
        click.option(
            "--guard",
            "guards",
            multiple=True,
            metavar="METRIC[=TOLERANCE]",
            help="A metric that must not get worse; 0.1 tolerates 10 %. Repeatable. Default: errors",
        ),
        click.option("--alpha", type=float, help="Chance of taking back a sound version, over the whole rollout."),
        click.option("--on-regression", type=click.Choice(["abort", "pause", "notify"]), help="Default: abort"),
        click.option("--on-insufficient", type=click.Choice(["hold", "pause", "abort"]), help="Default: hold"),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def schedule(given: Mapping[str, Any], domain: str, version: str) -> dict[str, Any] | None:
    """Read the schedule the options describe, as plain data; None when they say nothing.

    Raises:
        InvalidDocument: the file does not fit; the message names line and column.
        InvalidInput: a flag does not.
    """
    fields = _from_file(given["file"], domain, version) if given["file"] else {}
    per_step = {"bake": given["bake"], "minSamples": given["min_samples"], "approval": given["approval"]}
    per_step = {name: value for name, value in per_step.items() if value is not None}
    if given["steps"]:
        fields["steps"] = [_step(part) for part in given["steps"].split(",")]
    if per_step:
        fields["steps"] = [per_step | step if given["steps"] else step | per_step for step in _steps(fields)]
    if given["guards"]:
        fields["guardrails"] = [_guard(text) for text in given["guards"]]
    for name, key in (("alpha", "alpha"), ("on_regression", "onRegression"), ("on_insufficient", "onInsufficient")):
        if given[name] is not None:
            fields[key] = given[name]
    return fields or None


def read_text(path: str) -> tuple[str, str]:
    """Read a file, or standard input for ``-``; give its text and what to call it.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no text.
    """
    try:
        return (sys.stdin.read(), "<stdin>") if path == "-" else (Path(path).read_text("utf-8"), path)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text") from error
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error


def _from_file(path: str, domain: str, version: str) -> dict[str, Any]:
    from vedette.kernel.documents import read_documents
    from vedette.rollouts.spec import RolloutSpec

    text, source = read_text(path)
    found = [document for document in read_documents(text, source) if document.kind == "Rollout"]
    if len(found) != 1:
        raise InvalidInput(f"{source} holds {len(found)} Rollout documents", hint="one is needed here")
    named = {"domain": domain, "version": version}
    for name, wanted in named.items():
        if found[0].spec.get(name, wanted) != wanted:
            raise InvalidInput(f"{source} is for {name} {found[0].spec[name]!r}, not {wanted!r}")
    found[0].build(RolloutSpec, **named)  # so that what is wrong is named with line and column
    return dict(found[0].spec)


def _steps(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    from vedette.kernel.documents import dump, load
    from vedette.rollouts.spec import RolloutSpec

    if "steps" not in fields:
        fields = {}
    elif not any({"setWeight", "pause"} & step.keys() for step in fields["steps"]):
        return [dict(step) for step in fields["steps"]]
    spec = load(RolloutSpec, {"domain": "any", "version": "any", **{k: v for k, v in fields.items() if k == "steps"}})
    return [dump(step) for step in spec.steps]


def _step(text: str) -> dict[str, Any]:
    weight, _, bake = text.strip().partition(":")
    return {"weight": weight.strip(), **({"bake": bake.strip()} if bake else {})}


def _guard(text: str) -> dict[str, Any]:
    metric, _, tolerance = text.partition("=")
    return {"metric": metric, **({"tolerance": tolerance} if tolerance else {})}
