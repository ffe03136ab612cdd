"""Documents over HTTP: what ``vedette apply -f`` sends."""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from pydantic import Discriminator, Field
from starlette.exceptions import HTTPException

from vedette.api.bodies import media_of, text_of
from vedette.api.requests import NAMED, Create, Plane
from vedette.api.routes import BODY, plain, router
from vedette.catalog.domain import DomainSpec
from vedette.control.apply import Applied, VersionDocument, apply_text
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.errors import InvalidDocument
from vedette.kernel.records import record
from vedette.rollouts.spec import RolloutSpec

routes = router("apply")

MEDIA_TYPES = ("application/yaml", "application/json")
_BRACKET = re.compile(r"[\[\]{}]")
_DEEPEST = 100
_TAKEN = {*MEDIA_TYPES, "application/x-yaml", "text/yaml"}


@record
class Application:
    """What each document did, in the order in which they were applied."""

    items: tuple[Applied, ...]
    dry_run: bool


@record
class Metadata:
    """What a document is called, and its labels (rollouts and experiments have none)."""

    name: Annotated[str, Field(pattern=NAMED)]
    labels: Mapping[str, str] = field(default_factory=dict)


@record
class DomainDocument:
    """A domain as a document."""

    api_version: Literal["vedette/v1"]
    kind: Literal["Domain"]
    metadata: Metadata
    spec: DomainSpec = DomainSpec()


@record
class ModelVersionDocument:
    """A model version as a document."""

    api_version: Literal["vedette/v1"]
    kind: Literal["ModelVersion"]
    metadata: Metadata
    spec: VersionDocument


@record
class RolloutDocument:
    """A rollout as a document."""

    api_version: Literal["vedette/v1"]
    kind: Literal["Rollout"]
    metadata: Metadata
    spec: RolloutSpec


@record
class ExperimentDocument:
    """An experiment as a document."""

    api_version: Literal["vedette/v1"]
    kind: Literal["Experiment"]
    metadata: Metadata
    spec: ExperimentSpec


AnyDocument = Annotated[
    DomainDocument | ModelVersionDocument | RolloutDocument | ExperimentDocument, Discriminator("kind")
]
"""The shape of a document, for the OpenAPI document; reading one keeps its lines (`kernel.documents`)."""


async def _text(request: Request) -> str:
    media = media_of(request)
    if media not in _TAKEN:
        raise HTTPException(415, f"send {' or '.join(MEDIA_TYPES)}, not {media or 'a body without Content-Type'}")
    text = await text_of(request)
    _refuse_depth(text)
    return text


def _refuse_depth(text: str) -> None:
    """Refuse brackets in brackets without end before a parser tries: its time grows with the square of their depth."""
    depth = 0
    for match in _BRACKET.finditer(text):
        depth = depth + 1 if match[0] in "[{" else max(0, depth - 1)
        if depth > _DEEPEST:
            line, column = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
            raise InvalidDocument("nested too deeply", source="<body>", line=line, column=column)


@routes.post("/apply", responses=plain(404, 409, 412, *BODY))
def apply(
    plane: Plane,
    text: Annotated[str, Depends(_text)],
    write: Create,
    dry_run: Annotated[bool, Query(alias="dryRun", description="Do everything and keep nothing.")] = False,  # noqa: FBT002 - a query
) -> Application:
    """Make what is stored be as the documents of a YAML or JSON text say, all of it or nothing.

    Domains come first, then versions, rollouts and experiments. A local backend's artefact is a path on the server.
    """

    def act() -> Application:
        applied = apply_text(
            plane, text, actor=write.actor, source="<body>", dry_run=dry_run, request_id=write.request_id
        )
        return Application(items=applied, dry_run=dry_run)

    return write.give(act)
