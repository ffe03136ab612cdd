"""What a user asks of an experiment: variants, metrics, how it is looked at, what follows. Immutable once started."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from vedette.experiments.metrics import MetricUse
from vedette.experiments.monitoring import Allocation, AnytimeValid, EvenSplit, Monitoring, TopTwo
from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Percent, Seconds
from vedette.kernel.ids import check_name
from vedette.kernel.records import record
from vedette.routing.override import Override, Rule
from vedette.stats.multiplicity import Multiplicity

Comparisons = Literal["control", "all-pairs", "best"]
"""Every variant against the control, every pair, or the leader against all others."""


@record
class Variant:
    """One arm: its share of the experiment's traffic (in proportion to the others' weights) and what it changes."""

    name: str
    weight: float = 1.0
    override: Override = Override()

    def __post_init__(self) -> None:
        """Refuse names that cannot stand in a URL, and weights without meaning."""
        check_name(self.name, "variant")
        if not 0 < self.weight < float("inf"):
            raise InvalidInput(f"the weight of {self.name!r} must be above 0, not {self.weight}")


@record
class ExperimentSpec:
    """An experiment as asked for.

    ``control`` is what the others are compared with (the first variant unless named). Experiments of one ``layer``
    never share a unit; those of different layers overlap independently. ``coverage`` is the share of the layer's units
    that take part, and may grow to ``reserve`` (kept free for it; coverage unless given). ``targeting`` rules must all
    hold. ``dimensions`` are request headers (or ``user``) by whose values results can be broken down.

    ``alpha`` is the chance of a false claim, ``min_units`` what every arm needs before anything is said. ``on_winner``
    says what follows a verdict: people are told (``notify``), the experiment is ended (``decide``), or the winner's
    version is taken live by a rollout as well (``promote``, over the fields of ``rollout``). ``on_guardrail`` takes a
    harmful arm out at once (``stop``) or only says so. ``max_duration`` ends it without a verdict. ``offline`` is an
    experiment without traffic: models judged on one set of prompts.
    """

    domain: str
    variants: tuple[Variant, ...]
    metrics: tuple[MetricUse, ...]
    control: str = ""
    hypothesis: str = ""
    layer: str = "default"
    coverage: Percent = 100.0
    reserve: Percent | None = None
    targeting: tuple[Rule, ...] = ()
    dimensions: tuple[str, ...] = ()
    comparisons: Comparisons = "control"
    alpha: float = 0.05
    monitoring: Monitoring = AnytimeValid()
    multiplicity: Multiplicity = Multiplicity()
    allocation: Allocation = EvenSplit()
    min_units: int = 100
    max_duration: Seconds = 0.0
    on_winner: Literal["notify", "decide", "promote"] = "notify"
    on_guardrail: Literal["stop", "notify"] = "stop"
    rollout: Mapping[str, Any] | None = None
    offline: bool = False
    webhooks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse experiments that cannot be."""
        check_name(self.domain, "domain")
        check_name(self.layer, "layer")
        self._check_variants()
        self._check_metrics()
        if not 0 < self.alpha < 0.5:
            raise InvalidInput(f"alpha must lie between 0 and 0.5, not {self.alpha}")
        if not 0 < self.coverage <= self.most_coverage <= 100:
            raise InvalidInput("coverage must be above 0% and no more than reserve")
        if self.min_units < 2:
            raise InvalidInput("minUnits must be 2 or more", hint="a spread needs two units")
        for url in self.webhooks:
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
                raise InvalidInput(f"webhook {url!r} is no web address", hint="write https://host/path")

    def _check_variants(self) -> None:
        names = [variant.name for variant in self.variants]
        if not 2 <= len(names) <= 100:
            raise InvalidInput(f"an experiment has 2 to 100 variants, not {len(names)}")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InvalidInput(f"two variants are called {twice!r}")
        if self.control and self.control not in names:
            raise InvalidInput(f"the control {self.control!r} is no variant", hint=f"variants: {', '.join(names)}")
        if isinstance(self.allocation, TopTwo) and self.allocation.minimum * len(names) > 1:
            raise InvalidInput(f"{len(names)} arms cannot each have {self.allocation.minimum:g} of the traffic")
        if not self.offline:
            touched = [variant.override.touches() for variant in self.variants]
            if not any(touched):
                raise InvalidInput("no variant changes anything", hint="give one an override, such as a version")
        if self.on_winner == "promote":
            for variant in self.variants:
                if variant.name != self.control_name and variant.override.touches() != {"version"}:
                    raise InvalidInput(
                        f"{variant.name!r} cannot be promoted by a rollout: it changes more than the version",
                        hint="say onWinner: decide, and take the change live by hand",
                    )

    def _check_metrics(self) -> None:
        names = [use.metric for use in self.metrics]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InvalidInput(f"metric {twice!r} is used twice")
        primary = [use.metric for use in self.metrics if use.role == "primary"]
        if len(primary) != 1:
            raise InvalidInput(
                f"one metric decides, not {len(primary)}", hint="give exactly one metric the role primary"
            )

    @property
    def control_name(self) -> str:
        """The variant the others are compared with."""
        return self.control or self.variants[0].name

    @property
    def most_coverage(self) -> float:
        """The share of the layer it may grow to, in percent."""
        return self.coverage if self.reserve is None else self.reserve

    def touches(self) -> frozenset[str]:
        """Name everything any variant changes."""
        return frozenset[str]().union(*(variant.override.touches() for variant in self.variants))
