"""vedette: the release and operations control plane for domain models.

``vedette.open()`` gives the `ControlPlane` that holds one of each service; ``vedette.Client(url)`` speaks to one that
runs elsewhere, by the same names. What is named here is imported when it is first used, so ``import vedette`` is quick.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vedette.catalog.backend import LocalBackend, OpenAIBackend
    from vedette.catalog.domain import Assignment, Domain, DomainConfig, DomainSpec
    from vedette.catalog.version import ModelVersion, Tenure, VersionSpec
    from vedette.client.client import Client
    from vedette.connectors.frames import joint_moments_from
    from vedette.control.experiments import MultiVariantTestManager
    from vedette.control.governance import DomainGovernance
    from vedette.control.plane import ControlPlane
    from vedette.control.plane import open_plane as open  # noqa: A004 - `vedette.open` is the product's word for it
    from vedette.control.rollouts import CanaryDeployment
    from vedette.evidence.joint import JointMoments, joint_moments, joint_moments_by
    from vedette.evidence.metric import Metric
    from vedette.evidence.outcome import Feedback, Outcome
    from vedette.experiments.analyzer import StatisticalAnalyzer
    from vedette.experiments.design import Experiment
    from vedette.experiments.metrics import Mean, MetricUse, Proportion, Quantile, Ratio
    from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential, TopTwo
    from vedette.experiments.spec import ExperimentSpec, Variant
    from vedette.kernel.clock import Calendar, Freeze, Window
    from vedette.kernel.errors import VedetteError
    from vedette.rollouts.spec import Group, Guardrail, RolloutSpec, Step
    from vedette.routing.override import Override, Prompt, Route, Rule
    from vedette.stats.multiplicity import Multiplicity

__version__ = "0.1.0"

_PLACES = {
    "AnytimeValid": "vedette.experiments.monitoring",
    "Assignment": "vedette.catalog.domain",
    "Calendar": "vedette.kernel.clock",
    "CanaryDeployment": "vedette.control.rollouts",
    "Client": "vedette.client.client",
    "ControlPlane": "vedette.control.plane",
    "Domain": "vedette.catalog.domain",
    "DomainConfig": "vedette.catalog.domain",
    "DomainGovernance": "vedette.control.governance",
    "DomainSpec": "vedette.catalog.domain",
    "Experiment": "vedette.experiments.design",
    "ExperimentSpec": "vedette.experiments.spec",
    "Feedback": "vedette.evidence.outcome",
    "Fixed": "vedette.experiments.monitoring",
    "Freeze": "vedette.kernel.clock",
    "Group": "vedette.rollouts.spec",
    "GroupSequential": "vedette.experiments.monitoring",
    "Guardrail": "vedette.rollouts.spec",
    "JointMoments": "vedette.evidence.joint",
    "LocalBackend": "vedette.catalog.backend",
    "Mean": "vedette.experiments.metrics",
    "Metric": "vedette.evidence.metric",
    "MetricUse": "vedette.experiments.metrics",
    "ModelVersion": "vedette.catalog.version",
    "MultiVariantTestManager": "vedette.control.experiments",
    "Multiplicity": "vedette.stats.multiplicity",
    "OpenAIBackend": "vedette.catalog.backend",
    "Outcome": "vedette.evidence.outcome",
    "Override": "vedette.routing.override",
    "Prompt": "vedette.routing.override",
    "Proportion": "vedette.experiments.metrics",
    "Quantile": "vedette.experiments.metrics",
    "Ratio": "vedette.experiments.metrics",
    "RolloutSpec": "vedette.rollouts.spec",
    "Route": "vedette.routing.override",
    "Rule": "vedette.routing.override",
    "StatisticalAnalyzer": "vedette.experiments.analyzer",
    "Step": "vedette.rollouts.spec",
    "Tenure": "vedette.catalog.version",
    "TopTwo": "vedette.experiments.monitoring",
    "Variant": "vedette.experiments.spec",
    "VedetteError": "vedette.kernel.errors",
    "VersionSpec": "vedette.catalog.version",
    "Window": "vedette.kernel.clock",
    "joint_moments": "vedette.evidence.joint",
    "joint_moments_by": "vedette.evidence.joint",
    "joint_moments_from": "vedette.connectors.frames",
    "open": "vedette.control.plane",
}

__all__ = [
    "AnytimeValid",
    "Assignment",
    "Calendar",
    "CanaryDeployment",
    "Client",
    "ControlPlane",
    "Domain",
    "DomainConfig",
    "DomainGovernance",
    "DomainSpec",
    "Experiment",
    "ExperimentSpec",
    "Feedback",
    "Fixed",
    "Freeze",
    "Group",
    "GroupSequential",
    "Guardrail",
    "JointMoments",
    "LocalBackend",
    "Mean",
    "Metric",
    "MetricUse",
    "ModelVersion",
    "MultiVariantTestManager",
    "Multiplicity",
    "OpenAIBackend",
    "Outcome",
    "Override",
    "Prompt",
    "Proportion",
    "Quantile",
    "Ratio",
    "RolloutSpec",
    "Route",
    "Rule",
    "StatisticalAnalyzer",
    "Step",
    "Tenure",
    "TopTwo",
    "Variant",
    "VedetteError",
    "VersionSpec",
    "Window",
    "__version__",
    "joint_moments",
    "joint_moments_by",
    "joint_moments_from",
    "open",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'vedette' has no attribute {name!r}")
    found = getattr(importlib.import_module(_PLACES[name]), "open_plane" if name == "open" else name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
