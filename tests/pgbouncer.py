"""A real PgBouncer for tests: this machine's, or on CI Debian's, before a PostgreSQL of theirs."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL
from tests import postgres

_PORT = 6432  # names its socket
_PATIENCE = 60.0


@contextmanager
def pooler(server: URL, **settings: str) -> Iterator[URL]:
    """Give the URL of a PgBouncer before a server, in transaction mode unless told otherwise; it has two sessions."""
    program = postgres.obtained(_find, "pgbouncer", "PgBouncer is missing: install it")
    user = postgres.unprivileged() if os.geteuid() == 0 else None  # it refuses root too
    identity, group = (user.pw_uid, user.pw_gid) if user else (None, None)
    folder = Path(tempfile.mkdtemp(prefix="vedette-pool-", dir=postgres.place()))
    given = {
        "pool_mode": "transaction",
        "default_pool_size": "2",
        "auth_type": "any",
        "listen_port": str(_PORT),
        "unix_socket_dir": str(folder),
        **settings,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in given.items())
    (folder / "settings").write_text(f"[databases]\n* = {_place(server)}\n[pgbouncer]\n{lines}\n")
    try:
        if user:
            shutil.chown(folder, user.pw_uid, user.pw_gid)
        with (folder / "log").open("w") as log:
            command: list[str | Path] = [program, "-q", folder / "settings"]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, user=identity, group=group)
        try:
            _await(process, folder)
            yield server.set(host=None, port=None, password=None, query={"host": str(folder), "port": str(_PORT)})
        finally:
            process.terminate()
            process.wait(_PATIENCE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(server: URL) -> str:
    query = server.query
    known = {
        "host": query.get("host") or server.host,
        "port": query.get("port") or server.port,
        "user": server.username,
        "password": server.password,
    }
    return " ".join(f"{name}={value}" for name, value in known.items() if value)


def _await(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket(socket.AF_UNIX) as line:
            if line.connect_ex(str(folder / f".s.PGSQL.{_PORT}")) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"PgBouncer did not start:\n{(folder / 'log').read_text()}", pytrace=False)


def _find() -> Path | None:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None
