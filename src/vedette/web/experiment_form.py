"""Drafting an experiment from a form: what is typed, read as the arguments of `create_test`, planned beside it."""

import json
import re
from collections.abc import Mapping
from typing import Any

from vedette.catalog.domain import DomainConfig
from vedette.evidence.metric import BUILT_IN, Metric
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.routing.override import read_rule
from vedette.web.ask import number

FEWEST, MOST = 2, 20
"""Arms a form has room for."""
DESIGNS = {"anytime": "at any time", "fixed": "once, at so many requests", "group-sequential": "at planned looks"}
ROLES = {"": "leave out", "primary": "decides", "secondary": "shown", "guardrail": "guardrail"}


@record
class ArmFields:
    """One arm as typed."""

    name: str = ""
    version: str = ""
    prompt: str = ""
    parameters: str = ""
    weight: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing was typed."""
        return not (self.name or self.version or self.prompt or self.parameters)


@record
class MetricFields:
    """One metric of the domain, and what it is for."""

    name: str
    role: str = ""
    margin: str = ""


@record
class DraftFields:
    """A whole form as typed, so that it can be shown again as it was."""

    name: str = ""
    hypothesis: str = ""
    arms: tuple[ArmFields, ...]
    metrics: tuple[MetricFields, ...]
    layer: str = "default"
    coverage: str = "100"
    reserve: str = ""
    targeting: str = ""
    dimensions: str = ""
    comparisons: str = "control"
    monitoring: str = "anytime"
    units: str = ""
    looks: str = "20"
    alpha: str = "0.05"
    least: str = "100"
    days: str = ""
    bandit: bool = False
    on_winner: str = "notify"
    on_guardrail: str = "stop"


_PLAIN = (
    "name",
    "hypothesis",
    "layer",
    "coverage",
    "reserve",
    "targeting",
    "dimensions",
    "comparisons",
    "monitoring",
    "units",
    "looks",
    "alpha",
    "least",
    "days",
    "on_winner",
    "on_guardrail",
)


def from_fields(said: Mapping[str, str], config: DomainConfig) -> DraftFields:
    """Read a form as it was typed; what it leaves out is the usual."""
    fresh = "arm0.name" not in said
    rows = said.get("rows", "")
    count = min(max(int(rows) if rows.isascii() and rows.isdigit() and len(rows) < 4 else 3, FEWEST), MOST)
    arms = [
        ArmFields(
            **{
                part: said.get(f"arm{place}.{part}", "")[:4000]
                for part in ("name", "version", "prompt", "parameters", "weight")
            }
        )
        for place in range(count)
    ]
    if fresh:
        arms[0] = ArmFields(name="base")
    names = [*(metric.name for metric in _own(config)), *(metric.name for metric in BUILT_IN)]
    names = list(dict.fromkeys(names))
    metrics = tuple(
        _first(name, config)
        if fresh
        else MetricFields(name=name, role=said.get(f"role.{name}", ""), margin=said.get(f"margin.{name}", ""))
        for name in names
    )
    plain = {name: said[name][:2000] for name in _PLAIN if name in said}
    return DraftFields(arms=tuple(arms), metrics=metrics, bandit=said.get("bandit") == "yes", **plain)


def _first(name: str, config: DomainConfig) -> MetricFields:
    """Choose what a metric is for until somebody does: the first one declared decides, errors guard."""
    declared = _own(config)
    own = declared[0].name if declared else "latency-mean"
    if name == own:
        return MetricFields(name=name, role="primary")
    return MetricFields(name=name, role="guardrail", margin="10") if name == "errors" else MetricFields(name=name)


def _own(config: DomainConfig) -> list[Metric]:
    """Give the domain's metrics that an experiment can measure: what has a source knows no units."""
    return [metric for metric in config.metrics if metric.source is None]


def design_of(fields: DraftFields) -> dict[str, Any]:
    """Give what `create_test` takes beside domain and name.

    Raises:
        InvalidInput: something typed has no meaning; it says where.
    """
    arms = [arm for arm in fields.arms if not arm.empty]
    design: dict[str, Any] = {
        "variants": [_variant(arm, place) for place, arm in enumerate(arms)],
        "metrics": [_use(metric) for metric in fields.metrics if metric.role],
        "hypothesis": fields.hypothesis.strip(),
        "layer": fields.layer.strip() or "default",
        "coverage": number(fields.coverage, "the coverage"),
        "targeting": [read_rule(line) for line in fields.targeting.splitlines() if line.strip()],
        "dimensions": [name.lower() for name in re.split(r"[\s,]+", fields.dimensions) if name],
        "comparisons": fields.comparisons,
        "alpha": number(fields.alpha, "α"),
        "min_units": _whole(fields.least, "the fewest units of an arm"),
        "monitoring": _monitoring(fields),
        "on_winner": fields.on_winner,
        "on_guardrail": fields.on_guardrail,
    }
    if fields.reserve.strip():
        design["reserve"] = number(fields.reserve, "what is reserved")
    if fields.days.strip():
        design["max_duration"] = 86_400 * number(fields.days, "the longest duration")
    if fields.bandit:
        design["allocation"] = {"kind": "top-two"}
    return design


def _variant(arm: ArmFields, place: int) -> dict[str, Any]:
    if not arm.name.strip():
        raise InvalidInput(f"arm {place + 1} has no name", hint="such as base, brief or v2")
    override: dict[str, Any] = {}
    if arm.version.strip():
        override["version"] = arm.version.strip()
    if arm.prompt.strip():
        override["prompt"] = {"system": arm.prompt.strip()}
    if arm.parameters.strip():
        override["parameters"] = _parameters(arm.parameters, arm.name)
    weight = number(arm.weight, f"the weight of {arm.name}") if arm.weight.strip() else 1.0
    return {"name": arm.name.strip(), "weight": weight, "override": override}


def _parameters(text: str, arm: str) -> dict[str, Any]:
    """Read ``temperature=0.9`` a line."""
    found: dict[str, Any] = {}
    for line in filter(str.strip, text.splitlines()):
        name, sign, value = (part.strip() for part in line.partition("="))
        if not sign or not name:
            raise InvalidInput(f"{line.strip()!r} of arm {arm} is no parameter", hint="temperature=0.9, one a line")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _use(metric: MetricFields) -> dict[str, Any]:
    margin = number(metric.margin, f"what {metric.name} may get worse") / 100 if metric.margin.strip() else 0.0
    return {"metric": metric.name, "role": metric.role, "margin": margin}


def _monitoring(fields: DraftFields) -> dict[str, Any]:
    units = _whole(fields.units, "the planned requests") if fields.units.strip() else 0
    match fields.monitoring:
        case "fixed":
            return {"kind": "fixed", "units": units}
        case "group-sequential":
            return {"kind": "group-sequential", "units": units, "looks": _whole(fields.looks, "the number of looks")}
        case "anytime":
            return {"kind": "anytime"} | ({"tuneAt": float(units)} if units else {})
    raise InvalidInput(f"{fields.monitoring!r} is no design", hint=f"one of {', '.join(DESIGNS)}")


def _whole(text: str, what: str) -> int:
    found = number(text, what)
    if not float(found).is_integer():
        raise InvalidInput(f"{what} must be a whole number, not {text!r}")
    return int(found)
