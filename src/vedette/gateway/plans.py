"""Plans in force: compiled once, swapped by one reference, refused whole when anything about them is wrong."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.catalog.backend import LocalBackend
from vedette.catalog.cache import Semantic
from vedette.catalog.hedge import Hedge
from vedette.catalog.key import mark_of
from vedette.catalog.unit import key_of
from vedette.connectors import pepper
from vedette.gateway.breaker import Circuit
from vedette.gateway.cache import ResponseCache
from vedette.gateway.hedge import HedgedTarget
from vedette.gateway.local import LocalPool
from vedette.gateway.metrics import Metrics
from vedette.gateway.retry import RetryBudget
from vedette.gateway.shared import SharedAnswers, SharedCache
from vedette.gateway.target import LocalTarget, RemoteTarget, Target
from vedette.gateway.upstream import Pool
from vedette.kernel.errors import InvalidInput, VedetteError
from vedette.routing.choose import CompiledPlan
from vedette.routing.plan import TrafficPlan

if TYPE_CHECKING:
    from vedette.gateway.semantic import SemanticCache

_log = logging.getLogger("vedette.gateway")


@dataclass(frozen=True, slots=True)
class ServedPlan:
    """A plan in force with all it needs; a request keeps the one it started with."""

    plan: TrafficPlan
    compiled: CompiledPlan
    targets: Mapping[str, Target]
    budget: RetryBudget
    limited: bool  # whether its requests are counted
    hedged: Mapping[str, HedgedTarget | Target] | None  # by version, where there is a hedge
    circuits: Mapping[str, Circuit] | None  # by version, where there is a breaker
    cache: ResponseCache | None
    shared: SharedAnswers | None  # what other workers have got, where there is such a place
    unit_key: bytes = b""  # under which pseudonyms of units are made, where they are kept
    _told: dict[tuple[str, str], str] = field(default_factory=dict)

    def told(self, version: str, assigned: str) -> str:
        """Write what every answer tells: the domain, who serves, who was assigned, under which plan."""
        lines = self._told.get((version, assigned))
        if lines is None:
            lines = self._told[version, assigned] = (
                f"x-vedette-domain: {self.plan.domain}\r\nx-vedette-version: {version}\r\n"
                f"x-vedette-assigned: {assigned}\r\nx-vedette-plan-revision: {self.plan.revision}\r\n"
            )
        return lines


@dataclass(frozen=True, slots=True)
class Refusal:
    """A plan that was not taken, and why."""

    plan: TrafficPlan
    reason: str


class PlanTable:
    """The plan in force of each domain, and the refused ones."""

    def __init__(
        self,
        pool: Pool,
        local: LocalPool,
        threads: Executor,
        environment: Mapping[str, str],
        metrics: Metrics,
        shared: SharedCache | None = None,
        pepper_file: str = "",
    ) -> None:
        self._metrics, self._shared = metrics, shared
        self._pepper_file = Path(pepper_file) if pepper_file else None
        self.serving: Mapping[str, ServedPlan] = {}
        self.refused: Mapping[str, Refusal] = {}
        self._pool, self._local, self._threads, self._environment = pool, local, threads, environment

    async def adopt(self, plans: Iterable[TrafficPlan], *, anew: bool = False) -> int:
        """Put plans into force, each whole or not at all; give how many were taken.

        A plan older than the one in force is passed over, unless the feed began ``anew``.
        """
        taken = 0
        for plan in plans:
            current = self.serving.get(plan.domain)
            if current and (plan == current.plan if anew else plan.revision <= current.plan.revision):
                self.refused = {key: value for key, value in self.refused.items() if key != plan.domain}
                continue
            try:
                served = await asyncio.get_running_loop().run_in_executor(self._threads, self._build, plan, current)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a plan must not reach the plan in force
                self._refuse(plan, error)
                continue
            self.serving = {**self.serving, plan.domain: served}
            if self._shared is not None and not plan.serving:
                self._shared.erase(plan.domain)
            self.refused = {key: value for key, value in self.refused.items() if key != plan.domain}
            taken += 1
            _log.info("plan %s of %s is in force", plan.revision, plan.domain)
        if taken:
            self._local.keep_only(
                {
                    backend
                    for served in self.serving.values()
                    for backend in served.plan.backends.values()
                    if isinstance(backend, LocalBackend)
                }
            )
        return taken

    def forget_all_but(self, domains: AbstractSet[str]) -> int:
        """Serve no domain but these any more; give how many others there were."""
        gone = self.serving.keys() - domains
        if gone:
            _log.warning("the plan feed knows nothing of %s any more", ", ".join(sorted(gone)))
            if self._shared is not None:
                self._shared.erase(*gone)
            self.serving = {name: served for name, served in self.serving.items() if name in domains}
        return len(gone)

    async def try_refused_again(self) -> int:
        """Try the refused plans again: an artefact may have arrived, a key may be there now."""
        return await self.adopt([refusal.plan for refusal in self.refused.values()])

    def _refuse(self, plan: TrafficPlan, error: Exception) -> None:
        reason = str(error) if isinstance(error, VedetteError) else f"{type(error).__name__}: {error}"
        known = self.refused.get(plan.domain)
        if not known or known.plan != plan or known.reason != reason:
            _log.error("plan %s of %s is refused, the one before stays: %s", plan.revision, plan.domain, reason)
        self.refused = {**self.refused, plan.domain: Refusal(plan, reason)}

    def _build(self, plan: TrafficPlan, current: ServedPlan | None) -> ServedPlan:
        targets = {version: self._target(plan, version) for version in plan.backends}
        hedge = plan.config.hedge
        return ServedPlan(
            plan=plan,
            compiled=CompiledPlan(plan),
            targets=targets,
            hedged=_hedged(targets, hedge) if hedge else None,
            budget=current.budget if current else RetryBudget(),
            limited=plan.config.limits.any,
            circuits=_circuits(plan, current),
            cache=self._cache(plan, current),
            shared=SharedAnswers(self._shared, plan.domain, plan.backends)
            if self._shared and plan.config.cache
            else None,
            unit_key=self._unit_key(plan) if plan.config.keep_units else b"",
        )

    def _unit_key(self, plan: TrafficPlan) -> bytes:
        """Give the key of a domain that keeps units.

        Raises:
            VedetteError: there is no pepper to make it with, or another than the plan names; the plan before, which
                keeps none or can, stays in force.
        """
        seasoning = pepper.find(self._environment, self._pepper_file)
        if seasoning is None:
            raise InvalidInput(
                "the domain keeps units, and this gateway has no pepper to make pseudonyms of them with",
                hint=f"set {pepper.VARIABLE} to the one of the control plane",
            )
        if plan.pepper not in {"", mark_of(seasoning)}:  # an older vedette named none
            raise InvalidInput(
                "the domain keeps units, and this gateway has another pepper: nobody would find its pseudonyms again",
                hint=f"set {pepper.VARIABLE} to the one of the control plane; where that is a new one, "
                f"`vedette domain update {plan.domain}` with --forget-units, and then with --keep-units",
            )
        return key_of(seasoning, plan.domain)

    def _target(self, plan: TrafficPlan, version: str) -> Target:
        backend = plan.backends[version]
        if isinstance(backend, LocalBackend):
            return LocalTarget(self._local.load(backend), self._local)
        return RemoteTarget(backend, self._pool, self._environment)

    def _cache(self, plan: TrafficPlan, current: ServedPlan | None) -> ResponseCache | None:
        """Give the cache, and keep the one there is while its policy stays and its domain serves."""
        policy = plan.config.cache
        if policy is None:
            return None
        if plan.serving and current and current.cache and current.cache.policy == policy:
            return current.cache
        return ResponseCache(policy, self._similar(policy.semantic, plan.domain) if policy.semantic else None)

    def _similar(self, policy: Semantic, domain: str) -> "SemanticCache":
        from vedette.gateway.embedding import RemoteEmbedding  # numpy and scipy only where likeness is
        from vedette.gateway.semantic import Lexical, SemanticCache  # the same

        if policy.embeddings is None:
            return SemanticCache(policy, domain, Lexical(), self._metrics)
        target = RemoteTarget(policy.embeddings, self._pool, self._environment)
        return SemanticCache(policy, domain, RemoteEmbedding(target, policy.wait), self._metrics)

    def hear(self, everybody: Metrics) -> None:
        """Let semantic caches judge themselves by what all workers know."""
        for served in self.serving.values():
            if served.cache is not None and served.cache.similar is not None:
                served.cache.similar.judge(everybody)


def _hedged(targets: Mapping[str, Target], hedge: Hedge) -> Mapping[str, HedgedTarget | Target]:
    """Ask backends twice that are late; a model in this process would only keep itself from the first question."""
    return {
        version: target if isinstance(target, LocalTarget) else HedgedTarget(target, hedge)
        for version, target in targets.items()
    }


def _circuits(plan: TrafficPlan, current: ServedPlan | None) -> Mapping[str, Circuit] | None:
    """Give each version its circuit, and keep the one it has: a new plan mends no backend."""
    policy = plan.config.breaker
    if policy is None:
        return None
    known = current.circuits or {} if current and current.plan.config.breaker == policy else {}
    return {version: known.get(version) or Circuit(policy) for version in plan.backends}
