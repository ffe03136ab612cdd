"""Traffic of a server: plans in force, and which version a unit sees."""

from collections.abc import Sequence

from vedette.catalog.budget import Period, Spent
from vedette.client.wire import Wire, named
from vedette.kernel.errors import Refused
from vedette.routing.choose import Choice, CompiledPlan
from vedette.routing.plan import TrafficPlan


class Traffic:
    """Who serves what, now, on a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def plan(self, domain_id: str) -> TrafficPlan:
        """Give the plan in force for a domain."""
        return self._wire.get(TrafficPlan, f"/domains/{named(domain_id)}/plan")

    def spending(self, asked: Sequence[tuple[str, Period]]) -> Sequence[Spent]:
        """Give what domains have used in the day or the month that is now."""
        found = {
            (spent.domain, spent.per): spent
            for name in dict.fromkeys(domain for domain, _ in asked)
            for spent in self._wire.get(tuple[Spent, ...], f"/domains/{named(name)}/spending")
        }
        return [found[each] for each in asked]

    def choose(self, domain_id: str, unit: str) -> Choice:
        """Say which version a unit sees, by the plan in force: reckoned here, as gateways do."""
        plan = self.plan(domain_id)
        if not plan.serving:
            raise Refused(f"domain {domain_id!r} serves nothing now", hint="give it a stable version, or restore it")
        return CompiledPlan(plan).choose(unit)
