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
    from vedette.control.governance import DomainGovernance
    from vedette.control.plane import ControlPlane
    from vedette.control.plane import open_plane as open  # noqa: A004 - `vedette.open` is the product's word for it
    from vedette.control.rollouts import CanaryDeployment
    from vedette.evidence.metric import Metric
    from vedette.evidence.outcome import Feedback, Outcome
    from vedette.kernel.clock import Calendar, Freeze, Window
    from vedette.kernel.errors import VedetteError
    from vedette.rollouts.spec import Group, Guardrail, RolloutSpec, Step

__version__ = "0.1.0"

_PLACES = {
    "Assignment": "vedette.catalog.domain",
    "Calendar": "vedette.kernel.clock",
    "CanaryDeployment": "vedette.control.rollouts",
    "Client": "vedette.client.client",
    "ControlPlane": "vedette.control.plane",
    "Domain": "vedette.catalog.domain",
    "DomainConfig": "vedette.catalog.domain",
    "DomainGovernance": "vedette.control.governance",
    "DomainSpec": "vedette.catalog.domain",
    "Feedback": "vedette.evidence.outcome",
    "Freeze": "vedette.kernel.clock",
    "Group": "vedette.rollouts.spec",
    "Guardrail": "vedette.rollouts.spec",
    "LocalBackend": "vedette.catalog.backend",
    "Metric": "vedette.evidence.metric",
    "ModelVersion": "vedette.catalog.version",
    "OpenAIBackend": "vedette.catalog.backend",
    "Outcome": "vedette.evidence.outcome",
    "RolloutSpec": "vedette.rollouts.spec",
    "Step": "vedette.rollouts.spec",
    "Tenure": "vedette.catalog.version",
    "VedetteError": "vedette.kernel.errors",
    "VersionSpec": "vedette.catalog.version",
    "Window": "vedette.kernel.clock",
    "open": "vedette.control.plane",
}

__all__ = [
    "Assignment",
    "Calendar",
    "CanaryDeployment",
    "Client",
    "ControlPlane",
    "Domain",
    "DomainConfig",
    "DomainGovernance",
    "DomainSpec",
    "Feedback",
    "Freeze",
    "Group",
    "Guardrail",
    "LocalBackend",
    "Metric",
    "ModelVersion",
    "OpenAIBackend",
    "Outcome",
    "RolloutSpec",
    "Step",
    "Tenure",
    "VedetteError",
    "VersionSpec",
    "Window",
    "__version__",
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
