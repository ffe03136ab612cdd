"""``vedette version``: model versions, where they answer, and what served when."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vedette.cli import names
from vedette.cli.domains import NAME, more
from vedette.cli.output import card, labels, table, when
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, Family, in_session, page_options, pairs, why
from vedette.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from rich.table import Table

    from vedette.catalog.version import ModelVersion, Tenure
    from vedette.store.pages import Page

version = Family(
    "version",
    help="Register model versions and see what serves; a new one takes traffic only by a rollout.",
    examples=(
        "vedette version register payments v2 --url http://gpu-7:8000/v1 --model payments-v2",
        "vedette version list payments",
    ),
)
VERSION = click.argument("version", shell_complete=names.version, help="The version's name.")


@version.command(
    "register",
    takes=WRITES,
    examples=(
        "vedette version register payments v2 --url http://gpu-7:8000/v1 --model payments-v2 --parent v1",
        "vedette version register legal v3 --artefact models/legal-v3.skops --metric accuracy=0.91",
    ),
)
@NAME
@click.argument("version", help="A new name for it.")
@click.option("--url", help="Base URL of an OpenAI-compatible endpoint, usually ending in /v1.")
@click.option("--model", help="The model's name there. Default: the version's name")
@click.option("--api-key-env", metavar="NAME", help="Environment variable of the gateway that holds the key.")
@click.option("--timeout", metavar="DURATION", help="How long it may take to answer.")
@click.option(
    "--header", "headers", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Sent along; repeatable."
)
@click.option("--artefact", type=click.Path(path_type=Path), help="File of a model to run inside the gateway.")
@click.option("--digest", metavar="SHA256", help="What the file must hash to. Default: what it hashes to now")
@click.option("--format", "format_", type=click.Choice(["skops", "onnx"]), help="Default: by the file's ending")
@click.option("--batch", type=click.IntRange(1, 4096), help="Texts an artefact is asked together. Default: 1")
@click.option("--parent", default="", help="The version it came from.")
@click.option("--training-run", default="", help="The run that made it.")
@click.option("--metric", "metrics", multiple=True, callback=pairs, metavar="NAME=FIGURE", help="From training.")
@click.option("--label", "labels", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Repeatable.")
@click.option("--note", default="", help="Anything worth knowing.")
@in_session
def register(session: Session, domain: str, version: str, **given: Any) -> None:  # noqa: ANN401 - flags
    """Store a new version; it serves nothing yet. Versions never change."""
    from vedette.catalog.version import VersionSpec
    from vedette.kernel.documents import load

    said = {name: given[name] for name in ("parent", "training_run", "note")}
    said |= {name: given[name] for name in ("metrics", "labels") if given[name]}
    spec = load(VersionSpec, {**said, "backend": _backend(version, given)})
    with session.open() as plane:
        session.show(plane.versions.register(domain, version, spec, actor=session.actor), _card)


def _backend(version: str, given: dict[str, Any]) -> dict[str, Any]:
    """Describe the backend the flags name: an endpoint, or an artefact."""
    url, artefact = given["url"], given["artefact"]
    if bool(url) == bool(artefact):
        raise click.UsageError("say where it answers: either --url or --artefact")
    if url:
        rest = {name: given[name] for name in ("api_key_env", "timeout", "headers") if given[name]}
        return {"kind": "openai", "url": url, "model": given["model"] or version, **rest}
    place = artefact.resolve()
    batch = {"batch": given["batch"]} if given["batch"] else {}
    return {
        **batch,
        "kind": "local",
        "artefact": str(place),
        "digest": given["digest"] or _digest(place),
        "format": given["format_"] or ("onnx" if place.suffix == ".onnx" else "skops"),
    }


def _digest(artefact: Path) -> str:
    try:
        with artefact.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NotFound(f"cannot read the artefact {artefact}: {error.strerror}") from error


@version.command("list", examples=("vedette version list payments",))
@NAME
@page_options
@in_session
def list_(session: Session, domain: str, limit: int, after: str | None) -> None:
    """List a domain's versions, the newest first."""
    with session.open() as plane:
        page = plane.versions.page(domain, after=after, limit=limit)
        aliases = plane.versions.aliases(domain)
    session.show(page, lambda found: _list(found, aliases))
    more(session, page)


@version.command("get", examples=("vedette version get payments v2 -o json",))
@NAME
@VERSION
@in_session
def get(session: Session, domain: str, version: str) -> None:
    """Show one version."""
    with session.open() as plane:
        session.show(plane.versions.get(domain, version), _card)


@version.command("install", takes=WRITES, examples=("vedette version install payments v1",))
@NAME
@VERSION
@why
@in_session
def install(session: Session, domain: str, version: str, why: str) -> None:
    """Make a domain's very first version stable at once; later ones earn it by a rollout."""
    with session.open() as plane:
        session.show(plane.versions.install(domain, version, actor=session.actor, why=why), _tenure)


@version.command(
    "serving",
    examples=("vedette version serving payments", "vedette version serving payments --at 2026-03-01T12:00+01:00"),
)
@NAME
@click.option("--at", metavar="TIME", help="ISO 8601; without a zone it is local time. Default: now")
@in_session
def serving(session: Session, domain: str, at: str | None) -> None:
    """Say which version was stable at a moment."""
    with session.open() as plane:
        session.show(plane.versions.serving(domain, moment(at) if at else datetime.now(UTC)), _tenure)


def moment(text: str) -> datetime:
    """Read a time in ISO 8601; without an offset it is local.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{text!r} is no time", hint="write 2026-03-01T12:00 or 2026-03-01T12:00+01:00") from error


def _where(found: "ModelVersion") -> str:
    backend = found.spec.backend
    return f"{backend.url} {backend.model}" if backend.kind == "openai" else f"{backend.artefact} ({backend.format})"


def _list(page: "Page[ModelVersion]", aliases: dict[str, str]) -> "Table":
    named = {version: alias for alias, version in aliases.items()}
    rows = [
        (v.name, named.get(v.name, ""), _where(v), v.spec.parent, v.created_by, when(v.created_at)) for v in page.items
    ]
    return table(("VERSION", "ALIAS", "BACKEND", "PARENT", "BY", "REGISTERED"), rows)


def _card(found: "ModelVersion") -> "Table":
    spec = found.spec
    return card(
        (
            ("version", found.name),
            ("domain", found.domain),
            ("backend", _where(found)),
            ("digest", getattr(spec.backend, "digest", "")),
            ("parent", spec.parent),
            ("training run", spec.training_run),
            ("metrics", ", ".join(f"{name} {value:g}" for name, value in (spec.metrics or {}).items())),
            ("labels", labels(spec.labels)),
            ("note", spec.note),
            ("registered", f"{when(found.created_at)} by {found.created_by}"),
        )
    )


def _tenure(found: "Tenure") -> "Table":
    until = when(found.until) or "now"
    return card((("stable", found.version), ("since", when(found.since)), ("until", until), ("cause", found.cause)))
