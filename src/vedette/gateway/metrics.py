"""The gateway's own figures in Prometheus' text format; a handful of integers, so they cost nothing to keep.

``version`` is the assigned one everywhere, as in the analysis.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vedette.catalog.budget import Budget
from vedette.routing.plan import FULL, TrafficPlan

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(slots=True)
class VersionFigures:
    """What one version of one domain has done since the gateway began."""

    answered: dict[str, int] = field(default_factory=dict)  # by status
    errors: int = 0
    fallbacks: int = 0
    retries: int = 0
    hedges: int = 0
    opened: int = 0  # times its circuit did
    spared: int = 0  # requests its open circuit kept from its backend
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def observe(self, status: str, seconds: float, *, error: bool, fallback: bool) -> None:
        """Count one answered request."""
        self.answered[status] = self.answered.get(status, 0) + 1
        self.errors += error
        self.fallbacks += fallback
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1


@dataclass(slots=True)
class Drawn:
    """What was counted against one limit since the gateway began."""

    amount: float = 0.0


@dataclass(slots=True)
class Metrics:
    """All figures of one gateway."""

    versions: dict[tuple[str, str], VersionFigures] = field(default_factory=dict)
    exposures: dict[tuple[str, str, str], int] = field(default_factory=dict)  # by domain, experiment and arm
    turned_away: dict[int, int] = field(default_factory=dict)  # requests the gateway answered itself, by HTTP status
    limited: dict[tuple[str, str], int] = field(default_factory=dict)  # requests a limit stopped, by domain and limit
    spent: dict[tuple[str, str, str], Drawn] = field(default_factory=dict)  # by whose limit, its name, and of what
    used: dict[tuple[str, str], float] = field(default_factory=dict)  # by domain with a budget: tokens, money
    cached: dict[tuple[str, str], int] = field(default_factory=dict)  # requests of domains with a cache, by what it did
    shared_cache: dict[tuple[str, str], int] = field(default_factory=dict)  # by domain and result
    similar: dict[tuple[str, str, str], int] = field(default_factory=dict)  # by domain, setting and result
    shadows: dict[tuple[str, str, str], int] = field(default_factory=dict)  # copies by domain, version and result
    shared_lost: int = 0  # times the shared cache was left alone for not answering
    in_flight: int = 0
    local_batches: int = 0  # times models in this process were asked
    local_queries: int = 0  # texts they were asked
    outcomes_lost: int = 0
    outcomes_shipped: int = 0
    workers: int = 1
    worker_restarts: int = 0  # of workers that died
    poll_failures: int = 0
    ship_failures: int = 0

    def of(self, domain: str, version: str) -> VersionFigures:
        """Give the figures of a version, from nothing if need be."""
        found = self.versions.get((domain, version))
        return found or self.versions.setdefault((domain, version), VersionFigures())

    def expose(self, domain: str, arms: Mapping[str, str]) -> None:
        """Count a request that experiments of a domain had, with their arms."""
        for arm in arms.items():
            self.exposures[domain, *arm] = self.exposures.get((domain, *arm), 0) + 1

    def turn_away(self, status: int) -> None:
        """Count a request no version was asked for."""
        self.turned_away[status] = self.turned_away.get(status, 0) + 1

    def cache(self, domain: str, result: str) -> None:
        """Count a request that could have been answered by a cache."""
        self.cached[domain, result] = self.cached.get((domain, result), 0) + 1

    def shared(self, domain: str, result: str) -> None:
        """Count a question to the shared cache, or an answer for it."""
        self.shared_cache[domain, result] = self.shared_cache.get((domain, result), 0) + 1

    def shadow(self, domain: str, version: str, result: str) -> None:
        """Count a request that was copied, or should have been."""
        self.shadows[domain, version, result] = self.shadows.get((domain, version, result), 0) + 1

    def limit(self, domain: str, limit: str) -> None:
        """Count a request that a limit stopped."""
        self.limited[domain, limit] = self.limited.get((domain, limit), 0) + 1

    def text(
        self,
        plans: Iterable[TrafficPlan],
        refused: Iterable[str],
        budgets: Iterable[tuple[str, Budget, float]] = (),
    ) -> bytes:
        """Write everything in the text format, with the plans in force and the share of each budget that is spent."""
        lines: list[str] = []
        self._versions(lines)
        plans = sorted(plans, key=lambda plan: plan.domain)
        _head(lines, "vedette_experiment_exposures_total", "counter", "Requests an arm of an experiment had.")
        for (domain, experiment, arm), count in sorted(self.exposures.items()):
            _line(lines, "vedette_experiment_exposures_total", count, domain=domain, experiment=experiment, arm=arm)
        _head(lines, "vedette_rollout_weight", "gauge", "Share of a domain's units that see the canary, 0 to 1.")
        for plan in plans:
            if plan.canary:
                share, version = plan.weight / FULL, plan.canary.version
                _line(lines, "vedette_rollout_weight", share, domain=plan.domain, version=version)
        _head(lines, "vedette_plan_revision", "gauge", "Revision of the traffic plan in force.")
        for plan in plans:
            _line(lines, "vedette_plan_revision", plan.revision, domain=plan.domain)
        _head(lines, "vedette_budget_spent_ratio", "gauge", "Share of a domain's budget that is spent; 1 is all of it.")
        for domain, budget, used in budgets:
            _line(lines, "vedette_budget_spent_ratio", used, domain=domain, per=budget.per, of=budget.of)
        _head(lines, "vedette_plan_refused", "gauge", "1 for a domain whose newest plan was refused.")
        for domain in refused:
            _line(lines, "vedette_plan_refused", 1, domain=domain)
        _head(lines, "vedette_requests_turned_away_total", "counter", "Requests the gateway answered itself.")
        for status, count in sorted(self.turned_away.items()):
            _line(lines, "vedette_requests_turned_away_total", count, status=str(status))
        self._protections(lines)
        _head(lines, "vedette_requests_in_flight", "gauge", "Requests being answered now.")
        _line(lines, "vedette_requests_in_flight", self.in_flight)
        _head(lines, "vedette_gateway_workers", "gauge", "Processes that answer requests.")
        _line(lines, "vedette_gateway_workers", self.workers)
        for name, value, text in (
            ("vedette_gateway_worker_restarts_total", self.worker_restarts, "Workers that died and were replaced."),
            ("vedette_cache_shared_lost_total", self.shared_lost, "Times the shared cache was left alone for failing."),
            ("vedette_local_batches_total", self.local_batches, "Times models in this process were asked."),
            ("vedette_local_queries_total", self.local_queries, "Texts they were asked."),
            ("vedette_outcomes_lost_total", self.outcomes_lost, "Outcomes the journal could not take."),
            ("vedette_outcomes_shipped_total", self.outcomes_shipped, "Outcomes stored by the sink."),
            ("vedette_poll_failures_total", self.poll_failures, "Times the plan feed did not answer."),
            ("vedette_ship_failures_total", self.ship_failures, "Times the outcome sink did not answer."),
        ):
            _head(lines, name, "counter", text)
            _line(lines, name, value)
        return ("\n".join(lines) + "\n").encode()

    def _protections(self, lines: list[str]) -> None:
        _head(lines, "vedette_requests_limited_total", "counter", "Requests a limit stopped.")
        for (domain, limit), count in sorted(self.limited.items()):
            _line(lines, "vedette_requests_limited_total", count, domain=domain, limit=limit)
        _head(lines, "vedette_limit_spent_total", "counter", "Requests and tokens counted against limits.")
        for (whose, who, what), drawn in sorted(self.spent.items(), key=lambda each: each[0]):
            _line(lines, "vedette_limit_spent_total", drawn.amount, **{"of": what, whose: who})
        _head(lines, "vedette_used_total", "counter", "Tokens and money that domains with budgets have used.")
        for (domain, kind), used in sorted(self.used.items()):
            _line(lines, "vedette_used_total", used, domain=domain, of=kind)
        _head(
            lines,
            "vedette_cache_requests_total",
            "counter",
            "Requests of domains with a cache: hit, similar, miss, bypass.",
        )
        for (domain, result), count in sorted(self.cached.items()):
            _line(lines, "vedette_cache_requests_total", count, domain=domain, result=result)
        name = "vedette_cache_shared_total"
        _head(
            lines,
            name,
            "counter",
            "Look-ups in the shared cache: hit, miss, failed, skipped, unreadable; and answers for it: kept, not_kept.",
        )
        for (domain, result), count in sorted(self.shared_cache.items()):
            _line(lines, name, count, domain=domain, result=result)
        self._likeness(lines)
        _head(lines, "vedette_shadow_requests_total", "counter", "Copies for a version in the shadow.")
        for (domain, version, result), count in sorted(self.shadows.items()):
            _line(lines, "vedette_shadow_requests_total", count, domain=domain, version=version, result=result)

    def _likeness(self, lines: list[str]) -> None:
        name = "vedette_cache_semantic_total"
        said = "Questions a semantic cache compared: hit, miss, failed; hits verified, and false; times switched_off."
        _head(lines, name, "counter", said)
        for (domain, setting, result), count in sorted(self.similar.items()):
            _line(lines, name, count, domain=domain, setting=setting, result=result)
        name = "vedette_cache_semantic_false_hit_ratio"
        _head(lines, name, "gauge", "Share of verified hits that were false, and its 95 % confidence sequence.")
        for (domain, setting, result), verified in sorted(self.similar.items()):
            if result == "verified":
                from vedette.stats import sequential  # scipy only where hits are verified

                false = self.similar.get((domain, setting, "false"), 0)
                low, high = sequential.proportion(false, verified, alpha=0.05)
                for bound, value in (("low", low), ("estimate", false / verified), ("high", high)):
                    _line(lines, name, value, domain=domain, setting=setting, bound=bound)

    def _versions(self, lines: list[str]) -> None:
        figures = sorted(self.versions.items())
        _head(lines, "vedette_requests_total", "counter", "Requests assigned to a version, by how they ended.")
        for (domain, version), each in figures:
            for status, count in sorted(each.answered.items()):
                _line(lines, "vedette_requests_total", count, domain=domain, version=version, status=status)
        for name, attribute, text in (
            ("vedette_request_errors_total", "errors", "Requests their assigned version failed."),
            ("vedette_request_fallbacks_total", "fallbacks", "Requests stable answered for the version on trial."),
            ("vedette_request_retries_total", "retries", "Second and later tries."),
            ("vedette_request_hedges_total", "hedges", "Second calls to a version that was late to begin."),
            ("vedette_circuit_opened_total", "opened", "Times a version's backend was left alone for failing."),
            ("vedette_circuit_spared_total", "spared", "Requests an open circuit kept from a version's backend."),
        ):
            _head(lines, name, "counter", text)
            for (domain, version), each in figures:
                _line(lines, name, getattr(each, attribute), domain=domain, version=version)
        name = "vedette_request_duration_seconds"
        _head(lines, name, "histogram", "From the last byte of the request to the end of the answer.")
        for (domain, version), each in figures:
            total = 0
            for bound, count in zip((*BOUNDS, "+Inf"), each.buckets, strict=True):
                total += count
                _line(lines, f"{name}_bucket", total, domain=domain, version=version, le=str(bound))
            _line(lines, f"{name}_sum", each.seconds, domain=domain, version=version)
            _line(lines, f"{name}_count", total, domain=domain, version=version)


def _head(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += (f"# HELP {name} {text}", f"# TYPE {name} {kind}")


def _line(lines: list[str], name: str, value: float, **labels: str) -> None:
    lines.append(f"{name}{_labels(labels)} {value}")


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
