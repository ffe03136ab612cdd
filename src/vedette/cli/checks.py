"""What ``vedette doctor`` looks at: each check says ok, warn or fail, and what to do."""

import hashlib
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import vedette
from vedette.catalog.backend import LocalBackend
from vedette.cli.output import ago
from vedette.config import from_environment
from vedette.control.plane import ControlPlane, open_plane, places
from vedette.control.traffic import ALIVE
from vedette.database.engine import sqlite_driver
from vedette.database.standing import Standing, standing
from vedette.kernel.errors import NotFound, VedetteError
from vedette.kernel.records import record
from vedette.store import audit, plans
from vedette.store.engine import Store, schema_of
from vedette.store.tables import SCHEMA

_EXTRAS = {
    "postgres": ("psycopg",),
    "local": ("sklearn", "skops"),
    "onnx": ("onnxruntime",),
    "demo": ("sklearn", "skops", "courts_db", "openai"),
    "openfeature": ("openfeature",),
    "redis": ("redis",),
}
_LITTLE, _NONE = 1 << 30, 50 << 20  # bytes free on the disk: few, and as good as none
_SKEW = timedelta(seconds=5)
_FIRST_RELEASE = datetime(2026, 1, 1, tzinfo=UTC)


@record
class Check:
    """One thing looked at: what was found, and what to do about it."""

    name: str
    result: Literal["ok", "warn", "fail"]
    message: str
    hint: str = ""


def of_data(data: str) -> tuple[Check, ...]:
    """Check the data here and this machine; the order is that in which one would repair."""
    here = [_versions(), *_guarded("sqlite", _sqlite), *_guarded("time zones", _zones), _extras()]
    if "://" not in data:
        folder = _folder(Path(data))
        here.append(folder)
        if folder.result == "fail":
            return tuple(here)
    database = list(_guarded("database", lambda: _database(places(data).control)))
    if any(check.result == "fail" or (check.name == "database" and check.result != "ok") for check in database):
        return (*here, *database)
    return (*here, *database, *_guarded("outcomes", lambda: _of_plane(data)))


def of_server(url: str, token: str = "") -> tuple[Check, ...]:
    """Check that a server answers and that its record is sound."""
    from vedette.client.client import Client

    with Client(url, token=token) as client:
        return (
            *_guarded("server", lambda: iter([_answers(client.domains.page(limit=1), url)])),
            *_guarded(
                "audit log", lambda: iter([_record(len(client.governance.verify()), str(client.governance.head()))])
            ),
        )


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Run a check; an error it meets is a failure of it, with the error's own advice."""
    try:
        yield from check()
    except VedetteError as error:
        yield Check(name=name, result="fail", message=error.message, hint=error.hint)


def _answers(_: object, url: str) -> Check:
    return Check(name="server", result="ok", message=f"{url} answers")


def _outcomes(plane: ControlPlane) -> Check:
    held = plane.lake.holdings()
    said = (
        f"the outcome store answers; {held.spooled:,} outcomes spooled, {held.sealed:,} in {held.segments:,} segments"
    )
    if held.missing:
        return Check(
            name="outcomes",
            result="fail",
            message=f"{said}; {len(held.missing)} segments are not where they are looked for: {held.missing[0]} …",
            hint="set VEDETTE_SEGMENTS to the folder the server has, or restore it from a backup",
        )
    return Check(name="outcomes", result="ok", message=said)


def _versions() -> Check:
    return Check(
        name="versions",
        result="ok",
        message=f"vedette {vedette.__version__}, Python {platform.python_version()}, {platform.system()}",
    )


def _sqlite() -> Iterator[Check]:
    try:
        yield Check(name="sqlite", result="ok", message=f"SQLite {sqlite_driver().sqlite_version}")
    except VedetteError as error:
        yield Check(name="sqlite", result="fail", message=error.message, hint=error.hint)


def _zones() -> Iterator[Check]:
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        yield Check(name="time zones", result="fail", message="no time zones are known", hint="pip install tzdata")
    else:
        yield Check(name="time zones", result="ok", message="known; schedules may use them")


def _extras() -> Check:
    there = [name for name, needs in _EXTRAS.items() if all(importlib.util.find_spec(need) for need in needs)]
    missing = [name for name in _EXTRAS if name not in there]
    hint = f"when you need them: pip install 'vedette[{','.join(missing)}]'" if missing else ""
    return Check(name="extras", result="ok", message=f"installed: {', '.join(there) or 'none'}", hint=hint)


def _folder(folder: Path) -> Check:
    if not folder.exists():
        return Check(
            name="data folder", result="fail", message=f"{folder} is not there", hint="`vedette serve` makes it"
        )
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x")
    except OSError as error:
        return Check(
            name="data folder",
            result="fail",
            message=f"{folder} cannot be written: {error.strerror}",
            hint="check its owner, its mode and the disk",
        )
    free = shutil.disk_usage(folder).free
    said = f"{folder} is writable, {free / (1 << 30):.1f} GiB free"
    if free < _LITTLE:
        result: Literal["warn", "fail"] = "fail" if free < _NONE else "warn"
        return Check(name="data folder", result=result, message=said, hint="make room on that disk")
    return Check(name="data folder", result="ok", message=said)


def _database(url: str) -> Iterator[Check]:
    store = Store(url)
    if store.is_sqlite and not Path(str(store.url.database)).exists():
        raise NotFound(f"{store.where} is not there", hint="`vedette serve` makes it")
    try:
        with store.reading() as connection:
            schema = schema_of(connection)
            server = None if store.is_sqlite else standing(connection)
    finally:
        store.close()
    if server:
        yield _connection(server)
        if server.standby or store.servers > 1:
            yield _primary(server)
    if schema == SCHEMA:
        yield Check(name="database", result="ok", message=f"{store.where} answers, at schema {schema}")
    elif schema is None or schema < SCHEMA:
        yield Check(
            name="database",
            result="warn",
            message=f"{store.where} answers, at schema {schema or 'none'} instead of {SCHEMA}",
            hint="the next `vedette serve` brings it up to date",
        )
    else:
        yield Check(
            name="database",
            result="fail",
            message=f"{store.where} is at schema {schema}, this vedette knows up to {SCHEMA}",
            hint="upgrade vedette here",
        )


def _connection(found: Standing) -> Check:
    whose = "that of a pooler" if found.pooled else "no pooler between"
    if found.verified:
        said, hint = "encrypted, and the server's certificate was verified", ""
    elif found.local:
        said, hint = f"{'encrypted' if found.encrypted else 'not encrypted'}, and stays on this machine", ""
    else:
        said = "encrypted, but nobody verified who answers" if found.encrypted else "not encrypted"
        hint = "add ?sslmode=verify-full&sslrootcert=/path/of/the/authority.pem to the URL"
    return Check(name="connection", result="warn" if hint else "ok", message=f"{said}; {whose}", hint=hint)


def _primary(found: Standing) -> Check:
    if found.standby:
        return Check(
            name="primary",
            result="fail",
            message=f"{found.server} is a standby, which takes no writes",
            hint="name the primary in the URL too, or promote this one",
        )
    if not found.outlived:
        return Check(
            name="primary",
            result="warn",
            message=f"{found.server} is the primary, and acknowledges what no standby may have",
            hint="set its synchronous_standby_names, or what it acknowledged last is lost when it dies",
        )
    return Check(
        name="primary", result="ok", message=f"{found.server} is the primary; what it acknowledges, a standby has"
    )


def _of_plane(data: str) -> Iterator[Check]:
    settings = from_environment()
    with open_plane(data, segments=settings.segments, analytics=settings.analytics) as plane:
        now = datetime.now(UTC)
        plane.lake.minutes("doctor", now - timedelta(minutes=1), now)
        yield _outcomes(plane)
        for name, check in (
            ("analytics", lambda: _analytics(plane)),
            ("audit log", lambda: _audit(plane)),
            ("clock", lambda: _clock(plane, now)),
            ("gateways", lambda: _gateways(plane, now)),
            ("journal", lambda: _journal(plane)),
            ("backends", lambda: _backends(plane)),
        ):
            yield from _guarded(name, check)


def _analytics(plane: ControlPlane) -> Iterator[Check]:
    yield Check(name="analytics", result="ok", message=f"stored outcomes are counted by {plane.lake.counting()}")


def _audit(plane: ControlPlane) -> Iterator[Check]:
    with plane.store.reading() as connection:
        findings = audit.check(connection)
        head = audit.head(connection)
    if findings:
        yield _record(len(findings), findings[0].message)
    else:
        yield _record(0, str(head))


def _record(faults: int, said: str) -> Check:
    if faults:
        return Check(
            name="audit log",
            result="fail",
            message=f"not as it was written: {said}" + (f" (and {faults - 1} more)" if faults > 1 else ""),
            hint="`vedette audit verify` names every entry; compare with a backup",
        )
    return Check(name="audit log", result="ok", message=f"sound, to entry {said.partition(':')[0]}")


def _clock(plane: ControlPlane, now: datetime) -> Iterator[Check]:
    newest = plane.governance.entries(limit=1, newest_first=True).items
    ahead = newest[0].at - now if newest else timedelta(0)
    if now < _FIRST_RELEASE:
        yield Check(name="clock", result="fail", message=f"it says {now:%Y-%m-%d %H:%M} UTC", hint="set it; use NTP")
    elif ahead > _SKEW:
        yield Check(
            name="clock",
            result="warn",
            message=f"the newest audit entry is {ago(newest[0].at)} by this clock",
            hint="clocks of the machines differ, or one jumped: use NTP on all of them",
        )
    else:
        yield Check(name="clock", result="ok", message=f"{now:%Y-%m-%d %H:%M:%S} UTC, not behind the record")


def _gateways(plane: ControlPlane, now: datetime) -> Iterator[Check]:
    with plane.store.reading() as connection:
        live = plans.live(connection, since=now - ALIVE)
        confirmed = plans.confirmations(connection, live_since=now - ALIVE)
    if not live:
        yield Check(
            name="gateways",
            result="warn",
            message="none is alive, so no rollout advances",
            hint="run `vedette serve` on this data",
        )
        return
    newest = {plan.domain: plan.revision for plan in plane.traffic.poll(0)[1]}
    behind = sorted({c.router for c in confirmed if c.revision < newest.get(c.domain, 0)})
    if behind:
        hint = "look again in a few seconds; if it stays so, its log says which backend it refuses"
        yield Check(name="gateways", result="warn", message=f"{', '.join(behind)} serves an older plan", hint=hint)
    else:
        yield Check(name="gateways", result="ok", message=f"{len(live)} alive, all plans in force")


def _journal(plane: ControlPlane) -> Iterator[Check]:
    files = [file.stat() for file in (plane.folder / "journal").glob("*.journal")]
    size = sum(file.st_size for file in files)
    oldest = min((file.st_mtime for file in files if file.st_size), default=None)
    waiting = oldest is not None and datetime.now(UTC).timestamp() - oldest > 60
    if waiting:
        yield Check(
            name="journal",
            result="warn",
            message=f"{size:,} bytes of outcomes wait, the oldest for {ago(datetime.fromtimestamp(oldest or 0, UTC))}",
            hint="`vedette serve` on this data ships them",
        )
    else:
        yield Check(name="journal", result="ok", message=f"{size:,} bytes of outcomes on their way")


def _backends(plane: ControlPlane) -> Iterator[Check]:
    wrong: list[str] = []
    serving = [plan for plan in plane.traffic.poll(0)[1] if plan.serving]
    for plan in serving:
        for name, backend in plan.backends.items():
            at = f"{plan.domain}/{name}"
            if isinstance(backend, LocalBackend):
                wrong += [f"{at}: {fault}" for fault in _artefact(backend)]
            elif backend.api_key_env and backend.api_key_env not in os.environ:
                wrong.append(f"{at}: {backend.api_key_env} is not set here")
    if wrong:
        broken = any("artefact" in fault for fault in wrong)
        hint = "put the file back, or set the variable where the gateway runs"
        yield Check(name="backends", result="fail" if broken else "warn", message="; ".join(wrong), hint=hint)
    else:
        yield Check(
            name="backends", result="ok", message=f"domains that serve: {len(serving)}; artefacts are as registered"
        )


def _artefact(backend: LocalBackend) -> Iterator[str]:
    try:
        with Path(backend.artefact).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        yield f"artefact {backend.artefact} cannot be read: {error.strerror}"
    else:
        if found != backend.digest.removeprefix("sha256:"):
            yield f"artefact {backend.artefact} is not what its digest says"
