"""Model versions of a server: the same methods as `vedette.control.versions.Versions`."""

from datetime import datetime

from vedette.catalog.version import ModelVersion, Tenure, VersionSpec
from vedette.client.wire import Wire, named
from vedette.kernel.documents import dump
from vedette.kernel.ids import check_name
from vedette.store.pages import Page


class Versions:
    """The model versions of all domains of a server; it reads local artefacts where it runs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def register(
        self, domain_id: str, name: str, spec: VersionSpec, *, actor: str = "", request_id: str = ""
    ) -> ModelVersion:
        """Store a new version; it serves nothing before a rollout, or `install`, says so."""
        body = {"name": check_name(name, "version"), "spec": dump(spec)}
        return self._wire.send(
            ModelVersion, "POST", f"/domains/{named(domain_id)}/versions", body, actor=actor, request_id=request_id
        )

    def get(self, domain_id: str, name: str) -> ModelVersion:
        """Give one version."""
        return self._wire.get(ModelVersion, f"/domains/{named(domain_id)}/versions/{named(name)}")

    def page(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[ModelVersion]:
        """List a domain's versions, the newest first."""
        return self._wire.page(ModelVersion, f"/domains/{named(domain_id)}/versions", after=after, limit=limit)

    def aliases(self, domain_id: str) -> dict[str, str]:
        """Give which version is ``stable`` and which is ``candidate``."""
        found = self._wire.get(dict[str, str], f"/domains/{named(domain_id)}/aliases")
        return {alias: version for alias, version in found.items() if version}

    def tenures(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[Tenure]:
        """List what was stable when, the newest first."""
        return self._wire.page(Tenure, f"/domains/{named(domain_id)}/tenures", after=after, limit=limit)

    def serving(self, domain_id: str, at: datetime) -> Tenure:
        """Say what served a domain at a moment."""
        return self._wire.get(Tenure, f"/domains/{named(domain_id)}/serving", at=at)

    def install(self, domain_id: str, name: str, *, actor: str = "", why: str = "", request_id: str = "") -> Tenure:
        """Make a version stable at once: for a domain's first version. Later ones earn it by a rollout."""
        path = f"/domains/{named(domain_id)}/versions/{named(name)}/install"
        return self._wire.send(Tenure, "POST", path, {"why": why}, actor=actor, request_id=request_id)
