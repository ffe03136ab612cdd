"""Traffic of a server: plans in force, and which version a unit sees."""

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

    def choose(self, domain_id: str, unit: str) -> Choice:
        """Say which version a unit sees, by the plan in force: reckoned here, as gateways do."""
        plan = self.plan(domain_id)
        if not plan.serving:
            raise Refused(f"domain {domain_id!r} serves nothing now", hint="give it a stable version, or restore it")
        return CompiledPlan(plan).choose(unit)
