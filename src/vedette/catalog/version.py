"""A model version: immutable once created, with its backend, origin and figures."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from vedette.catalog.backend import Backend
from vedette.kernel.ids import check_name
from vedette.kernel.records import record

Alias = Literal["stable", "candidate"]
"""The names a version can carry: ``stable`` is served, ``candidate`` is on its way."""


@record
class VersionSpec:
    """What a user says of a version: where it answers, what it came from, how it did in training."""

    backend: Backend
    parent: str = ""
    training_run: str = ""
    metrics: Mapping[str, float] | None = None
    labels: Mapping[str, str] | None = None
    note: str = ""


@record
class ModelVersion:
    """One version of one domain's model."""

    domain: str
    name: str
    spec: VersionSpec
    created_at: datetime
    created_by: str

    def __post_init__(self) -> None:
        """Refuse a name that cannot stand in a URL or a label."""
        check_name(self.name, "version")


@record
class Tenure:
    """A span in which a version was the stable one; ``until`` is None for the one that is."""

    version: str
    since: datetime
    until: datetime | None
    cause: str
