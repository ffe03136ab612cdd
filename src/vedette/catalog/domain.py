"""A domain: a field of questions answered by its own model versions, and its revisioned configuration."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from vedette.catalog.breaker import Breaker
from vedette.catalog.budget import Budget, Price
from vedette.catalog.cache import Cache
from vedette.catalog.hedge import Hedge
from vedette.catalog.lifecycle import DomainState
from vedette.catalog.limits import Limits
from vedette.catalog.shadow import Shadow
from vedette.evidence.metric import BUILT_IN, Metric
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.kernel.fields import Percent, Seconds
from vedette.kernel.ids import check_name
from vedette.kernel.records import record


@record
class Assignment:
    """How a request finds its unit, the thing that keeps seeing the same version.

    ``unit`` is the OpenAI ``user`` field, a ``header``, or the ``request`` itself (not sticky). ``missing`` says what
    happens to a request without its unit: ``random`` (assigned by chance, recorded as not sticky), ``stable`` or
    ``reject``.
    """

    unit: Literal["user", "header", "request"] = "user"
    header: str = "x-vedette-unit"
    missing: Literal["random", "stable", "reject"] = "random"


@record
class DomainConfig:
    """How a domain is served; each change makes a new revision.

    ``hold_out`` is the share of units that no experiment ever sees, to know what all experiments together have done.
    ``access`` says whom gateways answer: everybody (``open``), or callers with one of the ``keys`` that are for it.
    ``limits`` hold for all callers together. ``timeout`` is how long an answer may take to begin; ``deadline`` is when
    it must have ended, streams too, which the header x-vedette-deadline may shorten for a request (0: none). Where
    there is a ``breaker`` a backend that fails is left alone; where there is a ``hedge`` one that is late to begin is
    asked a second time; where there is a ``cache`` answers are given again; a
    ``shadow`` asks a version too whose answers nobody sees. ``prices`` are by version (``*``: all others); with them
    the cost of each answer is recorded, which ``budgets`` of money are made of. With ``keep_units`` each outcome has
    a keyed pseudonym of its unit, by which the outcomes of one unit can be listed and erased.
    """

    assignment: Assignment = Assignment()
    timeout: Seconds = 60.0
    retries: int = 1
    fallback: bool = True
    metrics: tuple[Metric, ...] = ()
    hold_out: Percent = 0.0
    access: Literal["open", "keys"] = "open"
    limits: Limits = Limits()
    deadline: Seconds = 0.0
    breaker: Breaker | None = None
    hedge: Hedge | None = None
    cache: Cache | None = None
    shadow: Shadow | None = None
    prices: Mapping[str, Price] | None = None
    budgets: tuple[Budget, ...] = ()
    keep_units: bool = False

    def __post_init__(self) -> None:
        """Refuse retries without end and two metrics of one name."""
        if not 0 <= self.retries <= 5:
            raise InvalidInput(f"retries must be 0 to 5, not {self.retries}")
        if any(budget.of == "money" for budget in self.budgets) and not self.prices:
            raise InvalidInput("a budget of money needs prices", hint="prices: {'*': {tokensIn: 0.5, tokensOut: 1.5}}")
        names = [metric.name for metric in (*BUILT_IN, *self.metrics)]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InvalidInput(f"metric {twice!r} is declared twice", hint="built-in metrics have their names already")

    def metric(self, name: str) -> Metric:
        """Give the metric of that name, declared here or built in.

        Raises:
            NotFound: there is none.
        """
        known = {metric.name: metric for metric in (*BUILT_IN, *self.metrics)}
        if name not in known:
            raise NotFound(f"there is no metric {name!r}", hint=f"known here: {', '.join(sorted(known))}")
        return known[name]


@record
class DomainSpec:
    """What a user says of a domain."""

    title: str = ""
    description: str = ""
    config: DomainConfig = DomainConfig()


@record
class Domain:
    """One domain as it stands: its state, and its configuration at ``revision``."""

    id: str
    title: str
    description: str
    labels: Mapping[str, str]
    config: DomainConfig
    state: DomainState
    revision: int
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        """Refuse an id that cannot stand in a URL or a label."""
        check_name(self.id, "domain")
