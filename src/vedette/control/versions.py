"""Model versions: register them, see their history, and install a domain's very first stable one."""

import os
from datetime import datetime
from pathlib import Path

from vedette.catalog.backend import LocalBackend
from vedette.catalog.lifecycle import DomainState
from vedette.catalog.version import ModelVersion, Tenure, VersionSpec
from vedette.connectors.local import LocalModel
from vedette.control.change import Changes
from vedette.control.traffic import Traffic
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, Corrupt, NotFound, Refused
from vedette.rollouts.machine import ACTIVE
from vedette.store import domains, rollouts, versions
from vedette.store.pages import Page


class Versions:
    """The model versions of all domains."""

    def __init__(self, changes: Changes, traffic: Traffic) -> None:
        self._changes = changes
        self._traffic = traffic

    def register(
        self, domain_id: str, name: str, spec: VersionSpec, *, actor: str = "", request_id: str = ""
    ) -> ModelVersion:
        """Store a new version; it serves nothing before a rollout, or `install`, says so.

        A local artefact is loaded once to see that it is what its digest says and can answer.

        Raises:
            NotFound: no such domain, parent or artefact.
            Conflict: the domain has a version of that name with another spec (an equal one is given back).
            Corrupt: the artefact is not what its digest says, or cannot be loaded safely.
            Refused: the domain is not active.
        """
        if isinstance(spec.backend, LocalBackend):
            _try_out(spec.backend)
        with self._changes.reading() as connection:
            domain = domains.get(connection, domain_id)
            if spec.parent:
                versions.get(connection, domain_id, spec.parent)
        if domain.state is not DomainState.ACTIVE:
            raise Refused(f"domain {domain_id!r} is {domain.state}", hint="restore it first")
        try:
            known = self.get(domain_id, name)
        except NotFound:
            pass
        else:
            if known.spec == spec:
                return known
            raise Conflict(
                f"version {name!r} of {domain_id!r} exists with another spec",
                hint="versions never change; choose a new name",
            )
        with self._changes.begin(actor, request_id) as change:
            version = ModelVersion(
                domain=domain_id, name=name, spec=spec, created_at=change.at, created_by=change.actor
            )
            versions.create(change.connection, version)
            change.record("version.register", domain=domain_id, resource=f"version/{domain_id}/{name}", spec=dump(spec))
            if domain.config.shadow is not None and domain.config.shadow.version == name:
                self._traffic.publish(change, domain_id)
        return version

    def get(self, domain_id: str, name: str) -> ModelVersion:
        """Give one version.

        Raises:
            NotFound: there is none.
        """
        with self._changes.reading() as connection:
            return versions.get(connection, domain_id, name)

    def page(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[ModelVersion]:
        """List a domain's versions, the newest first."""
        with self._changes.reading() as connection:
            domains.get(connection, domain_id)
            return versions.page(connection, domain_id, after=after, limit=limit)

    def aliases(self, domain_id: str) -> dict[str, str]:
        """Give which version is ``stable`` and which is ``candidate``."""
        with self._changes.reading() as connection:
            domains.get(connection, domain_id)
            return versions.aliases(connection, domain_id)

    def tenures(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[Tenure]:
        """List what was stable when, the newest first."""
        with self._changes.reading() as connection:
            domains.get(connection, domain_id)
            return versions.tenures(connection, domain_id, after=after, limit=limit)

    def serving(self, domain_id: str, at: datetime) -> Tenure:
        """Say what served a domain at a moment.

        Raises:
            NotFound: nothing did.
        """
        with self._changes.reading() as connection:
            domains.get(connection, domain_id)
            found = versions.serving(connection, domain_id, at)
        if found is None:
            raise NotFound(f"nothing served {domain_id!r} at {at.isoformat()}")
        return found

    def install(self, domain_id: str, name: str, *, actor: str = "", why: str = "", request_id: str = "") -> Tenure:
        """Make a version stable at once: for a domain's first version. Later ones earn it by a rollout.

        Raises:
            NotFound: there is no such version.
            Refused: the domain has another stable version, is not active, or a rollout of it runs.
        """
        with self._changes.begin(actor, request_id) as change:
            connection = change.connection
            if (domain := domains.get(connection, domain_id)).state is not DomainState.ACTIVE:
                raise Refused(f"domain {domain_id!r} is {domain.state}", hint="restore it first")
            versions.get(connection, domain_id, name)
            stable = versions.aliases(connection, domain_id).get("stable", name)
            running = rollouts.latest(connection, domain_id)
            if stable != name or (running is not None and running.status.phase in ACTIVE):
                raise Refused(
                    f"domain {domain_id!r} has a stable version already ({stable})",
                    hint="take a new one live by a rollout: vedette rollout start",
                )
            versions.install_stable(connection, domain_id, name, at=change.at, cause=why or "installed by hand")
            change.record("version.install", domain=domain_id, resource=f"version/{domain_id}/{name}", why=why)
            self._traffic.publish(change, domain_id)
            found = versions.serving(connection, domain_id, change.at)
        if found is None:  # install_stable opened a tenure in this very transaction
            raise NotFound(f"nothing serves {domain_id!r}")
        return found


def _try_out(backend: LocalBackend) -> None:
    """Load an artefact; what is wrong with it is told apart from what is wrong with our own files by ``artefact``."""
    if not os.path.isfile(backend.artefact):  # noqa: PTH113 - Path.is_file raises for names that are too long
        raise NotFound(f"there is no file {backend.artefact!r}", hint="an artefact is read where the server runs")
    try:
        LocalModel.load(Path(backend.artefact), backend.digest, backend.format)
    except Corrupt as error:
        error.details = {**error.details, "artefact": backend.artefact}
        raise
