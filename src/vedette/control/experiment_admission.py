"""What an experiment must be before it may run: read from what people say, found by what they call it, admitted."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from vedette.catalog.lifecycle import DomainState
from vedette.experiments.design import WEIGHTS_ADD_UP
from vedette.experiments.metrics import MetricUse
from vedette.experiments.monitoring import TopTwo
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput, NotFound, Refused
from vedette.kernel.records import evolve
from vedette.rollouts.spec import RolloutSpec
from vedette.routing.layers import PLACES, RunningExperiment, Stretch, reserve
from vedette.routing.override import Override
from vedette.routing.plan import millionths
from vedette.store import domains, experiments, versions
from vedette.store.experiments import StoredExperiment

Variants = ExperimentSpec | Sequence[str | Mapping[str, Any] | Variant]
"""A whole spec, or variants: objects, mappings with their fields, or names of versions."""

Splits = Sequence[float] | Mapping[str, float]
"""Shares in the order of the variants, or by their names: fractions or percent."""


def find(connection: Connection, ref: str) -> StoredExperiment:
    """Give an experiment by its id or its name.

    Raises:
        NotFound: there is none.
    """
    found = experiments.named(connection, ref)
    return found or experiments.get(connection, ref)


def spec_of(
    connection: Connection, domain: str, variants: Variants, splits: Splits | None, design: Mapping[str, Any]
) -> ExperimentSpec:
    """Read what people say of an experiment as its spec.

    Raises:
        InvalidInput: it cannot be, or the splits do not add up.
        NotFound: a variant is named after a version there is none of.
    """
    if isinstance(variants, ExperimentSpec):
        if splits is not None or design:
            raise InvalidInput("a whole spec says its splits and its design itself", hint="give one or the other")
        if variants.domain != domain:
            raise InvalidInput(f"the spec is of domain {variants.domain!r}, not {domain!r}")
        return variants
    control = design.get("control") or next(iter(variants), "")
    free = bool(design.get("offline"))
    made = [_variant(connection, domain, said, free=free or said == control) for said in variants]
    if splits is not None:
        shares = _shares([variant.name for variant in made], splits)
        made = [evolve(variant, weight=share) for variant, share in zip(made, shares, strict=True)]
    fields = {**design, "domain": domain, "variants": tuple(made)}
    if "metrics" in fields:
        fields["metrics"] = tuple(_use(said, first=place == 0) for place, said in enumerate(fields["metrics"]))
    return load(ExperimentSpec, fields)


def _variant(connection: Connection, domain: str, said: str | Mapping[str, Any] | Variant, *, free: bool) -> Variant:
    """Read one variant; the name of one that is ``free`` need be no version."""
    if not isinstance(said, str):
        return said if isinstance(said, Variant) else load(Variant, said)
    try:
        versions.get(connection, domain, said)
    except NotFound:
        if free:
            return Variant(name=said)
        raise NotFound(
            f"the variant {said!r} is no version of {domain!r}, and says nothing else that it changes",
            hint="register the version, or give the variant an override",
        ) from None
    return Variant(name=said, override=Override(version=said))


def _shares(names: Sequence[str], splits: Splits) -> list[float]:
    """Read splits as fractions, in the order of the variants."""
    if isinstance(splits, Mapping):
        if set(splits) != set(names):
            raise InvalidInput(
                f"the splits name {', '.join(map(str, splits))}", hint=f"name every variant once: {', '.join(names)}"
            )
        splits = [splits[name] for name in names]
    if len(splits) != len(names):
        raise InvalidInput(f"{len(splits)} splits do not belong to {len(names)} variants", hint="give one each")
    shares = [float(share) for share in splits]
    total = sum(shares)
    whole = 100.0 if total > 1 + WEIGHTS_ADD_UP else 1.0
    if not all(0 < share < float("inf") for share in shares) or abs(total - whole) > whole * WEIGHTS_ADD_UP:
        raise InvalidInput(
            f"splits are above 0 and add up to 1 (or 100 %), not {total:g}",
            hint=f"got {', '.join(f'{share:g}' for share in shares)}",
        )
    return [share / whole for share in shares]


def _use(said: object, *, first: bool) -> object:
    """Read a metric that may be a mere name; the first of such names decides."""
    if isinstance(said, str):
        return MetricUse(metric=said, role="primary" if first else "secondary")
    return said


def check(connection: Connection, experiment: StoredExperiment) -> None:
    """Refuse an experiment that could not run at any time.

    Raises:
        NotFound: no such domain, version or metric.
        InvalidInput: a dimension may not be recorded, an offline experiment asks for what takes traffic, or the
            rollout of its winner could not be.
    """
    spec = experiment.spec
    domain = domains.get(connection, spec.domain)
    for use in spec.metrics:
        use.measured(domain.config.metric(use.metric))
    for variant in spec.variants:
        if variant.override.version:
            versions.get(connection, spec.domain, variant.override.version)
            if spec.on_winner == "promote" and variant.name != spec.control_name:
                rollout_of(spec, variant.name)
    if spec.offline and isinstance(spec.allocation, TopTwo):
        raise InvalidInput("an offline experiment has no traffic to move", hint="leave allocation out")
    if spec.offline and spec.dimensions:
        raise InvalidInput("an offline experiment has no requests to break down", hint="leave dimensions out")
    running_of(evolve(experiment, status=evolve(experiment.status, stretches=(), exposed=0, slices=())))


def admit(connection: Connection, experiment: StoredExperiment, exposed: int, *, hold: bool = True) -> None:
    """Refuse an experiment that could not run now.

    ``hold`` keeps others from starting on its domain until the transaction ends; who only asks needs none.

    Raises:
        InvalidInput: it would expose more than it reserves, or nothing.
        NotFound: no such domain, version or metric.
        Refused: it is offline, the domain is not active or has no stable version, or a running experiment of another
            layer changes the same thing.
    """
    spec = experiment.spec
    if spec.offline:
        raise Refused("an offline experiment starts with its scores", hint="vedette experiment score")
    if not 0 < exposed <= millionths(spec.most_coverage):
        raise InvalidInput(
            f"coverage must be above 0% and at most {spec.most_coverage:g}%", hint="reserve more in the spec"
        )
    domain = domains.get(connection, spec.domain, hold=hold)
    if domain.state is not DomainState.ACTIVE:
        raise Refused(f"domain {domain.id!r} is {domain.state}", hint="restore it first")
    check(connection, experiment)
    if not versions.aliases(connection, spec.domain).get("stable", ""):
        raise Refused(
            f"domain {domain.id!r} has no stable version to serve everybody else with",
            hint="make its first version stable: vedette version install",
        )
    for other in experiments.exposing(connection, spec.domain):
        both = spec.touches() & other.spec.touches()
        if both and other.spec.layer != spec.layer:
            raise Refused(
                f"{other.name!r}, which runs in layer {other.spec.layer!r}, changes {', '.join(sorted(both))} as well:"
                " a unit in both could only have one of them",
                hint=f"draft it in layer {other.spec.layer!r}, where nobody is in both, or wait for {other.name!r}",
            )


def places(connection: Connection, experiment: StoredExperiment) -> tuple[Stretch, ...]:
    """Find free places of its layer for all that an experiment reserves.

    Raises:
        Refused: there are too few; it says how many are free, and who has the others.
    """
    return _free(connection, experiment, millionths(experiment.spec.most_coverage))


def more_places(connection: Connection, experiment: StoredExperiment, exposed: int) -> tuple[Stretch, ...]:
    """Find free places for what an experiment is to expose beyond those it holds; none where it holds enough.

    Raises:
        Refused: there are too few.
    """
    held = sum(part.end - part.begin for part in experiment.status.stretches)
    if exposed <= held:
        return ()
    domains.get(connection, experiment.domain, hold=True)
    return _free(connection, experiment, exposed - held)


def _free(connection: Connection, experiment: StoredExperiment, wanted: int) -> tuple[Stretch, ...]:
    layer = experiment.spec.layer
    running = [it for it in experiments.exposing(connection, experiment.domain) if it.spec.layer == layer]
    taken = [part for it in running for part in it.status.stretches]
    found = reserve(taken, wanted)
    if found is None:
        free = PLACES - sum(part.end - part.begin for part in taken)
        holders = ", ".join(it.name for it in running)
        raise Refused(
            f"layer {layer!r} has {100 * free / PLACES:g} % free, and {100 * wanted / PLACES:g} % are asked for",
            hint=f"lower coverage and reserve, choose another layer, or wait for {holders}",
        )
    return found


def running_of(experiment: StoredExperiment) -> RunningExperiment:
    """Give an experiment as gateways need it: the arms that are still in it, where its units are, who takes part."""
    spec, status = experiment.spec, experiment.status
    served = {piece.arm for piece in status.slices}
    return RunningExperiment(
        id=experiment.id,
        name=experiment.name,
        salt=status.salt,
        epoch=status.epoch,
        stretches=status.stretches,
        exposed=status.exposed,
        slices=status.slices,
        overrides={variant.name: variant.override for variant in spec.variants if variant.name in served},
        targeting=spec.targeting,
        dimensions=spec.dimensions,
    )


def rollout_of(spec: ExperimentSpec, winner: str) -> RolloutSpec:
    """Give the rollout that takes a variant's version live.

    Raises:
        Refused: the variant changes more than the version, or nothing.
        InvalidInput: the spec's ``rollout`` fields are wrong.
    """
    override = next(variant.override for variant in spec.variants if variant.name == winner)
    if override.touches() != {"version"}:
        changed = ", ".join(sorted(override.touches())) or "nothing"
        raise Refused(
            f"{winner!r} cannot be taken live by a rollout: it changes {changed}",
            hint="a rollout takes a version live; make the change by hand",
        )
    return load(RolloutSpec, {**(spec.rollout or {}), "domain": spec.domain, "version": override.version})
