"""Applying documents: make what is stored be as the documents say, all of it or nothing.

Domains come first, then model versions, rollouts and experiments, whatever their order in the text. ``metadata.name``
is the id of a Domain, the name of a ModelVersion (``spec.domain`` says whose), of a Rollout and of an Experiment, which
is drafted and not started. ``metadata.labels`` label domains and versions. A dry run does the very same work and keeps
nothing of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

from vedette.catalog.domain import Domain, DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.change import since
from vedette.control.plane import ControlPlane
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.documents import KINDS, Document, dump, read_documents
from vedette.kernel.errors import InvalidDocument, InvalidInput, NotFound, VedetteError
from vedette.kernel.records import record
from vedette.rollouts.spec import RolloutSpec
from vedette.store import experiments
from vedette.store.rollouts import StoredRollout


@record
class VersionDocument(VersionSpec):
    """The ``spec`` of a ModelVersion document: a version's, and the domain it is of."""

    domain: str


@record
class Applied:
    """What one document did: ``changes`` are ``{field: [before, after]}``, the whole when it was created."""

    kind: str
    name: str
    domain: str
    result: Literal["created", "changed", "unchanged"]
    changes: Mapping[str, Any]


def apply_documents(
    plane: ControlPlane, documents: Sequence[Document], *, actor: str, dry_run: bool = False, request_id: str = ""
) -> tuple[Applied, ...]:
    """Make domains, versions, rollouts and experiments be as ``documents`` say, in one transaction.

    Args:
        plane: where.
        documents: what `vedette.kernel.documents.read_documents` gave, in any order.
        actor: who asks.
        dry_run: do everything and keep nothing.
        request_id: kept in the audit entries.

    Returns:
        What each document did, in the order in which they were applied.

    Raises:
        InvalidDocument: a spec is wrong (with its line and column), or two documents describe one thing.
        VedetteError: whatever the change itself refuses; ``details`` name the document. Nothing was changed.
    """
    built = [(document, _build(document)) for document in sorted(documents, key=lambda it: KINDS.index(it.kind))]
    seen: set[tuple[str, ...]] = set()
    for document, spec in built:
        key = (document.kind, document.name, spec.domain if isinstance(spec, VersionDocument) else "")
        if key in seen:
            raise _refuse(document, f"{document.kind} {document.name!r} is described twice")
        seen.add(key)
    with plane.changes.together(dry_run=dry_run):
        return tuple(_apply(plane, document, spec, actor, request_id) for document, spec in built)


def apply_text(
    plane: ControlPlane, text: str, *, actor: str, source: str = "<text>", dry_run: bool = False, request_id: str = ""
) -> tuple[Applied, ...]:
    """Apply all documents of a YAML or JSON text; see `apply_documents`."""
    documents = read_documents(text, source)
    if not documents:
        raise InvalidInput(f"there is no document in {source}", hint="see examples/domain.yaml for one")
    return apply_documents(plane, documents, actor=actor, dry_run=dry_run, request_id=request_id)


_Spec = DomainSpec | VersionDocument | RolloutSpec | ExperimentSpec


_NAMES = {"Rollout": "a rollout", "Experiment": "an experiment"}


def _build(document: Document) -> _Spec:
    if document.kind == "Domain":
        return document.build(DomainSpec)
    if document.kind == "ModelVersion":
        return document.build(VersionDocument)
    if document.labels:
        raise _refuse(document, f"{_NAMES[document.kind]} has no labels", "metadata")
    if document.kind == "Rollout":
        return document.build(RolloutSpec)
    return document.build(ExperimentSpec)


def _apply(plane: ControlPlane, document: Document, spec: _Spec, actor: str, request_id: str) -> Applied:
    try:
        if isinstance(spec, DomainSpec):
            return _domain(plane, document, spec, actor, request_id)
        if isinstance(spec, VersionDocument):
            return _version(plane, document, spec, actor, request_id)
        if isinstance(spec, RolloutSpec):
            return _rollout(plane, document, spec, actor, request_id)
        return _experiment(plane, document, spec, actor, request_id)
    except VedetteError as error:
        error.details = {**error.details, "document": f"{document.kind} {document.name}", "line": _line(document)}
        raise


def _domain(plane: ControlPlane, document: Document, spec: DomainSpec, actor: str, request_id: str) -> Applied:
    try:
        before: Domain | None = plane.domains.get(document.name)
    except NotFound:
        before = None
    after = plane.domains.apply(document.name, spec, labels=document.labels, actor=actor, request_id=request_id)
    unchanged = before is not None and after.revision == before.revision
    return _said(document, document.name, _facts(before) if before else None, _facts(after), unchanged=unchanged)


def _facts(domain: Domain) -> dict[str, Any]:
    return {name: value for name, value in dump(domain).items() if name in {"title", "description", "labels", "config"}}


def _version(plane: ControlPlane, document: Document, spec: VersionDocument, actor: str, request_id: str) -> Applied:
    said = {it.name: getattr(spec, it.name) for it in fields(VersionSpec)}
    wanted = VersionSpec(**said | ({"labels": dict(document.labels)} if document.labels else {}))
    try:
        plane.versions.get(spec.domain, document.name)
    except NotFound:
        known = False
    else:
        known = True
    after = plane.versions.register(spec.domain, document.name, wanted, actor=actor, request_id=request_id)
    return _said(document, spec.domain, None, dump(after), unchanged=known)


def _rollout(plane: ControlPlane, document: Document, spec: RolloutSpec, actor: str, request_id: str) -> Applied:
    before = _known(plane, document.name)
    after = plane.canary.apply(document.name, spec, actor=actor, request_id=request_id)
    unchanged = before is not None and after.revision == before.revision
    return _said(document, spec.domain, dump(before.spec) if before else None, dump(after.spec), unchanged=unchanged)


def _experiment(plane: ControlPlane, document: Document, spec: ExperimentSpec, actor: str, request_id: str) -> Applied:
    with plane.changes.reading() as connection:
        before = experiments.named(connection, document.name)
    after = plane.experiments.apply(document.name, spec, actor=actor, request_id=request_id)
    unchanged = before is not None and after.revision == before.revision
    return _said(document, spec.domain, dump(before.spec) if before else None, dump(after.spec), unchanged=unchanged)


def _known(plane: ControlPlane, name: str) -> StoredRollout | None:
    try:
        found = plane.canary.get(name)
    except NotFound:
        return None
    return found if found.name == name else None  # it may have been found as the newest of a domain of that name


def _said(
    document: Document, domain: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], *, unchanged: bool
) -> Applied:
    result: Literal["created", "changed", "unchanged"] = (
        "unchanged" if unchanged else "created" if before is None else "changed"
    )
    changes = {} if unchanged else since(before or {}, after)
    return Applied(kind=document.kind, name=document.name, domain=domain, result=result, changes=changes)


def _refuse(document: Document, message: str, field: str = "") -> InvalidDocument:
    line, column = _place(document, field)
    return InvalidDocument(message, source=document.source, line=line, column=column, path=field or "document")


def _line(document: Document) -> int:
    return _place(document)[0]


def _place(document: Document, field: str = "") -> tuple[int, int]:
    line, column = document.origin.lc.key(field) if field else (document.origin.lc.line, document.origin.lc.col)
    return line + 1, column + 1
