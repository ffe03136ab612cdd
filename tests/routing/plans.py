"""Traffic plans to choose from."""

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainConfig
from vedette.routing.choose import CompiledPlan
from vedette.routing.layers import PLACES, Layer, RunningExperiment, Stretch, slices_of
from vedette.routing.override import Override
from vedette.routing.plan import Canary, TrafficPlan

BACKEND = OpenAIBackend(url="http://127.0.0.1:8000/v1", model="m")


def plan(weight: int | None, *, domain: str = "pay", salt: str = "salt-1", **fields: object) -> TrafficPlan:
    """Make a plan with a canary at a weight in millionths, or without one."""
    canary = None
    if weight is not None:
        canary = Canary(version="v2", rollout="r", attempt=1, step=0, salt=salt, weight=weight)
    ordinary: dict[str, object] = {
        "revision": 1,
        "stable": "v1",
        "backends": {"v1": BACKEND, "v2": BACKEND},
        "config": DomainConfig(),
    }
    return TrafficPlan(domain=domain, canary=canary, **(ordinary | fields))  # type: ignore[arg-type]  # by name


def compiled(weight: int | None, *, domain: str = "pay", salt: str = "salt-1") -> CompiledPlan:
    """Compile such a plan."""
    return CompiledPlan(plan(weight, domain=domain, salt=salt))


def running(name: str = "tone", **fields: object) -> RunningExperiment:
    """Make a running experiment with two arms of equal size over its whole layer, which change one parameter."""
    ordinary: dict[str, object] = {
        "id": f"id-of-{name}",
        "salt": f"salt-of-{name}",
        "epoch": 0,
        "stretches": (Stretch(begin=0, end=PLACES),),
        "exposed": PLACES,
        "slices": slices_of({"control": 1, "treatment": 1}),
        "overrides": {"control": Override(), "treatment": Override(parameters={"seed": name})},
    }
    return RunningExperiment(name=name, **(ordinary | fields))  # type: ignore[arg-type]  # by name


def layer(*experiments: RunningExperiment, name: str = "prompts") -> Layer:
    """Make a layer of experiments."""
    return Layer(name=name, salt=f"salt-of-{name}", experiments=experiments)
