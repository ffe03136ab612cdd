"""vedette in process: a rollout at 15 %, or an experiment of two arms for one country: ``python ours.py rollout``."""

import sys

from bench.assign_parts.loop import serve

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainConfig
from vedette.routing.choose import CompiledPlan
from vedette.routing.layers import ArmSlice, Layer, RunningExperiment, Stretch
from vedette.routing.override import Override, Rule
from vedette.routing.plan import Canary, TrafficPlan

_BACKENDS = {version: OpenAIBackend(url="http://127.0.0.1:1/v1", model=version) for version in ("v1", "v2")}
_EXPERIMENT = RunningExperiment(
    id="tone",
    name="tone",
    salt="tone/1",
    epoch=0,
    stretches=(Stretch(begin=0, end=1_000_000),),
    exposed=1_000_000,
    slices=(ArmSlice(arm="control", begin=0, end=850_000), ArmSlice(arm="treatment", begin=850_000, end=1_000_000)),
    overrides={"control": Override(), "treatment": Override(parameters={"temperature": 0.2})},
    targeting=(Rule(attribute="country", values=("de",)),),
)


def main(kind: str) -> None:
    """Serve one of the two."""
    canary = Canary(version="v2", rollout="r", attempt=1, step=0, salt="r/1", weight=150_000)
    layers = (Layer(name="prompts", salt="prompts/1", experiments=(_EXPERIMENT,)),)
    compiled = CompiledPlan(
        TrafficPlan(
            domain="claims",
            revision=1,
            stable="v1",
            canary=canary if kind == "rollout" else None,
            backends=_BACKENDS,
            config=DomainConfig(),
            layers=() if kind == "rollout" else layers,
        )
    )
    if kind == "rollout":
        serve(lambda unit: compiled.choose(unit).version)
    elif compiled.experiments:
        expose, attributes = compiled.experiments.expose, {"country": "de"}
        serve(lambda unit: expose(unit, attributes).names["tone"])


if __name__ == "__main__":
    main(sys.argv[1])
