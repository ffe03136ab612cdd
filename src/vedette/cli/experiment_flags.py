"""An experiment on the command line: a document, flags, or flags over a document."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vedette.cli import names
from vedette.cli.schedules import read_text
from vedette.cli.verbs import F, pairs
from vedette.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from vedette.experiments.monitoring import Monitoring
    from vedette.experiments.spec import ExperimentSpec

REF = click.argument("ref", shell_complete=names.experiment, help="An experiment's name or id.")

_CHANGE = re.compile(r"(version|prompt|prompt\.\w+|parameters\.\w+|values\.[\w.-]+|route\.\w+)[:=](.*)", re.DOTALL)
_SHAPES = "NAME, NAME=version:V, NAME=prompt:TEXT, NAME=parameters.temperature=0.9, NAME=values.KEY=VALUE"
_DESIGNS = "fixed[:UNITS], anytime[:TUNE_AT] or sequential:UNITS[:LOOKS]"

_PLAIN = {
    "control": "control",
    "hypothesis": "hypothesis",
    "layer": "layer",
    "coverage": "coverage",
    "reserve": "reserve",
    "comparisons": "comparisons",
    "alpha": "alpha",
    "min_units": "minUnits",
    "max_duration": "maxDuration",
    "on_winner": "onWinner",
    "on_guardrail": "onGuardrail",
    "offline": "offline",
}
"""Flags that are fields of a spec as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options ask for: the arguments of `MultiVariantTestManager.create_test`."""

    domain: str
    name: str
    variants: Sequence[Any]
    splits: Sequence[float] | Mapping[str, float] | None
    design: Mapping[str, Any]


def experiment_options(function: F) -> F:
    """Add the options that say what is compared, by what, and how."""
    options = [
        click.option(
            "--file", "-f", metavar="FILE", help="An Experiment document; flags change what it says. - is stdin."
        ),
        click.option(
            "--variant",
            "variants",
            multiple=True,
            metavar="NAME[=CHANGE]",
            help="An arm, the control first. A bare name is a version of the domain; the control's may be none. CHANGE "
            "is version:V, prompt:TEXT, prompt.template:TEXT, parameters.KEY=VALUE, values.KEY=VALUE or "
            "route.KEY=VALUE; give the name again for another one.",
        ),
        click.option(
            "--split", metavar="SHARES", help="50,50 or base=50,brief=50: percent, or fractions that add up to 1."
        ),
        click.option(
            "--metric",
            "metrics",
            multiple=True,
            metavar="NAME[:ROLE[:MARGIN]]",
            help="A metric of the domain. ROLE is primary (one, which decides; the first bare name is), secondary, or "
            "guardrail, which may get worse by MARGIN: 0.1 is 10 %.",
        ),
        click.option(
            "--covariate",
            "covariates",
            multiple=True,
            callback=pairs,
            metavar="METRIC=MEASURE",
            help="A measure known before that explains some of the metric (CUPED). Repeatable.",
        ),
        click.option("--control", metavar="NAME", help="What the others are compared with. Default: the first"),
        click.option("--hypothesis", metavar="TEXT", help="What is expected, for the record."),
        click.option("--layer", metavar="NAME", help="Experiments of one layer never share a unit. Default: default"),
        click.option("--coverage", metavar="PERCENT", help="The share of the layer's units that take part."),
        click.option("--reserve", metavar="PERCENT", help="The share it may grow to. Default: its coverage"),
        click.option(
            "--target",
            "targets",
            multiple=True,
            metavar="RULE",
            help="Only requests like this: x-plan=pro,team, x-plan!=free, user^=acme-, x-model~=PATTERN, x-beta, "
            "!x-bot. All rules must hold.",
        ),
        click.option(
            "--dimension", "dimensions", multiple=True, metavar="HEADER", help="Break results down by this. Repeatable."
        ),
        click.option(
            "--comparisons", type=click.Choice(["control", "all-pairs", "best"]), help="Who is compared with whom."
        ),
        click.option("--alpha", type=float, help="Chance of a false claim. Default: 0.05"),
        click.option("--monitoring", metavar="DESIGN", help=f"How often it is looked at: {_DESIGNS}."),
        click.option("--correction", metavar="METHOD[:SCOPE]", help="For many comparisons. Default: holm:metric"),
        click.option("--bandit", is_flag=True, default=None, help="Move traffic to the better arms while it runs."),
        click.option("--min-units", type=int, help="Units every arm needs before anything is said. Default: 100"),
        click.option("--max-duration", metavar="DURATION", help="End it without a verdict after this long."),
        click.option(
            "--on-winner", type=click.Choice(["notify", "decide", "promote"]), help="What follows. Default: notify"
        ),
        click.option(
            "--on-guardrail", type=click.Choice(["stop", "notify"]), help="What happens to a harmful arm. Default: stop"
        ),
        click.option("--offline", is_flag=True, default=None, help="No traffic: models judged on one set of prompts."),
        click.option("--webhook", "webhooks", multiple=True, metavar="URL", help="Told what happens. Repeatable."),
    ]
    for option in reversed(options):
        function = option(function)
    return click.argument(
        "domain", required=False, default="", shell_complete=names.domain, help="The domain; a document names it too."
    )(function)


def asked_for(domain: str, given: Mapping[str, Any]) -> Asked:
    """Read what the options ask for.

    Raises:
        InvalidDocument: the file does not fit; the message names line and column.
        InvalidInput: a flag does not.
    """
    name, fields = _from_file(given["file"], domain) if given["file"] else ("", {})
    domain = domain or str(fields.pop("domain", ""))
    if not domain:
        raise InvalidInput("no domain is named", hint="vedette experiment create DOMAIN …, or a document with -f")
    fields.pop("domain", None)
    variants: Sequence[Any] = fields.pop("variants", ())
    if given["variants"]:
        variants = _variants(given["variants"])
    if given["metrics"]:
        fields["metrics"] = _metrics(given["metrics"], given["covariates"])
        if unused := set(given["covariates"]) - {text.partition(":")[0] for text in given["metrics"]}:
            raise InvalidInput(f"--covariate names {', '.join(sorted(unused))}, which no --metric does")
    elif given["covariates"]:
        raise InvalidInput("--covariate belongs to a --metric", hint="name the metric with --metric as well")
    if given["targets"]:
        fields["targeting"] = [_rule(text) for text in given["targets"]]
    if given["monitoring"]:
        fields["monitoring"] = _monitoring(given["monitoring"])
    if given["correction"]:
        method, _, scope = given["correction"].partition(":")
        fields["multiplicity"] = {"method": method} | ({"scope": scope} if scope else {})
    if given["bandit"]:
        fields["allocation"] = {"kind": "top-two"}
    fields |= {key: list(given[key]) for key in ("dimensions", "webhooks") if given[key]}
    fields |= {key: given[flag] for flag, key in _PLAIN.items() if given[flag] is not None}
    splits = _splits(given["split"]) if given["split"] else None
    return Asked(domain=domain, name=name, variants=variants, splits=splits, design=fields)


def spec_for_planning(domain: str, given: Mapping[str, Any], arms: int | None) -> "ExperimentSpec":
    """Give the spec the options describe, to plan by: bare names are versions, and ``arms`` stand in for variants.

    Raises:
        InvalidDocument: the file does not fit.
        InvalidInput: a flag does not, or it says nothing of arms or metrics.
    """
    from vedette.experiments.spec import ExperimentSpec
    from vedette.kernel.documents import load

    asked = asked_for(domain, given)
    variants = [_full(said, free=place == 0) for place, said in enumerate(asked.variants)]
    if arms is not None:
        if variants:
            raise InvalidInput("--arms stands in for --variant", hint="give one or the other")
        # Only their number matters to a plan; the value is there because a variant has to change something.
        variants = [{"name": f"arm-{place + 1}", "override": {"values": {"arm": place}}} for place in range(arms)]
    if isinstance(asked.splits, Mapping):
        shares = [asked.splits.get(it["name"]) for it in variants]
    else:
        shares = list(asked.splits or ())
    if shares:
        if len(shares) != len(variants) or None in shares:
            raise InvalidInput(f"--split does not name each of the {len(variants)} variants once")
        variants = [{**it, "weight": share} for it, share in zip(variants, shares, strict=True)]
    return load(ExperimentSpec, {"metrics": (), **asked.design, "domain": asked.domain, "variants": variants})


def attributes(_: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read repeated ``header=value`` options; headers are compared in lower case."""
    return {name.lower(): value for name, value in pairs(_, param, values).items()}


def _from_file(path: str, domain: str) -> tuple[str, dict[str, Any]]:
    from vedette.experiments.spec import ExperimentSpec
    from vedette.kernel.documents import read_documents

    text, source = read_text(path)
    found = [document for document in read_documents(text, source) if document.kind == "Experiment"]
    if len(found) != 1:
        raise InvalidInput(f"{source} holds {len(found)} Experiment documents", hint="one is needed here")
    if domain and found[0].spec.get("domain", domain) != domain:
        raise InvalidInput(f"{source} is for domain {found[0].spec['domain']!r}, not {domain!r}")
    found[0].build(ExperimentSpec)  # so that what is wrong is named with line and column
    return found[0].name, dict(found[0].spec)


def _variants(texts: Sequence[str]) -> list[Any]:
    made: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, sign, change = text.partition("=")
        override = made.setdefault(name, {})
        if not sign:
            continue
        found = _CHANGE.fullmatch(change)
        if not name or not found:
            raise InvalidInput(f"--variant {text!r} does not say what changes", hint=f"write {_SHAPES}")
        _lay(override, found[1], found[2])
    return [{"name": name, "override": override} if override else name for name, override in made.items()]


def _lay(override: dict[str, Any], path: str, said: str) -> None:
    part, _, key = path.partition(".")
    match part:
        case "version":
            override["version"] = said
        case "prompt":
            override.setdefault("prompt", {})[key or "system"] = said
        case "route":
            override.setdefault("route", {})[key] = _value(said) if key != "timeout" else said
        case _:
            override.setdefault(part, {})[key] = _value(said)


def _value(said: str) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    """Read a number, a truth value or any other JSON as that, and everything else as text."""
    try:
        return json.loads(said)
    except ValueError:
        return said


def _full(said: Any, *, free: bool) -> dict[str, Any]:  # noqa: ANN401 - a variant as people write it
    if not isinstance(said, str):
        return dict(said)
    return {"name": said} if free else {"name": said, "override": {"version": said}}


def _metrics(texts: Sequence[str], covariates: Mapping[str, str]) -> list[dict[str, Any]]:
    """Read metrics; the first bare one decides, unless another says it does."""
    from vedette.cli.numbers import fraction

    decided = any(text.split(":")[1:2] == ["primary"] for text in texts)
    made = []
    for text in texts:
        name, *rest = text.split(":")
        if len(rest) > 2:
            raise InvalidInput(
                f"--metric {text!r} says too much", hint="write NAME[:ROLE[:MARGIN]], such as errors:guardrail:0.1"
            )
        use: dict[str, Any] = {"metric": name}
        if rest:
            use["role"] = rest[0]
        elif not decided:
            use["role"], decided = "primary", True
        if len(rest) == 2:
            use["margin"] = fraction(rest[1])
        if name in covariates:
            use["covariate"] = covariates[name]
        made.append(use)
    return made


def _monitoring(text: str) -> "Monitoring":
    """Read how often an experiment is looked at; a live one may be looked at once when it has its units."""
    from vedette.cli.metric_words import read_monitoring
    from vedette.experiments.monitoring import Fixed

    kind, _, units = text.partition(":")
    if kind == "fixed" and units.isdigit():
        return Fixed(units=int(units))
    return read_monitoring(text)


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"{text!r} of {flag} is no number") from None


def _splits(text: str) -> list[float] | dict[str, float]:
    parts = [part.strip() for part in text.split(",")]
    if not any("=" in part for part in parts):
        return [_number(part.removesuffix("%"), "--split") for part in parts]
    named = {}
    for part in parts:
        name, sign, share = part.partition("=")
        if not sign or name in named:
            raise InvalidInput(f"--split {text!r} does not name every share once", hint="base=50,brief=50")
        named[name] = _number(share.removesuffix("%"), "--split")
    return named


def _rule(text: str) -> dict[str, Any]:
    from vedette.routing.override import read_rule

    rule = read_rule(text)
    return {"attribute": rule.attribute, "test": rule.test, "values": list(rule.values)}
