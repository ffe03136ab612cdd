"""Domains: create, update, archive, restore, delete; every revision is kept."""

from collections.abc import Mapping
from datetime import datetime

from vedette.catalog.domain import Domain, DomainSpec
from vedette.catalog.lifecycle import DomainEvent, DomainState, follow
from vedette.control.change import Change, Changes, since
from vedette.control.traffic import Traffic
from vedette.evidence.metric import BUILT_IN
from vedette.kernel.documents import dump
from vedette.kernel.errors import NotFound, Refused, StaleRevision
from vedette.kernel.records import evolve
from vedette.store import domains, experiments
from vedette.store.domains import DomainRevision
from vedette.store.pages import Page

_HINTS = {"active rollouts": "abort or finish its rollout", "running experiments": "stop its experiments"}


class Domains:
    """The domain catalogue."""

    def __init__(self, changes: Changes, traffic: Traffic) -> None:
        self._changes = changes
        self._traffic = traffic

    def create(
        self,
        domain_id: str,
        spec: DomainSpec,
        *,
        actor: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Domain:
        """Create a domain; it serves nothing until it has a stable version.

        The first domain that keeps units makes the pepper, where no key has made it yet.

        Raises:
            InvalidInput: the id cannot name a domain.
            Conflict: it exists already, or somebody else made the pepper at the same moment.
            Unavailable: it keeps units, and the pepper can be neither read nor made.
        """
        with self._changes.begin(actor, request_id) as change:
            domain = _new(domain_id, spec, labels or {}, change.at)
            domains.create(change.connection, domain, actor=change.actor)
            change.record("domain.create", domain=domain_id, resource=f"domain/{domain_id}", domain_after=dump(domain))
            self._traffic.publish(change, domain_id)
        return domain

    def get(self, domain_id: str) -> Domain:
        """Give a domain, archived and deleted ones too.

        Raises:
            NotFound: there is none.
        """
        with self._changes.reading() as connection:
            return domains.get(connection, domain_id)

    def page(self, *, state: DomainState | None = None, after: str | None = None, limit: int = 50) -> Page[Domain]:
        """List domains by id, a page at a time; without a state, all but the deleted ones."""
        with self._changes.reading() as connection:
            return domains.page(connection, state=state, after=after, limit=limit)

    def revisions(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[DomainRevision]:
        """List every revision of a domain, the newest first."""
        with self._changes.reading() as connection:
            domains.get(connection, domain_id)
            return domains.revisions(connection, domain_id, after=after, limit=limit)

    def update(
        self,
        domain_id: str,
        spec: DomainSpec,
        *,
        actor: str = "",
        labels: Mapping[str, str] | None = None,
        expected_revision: int | None = None,
        request_id: str = "",
    ) -> Domain:
        """Replace what a user says of a domain; an equal spec changes nothing and makes no revision.

        Raises:
            NotFound: there is no such domain.
            Refused: it is not active, or a metric goes that a running experiment measures.
            StaleRevision: it is not at ``expected_revision``; nothing was changed.
            Conflict: it is to keep units, and somebody else made the pepper at the same moment.
            Unavailable: it is to keep units, and the pepper can be neither read nor made.
        """
        with self._changes.reading() as connection:
            domain = domains.get(connection, domain_id)
        wanted = evolve(
            domain,
            title=spec.title,
            description=spec.description,
            config=spec.config,
            labels=domain.labels if labels is None else dict(labels),
        )
        if wanted == domain and expected_revision in {None, domain.revision}:
            return domain
        return self._move(domain, wanted, DomainEvent.UPDATE, actor, expected_revision, request_id)

    def apply(
        self,
        domain_id: str,
        spec: DomainSpec,
        *,
        actor: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Domain:
        """Create the domain, or update it to this spec: what ``vedette apply`` does."""
        try:
            return self.update(domain_id, spec, actor=actor, labels=labels, request_id=request_id)
        except NotFound:
            return self.create(domain_id, spec, actor=actor, labels=labels, request_id=request_id)

    def archive(
        self, domain_id: str, *, actor: str = "", expected_revision: int | None = None, request_id: str = ""
    ) -> Domain:
        """Stop serving a domain and keep everything it has.

        Raises:
            Refused: it is not active, or a rollout or an experiment of it still runs.
        """
        domain = self.get(domain_id)
        return self._move(domain, domain, DomainEvent.ARCHIVE, actor, expected_revision, request_id)

    def restore(
        self, domain_id: str, *, actor: str = "", expected_revision: int | None = None, request_id: str = ""
    ) -> Domain:
        """Serve an archived domain again, with the stable version it had."""
        domain = self.get(domain_id)
        return self._move(domain, domain, DomainEvent.RESTORE, actor, expected_revision, request_id)

    def delete(
        self, domain_id: str, *, actor: str = "", expected_revision: int | None = None, request_id: str = ""
    ) -> Domain:
        """Delete a domain that nothing depends on; its record stays.

        Raises:
            Refused: a rollout or an experiment of it runs, or it is still served.
        """
        domain = self.get(domain_id)
        return self._move(domain, domain, DomainEvent.DELETE, actor, expected_revision, request_id)

    def _move(
        self, domain: Domain, wanted: Domain, event: DomainEvent, actor: str, expected: int | None, request_id: str
    ) -> Domain:
        state = follow(domain.state, event)
        if expected is not None and expected != domain.revision:
            raise StaleRevision(
                f"domain {domain.id!r} is at revision {domain.revision}, not {expected}", hint="read it again"
            )
        with self._changes.begin(actor, request_id) as change:
            if event in {DomainEvent.ARCHIVE, DomainEvent.DELETE}:
                _refuse_dependants(change, domain, event)
            if event is DomainEvent.UPDATE:
                _keep_metrics(change, wanted)
            after = evolve(wanted, state=state, revision=domain.revision + 1, updated_at=change.at)
            domains.replace(change.connection, after, expected_revision=domain.revision, actor=change.actor)
            difference = since(dump(domain), dump(after))
            change.record(f"domain.{event}", domain=domain.id, resource=f"domain/{domain.id}", changed=difference)
            self._traffic.publish(change, domain.id)
        return after


def _new(domain_id: str, spec: DomainSpec, labels: Mapping[str, str], at: datetime) -> Domain:
    return Domain(
        id=domain_id,
        title=spec.title,
        description=spec.description,
        labels=dict(labels),
        config=spec.config,
        state=DomainState.ACTIVE,
        revision=1,
        created_at=at,
        updated_at=at,
    )


def _refuse_dependants(change: Change, domain: Domain, event: DomainEvent) -> None:
    held = domains.dependants(change.connection, domain.id)
    if event is DomainEvent.ARCHIVE or domain.state is DomainState.ARCHIVED:
        held.pop("stable version", None)  # archiving is how serving ends
    if held:
        named = ", ".join(f"{count} {what}" for what, count in held.items())
        raise Refused(
            f"cannot {event} domain {domain.id!r}: {named} depend on it",
            hint=next((hint for what, hint in _HINTS.items() if what in held), "archive it first"),
        )


def _keep_metrics(change: Change, wanted: Domain) -> None:
    """Refuse to take away a metric that a running experiment measures, or to read it from where no units are known."""
    known = {metric.name for metric in (*BUILT_IN, *wanted.config.metrics) if metric.source is None}
    for experiment in experiments.running(change.connection, wanted.id):
        if gone := sorted({use.metric for use in experiment.spec.metrics} - known):
            raise Refused(
                f"experiment {experiment.name!r} measures {', '.join(gone)}", hint="keep the metric, or stop it first"
            )
