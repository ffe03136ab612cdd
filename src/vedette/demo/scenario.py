"""What happens in the demo's domains: who asks, how requests find their version, and which rollout follows which.

Nothing here tells the engine which candidate is which. It gets a version, a ladder and guardrails, as from any user.
"""

from collections.abc import Mapping
from pathlib import Path

from vedette.catalog.backend import LocalBackend
from vedette.catalog.domain import Assignment, DomainConfig, DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.connectors.local import LocalModel
from vedette.control.plane import ControlPlane
from vedette.demo.data import DemoDomain
from vedette.demo.models import Artefact, write_artefacts
from vedette.evidence.metric import Metric, MetricKind
from vedette.kernel.records import record
from vedette.rollouts.spec import Guardrail, RolloutSpec, Step

ACTOR = "demo"
ACCURACY = "accuracy"
TENANTS = 40
BAKE = 4.0  # seconds a step is watched at least

_ACCURACY = Metric(name=ACCURACY, kind=MetricKind.RATE, measure="correct", better="higher")
_STICKY = frozenset({"pathology"})
_WARM_UP = 200
_SHARES = (2, 3)  # busy tenants ask three questions where quiet ones ask two
_ROUNDS = 12  # of shares in the warm-up: 24 past requests of the quietest tenant, and the engine asks for 20


@record
class Scenario:
    """One domain of the demo: ``users`` is the order in which they ask, again and again; empty if each asks once.

    ``errors`` is the truth: by version, the share of the held-out queries it answers wrongly. ``warm_up`` is the number
    of judged answers on stable before the first rollout. ``candidates`` come in this order.
    """

    domain: DemoDomain
    artefacts: tuple[Artefact, ...]
    errors: Mapping[str, float]
    users: tuple[str, ...]
    warm_up: int
    candidates: tuple[str, ...]

    @property
    def sticky(self) -> bool:
        """Whether whole users are assigned, instead of single requests."""
        return bool(self.users)

    @property
    def assignment(self) -> str:
        """How requests find their version, in words."""
        if self.sticky:
            return f"assigned by user: {TENANTS} sticky clinics, each judged against its own history"
        return "assigned request by request"

    def artefact(self, version: str) -> Artefact:
        """Give the artefact of a version."""
        return next(artefact for artefact in self.artefacts if artefact.version == version)


def prepare(domain: DemoDomain, folder: Path) -> Scenario:
    """Train the versions of ``domain`` into ``folder``: the worse candidate comes first, then the better one."""
    artefacts = tuple(write_artefacts(domain, folder))
    sticky = domain.id in _STICKY
    users = tuple(
        f"clinic-{number:02d}"
        for turn in range(max(_SHARES))
        for number in range(TENANTS)
        if turn < _SHARES[number % len(_SHARES)]
    )
    return Scenario(
        domain=domain,
        artefacts=artefacts,
        errors={artefact.version: _error(artefact, domain) for artefact in artefacts},
        users=users if sticky else (),
        warm_up=_ROUNDS * len(users) if sticky else _WARM_UP,
        candidates=tuple(next(a.version for a in artefacts if a.role == role) for role in ("worse", "better")),
    )


def register(plane: ControlPlane, scenario: Scenario) -> None:
    """Create the domain, register its versions and make the incumbent stable."""
    domain = scenario.domain
    config = DomainConfig(
        assignment=Assignment(unit="user" if scenario.sticky else "request"), timeout=10.0, metrics=(_ACCURACY,)
    )
    spec = DomainSpec(title=domain.title, description=f"{domain.source}; {domain.licence}", config=config)
    plane.domains.create(domain.id, spec, actor=ACTOR, labels={"demo": "true"})
    incumbent = next(artefact for artefact in scenario.artefacts if artefact.role == "incumbent")
    for artefact in scenario.artefacts:
        version = VersionSpec(
            backend=LocalBackend(artefact=str(artefact.path.resolve()), digest=artefact.digest),
            parent="" if artefact is incumbent else incumbent.version,
            training_run=f"demo/{domain.id}/{artefact.version}",
            metrics=artefact.metrics,
            note=artefact.note,
        )
        plane.versions.register(domain.id, artefact.version, version, actor=ACTOR)
    plane.versions.install(domain.id, incumbent.version, actor=ACTOR, why="the incumbent")


def schedule(scenario: Scenario, version: str) -> RolloutSpec:
    """Write the rollout a user would ask for: bakes of seconds; accuracy, errors and latency guarded.

    A tenth of the traffic stays on stable to the end, so that within seconds there is enough to compare latency with.
    With a few dozen sticky users the ladder begins higher, so that it surely reaches some of them, and latency is
    shown without acting: its bands take 20 independent units in each arm, which so few users are not.
    """
    ladder = ((25, 100), (50, 120), (100, 150)) if scenario.sticky else ((10, 20), (25, 50), (50, 80), (100, 100))
    return RolloutSpec(
        domain=scenario.domain.id,
        version=version,
        steps=tuple(Step(weight=weight, bake=BAKE, min_samples=samples) for weight, samples in ladder),
        guardrails=(
            Guardrail(metric=ACCURACY, weight=3.0, min_samples=20),
            Guardrail(metric="errors"),
            Guardrail(metric="latency-p95", tolerance=0.5, dry_run=scenario.sticky),
        ),
        hold_back=10.0,
    )


def _error(artefact: Artefact, domain: DemoDomain) -> float:
    """Ask the artefact, as it will be served, every held-out query, and give the share of wrong answers."""
    answers = LocalModel.load(artefact.path, artefact.digest, "skops").predict([one.query for one in domain.held_out])
    wrong = sum(answer != one.label for answer, one in zip(answers, domain.held_out, strict=True))
    return wrong / len(domain.held_out)
