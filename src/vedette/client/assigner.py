"""Assignment in this process: the version and the arms of a unit, as gateways see it, with nobody asked meanwhile.

`Assigner` holds the plans in force of some domains, and follows them in a thread of its own where it has somebody to
ask. While nobody answers, the last plans stay in force.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, Self

from vedette.kernel.errors import InvalidInput, NotFound, Refused, Unavailable, VedetteError
from vedette.routing.assign import Exposed
from vedette.routing.choose import Choice, CompiledPlan
from vedette.routing.plan import TrafficPlan

_log = logging.getLogger(__name__)
_JITTER = 0.1  # of the interval, so that many processes do not ask together
_PATIENCE = 10.0  # seconds a thread that is to end may take

_Assign = Callable[[str, Mapping[str, str] | None], tuple[Choice, Exposed]]

Heard = Callable[[Sequence[str], str], None]
"""Told which domains changed, and why the last look failed (empty: it did not), when either is news."""


class PlanSource(Protocol):
    """Who knows plans, such as ``Client.traffic``."""

    def plan(self, domain_id: str) -> TrafficPlan:
        """Give the plan in force for a domain; raises NotFound where there is no such domain."""
        ...


class Assigner:
    """Assigns units to versions and arms here, exactly as gateways do; safe to use from several threads.

    Args:
        source: whom to ask for plans, such as ``Client.traffic``; None where the plans that are given are all.
        domains: whose plans to follow.
        plans: plans to begin with, such as those of last time.
        interval: seconds between two looks.

    Attributes:
        plans: the plans in force, by domain.
        problem: why the last look failed; empty when it did not.

    It follows plans between `start` and `close`, or inside a ``with`` block. A process that forks starts it afterwards.
    """

    def __init__(
        self,
        source: PlanSource | None = None,
        domains: Sequence[str] = (),
        *,
        plans: Iterable[TrafficPlan] = (),
        interval: float = 5.0,
    ) -> None:
        if isinstance(domains, str) or (source is None) != (not domains):
            raise InvalidInput(
                "plans are followed of a list of domains, by a source that knows them",
                hint='write Assigner(client.traffic, ["payments"])',
            )
        if interval <= 0:
            raise InvalidInput(f"the interval must be more than zero, not {interval}")
        self._source, self._domains, self._interval = source, tuple(dict.fromkeys(domains)), interval
        self.plans: Mapping[str, CompiledPlan] = {}
        self.problem = ""
        self._assign: Mapping[str, _Assign] = {}
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._heard: Heard | None = None
        for plan in plans:
            self._take(plan.domain, plan)

    def assign(self, domain: str, unit: str, attributes: Mapping[str, str] | None = None) -> tuple[Choice, Exposed]:
        """Give the version a unit sees, and the arms it has on a request with these attributes (names in lower case).

        Nothing is recorded: an outcome that is brought to the server says what it was exposed to.

        Raises:
            InvalidInput: the unit is empty.
            NotFound: no plan of this domain is known here.
            Refused: the domain serves nothing now.
        """
        assign = self._assign.get(domain)
        if assign is None or not unit:
            raise self._why_not(domain)
        return assign(unit, attributes)

    def version(self, domain: str, unit: str, attributes: Mapping[str, str] | None = None) -> str:
        """Give the name of the version a unit sees; raises as `assign` does."""
        return self.assign(domain, unit, attributes)[0].version

    def _why_not(self, domain: str) -> VedetteError:
        if domain in self._assign:
            return InvalidInput(
                "a unit must not be empty", hint="pass what keeps seeing the same version, such as a user"
            )
        if domain in self.plans:
            return Refused(f"domain {domain!r} serves nothing now", hint="give it a stable version, or restore it")
        return NotFound(f"no plan of a domain {domain!r} is known here", hint=self.problem or "name it in `domains`")

    # Following plans.

    @property
    def missing(self) -> tuple[str, ...]:
        """Domains that are followed and have no plan here."""
        return tuple(domain for domain in self._domains if domain not in self.plans)

    def start(self, heard: Heard | None = None, *, patient: bool = False) -> None:
        """Look at all plans, then follow them in the background; ``heard`` is told of news there.

        Raises:
            NotFound: there is no such domain.
            Unavailable: the source does not answer and a plan is missing; unless this is ``patient``.
        """
        with self._starting:
            if self._source is None or self._thread is not None:
                return
            self._heard, self._stop, self.problem = heard, threading.Event(), ""
            try:
                self.look()
            except VedetteError as error:
                self.problem = str(error)
                if self.missing and not patient:
                    raise
            if self._stop.is_set():  # closed meanwhile
                return
            if self.missing and not patient:
                raise NotFound(f"there is no domain {self.missing[0]!r}", hint="`vedette domain list` shows all")
            self._thread = threading.Thread(target=self._follow, args=(self._stop,), name="vedette-plans", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Follow plans no longer; those in force stay."""
        self._stop.set()
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_PATIENCE)

    def look(self) -> tuple[str, ...]:
        """Put newer plans into force; give the domains that changed.

        Raises:
            Unavailable: the source did not answer for a domain; its plan stays in force.
        """
        changed: list[str] = []
        failed: VedetteError | None = None
        for domain in self._domains:
            if self._source is None or self._stop.is_set():
                break
            try:
                plan = self._source.plan(domain)
            except NotFound:
                if self._forget(domain):
                    changed.append(domain)
            except VedetteError as error:
                failed = failed or error
            else:
                if self._take(domain, plan):
                    changed.append(domain)
        if failed is not None:
            raise _Partly(failed, tuple(changed)) from failed
        return tuple(changed)

    def _follow(self, stop: threading.Event) -> None:
        while not stop.wait(self._interval * random.uniform(1 - _JITTER, 1 + _JITTER)):  # noqa: S311 - jitter needs no secrecy
            changed: Sequence[str] = ()
            problem = ""
            try:
                changed = self.look()
            except _Partly as error:
                changed, problem = error.changed, str(error)
            except Exception as error:  # noqa: BLE001 - whatever the source does, the plans in force stay
                problem = str(error) or type(error).__name__
            news = bool(problem) != bool(self.problem)
            if problem and news:
                _log.warning("plans cannot be followed, the last ones stay in force: %s", problem)
            self.problem = problem
            if self._heard is not None and (news or changed):
                try:
                    self._heard(changed, problem)
                except Exception:  # noqa: BLE001 - a listener must not end the following
                    _log.exception("who listens for plans failed")

    def _take(self, domain: str, plan: TrafficPlan) -> bool:
        known = self.plans.get(domain)
        if known is not None and known.plan == plan:
            return False
        compiled = CompiledPlan(plan)
        self.plans = dict(sorted({**self.plans, domain: compiled}.items()))
        serves = plan.serving and bool(plan.stable)
        others = {name: assign for name, assign in self._assign.items() if name != domain}
        self._assign = {**others, domain: _assign_by(compiled)} if serves else others
        return True

    def _forget(self, domain: str) -> bool:
        if domain not in self.plans:
            return False
        _log.warning("there is no domain %s any more", domain)
        self.plans = {name: plan for name, plan in self.plans.items() if name != domain}
        self._assign = {name: assign for name, assign in self._assign.items() if name != domain}
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Partly(Unavailable):
    """The source did not answer for all; ``changed`` are those for which it did."""

    def __init__(self, error: VedetteError, changed: tuple[str, ...]) -> None:
        super().__init__(error.message, hint=error.hint)
        self.changed = changed


def _assign_by(compiled: CompiledPlan) -> _Assign:
    """Assign by a plan; where the unit is the user and experiments ask who that is, it is known."""
    wanted = compiled.experiments.attributes if compiled.experiments else ()
    if compiled.plan.config.assignment.unit != "user" or "user" not in wanted:
        return compiled.assign
    return lambda unit, attributes: compiled.assign(unit, {"user": unit, **(attributes or {})})
