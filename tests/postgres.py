"""A real PostgreSQL for tests: the one you name, or one started for this session and thrown away.

``VEDETTE_TEST_POSTGRES`` names a server whose user may create databases. Without it, the binaries of this machine run
a server on a socket in a temporary folder. Without binaries, a root on CI installs Debian's; anywhere else on CI the
tests fail, and on a user's machine they are skipped and say so.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

_DEBIAN = Path("/usr/lib/postgresql")
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
_PATIENCE = 60.0


@contextmanager
def server() -> Iterator[URL]:
    """Give the URL of a server whose user may create databases, for as long as the block lasts."""
    if given := os.environ.get("VEDETTE_TEST_POSTGRES"):
        yield make_url(given).set(drivername="postgresql")
        return
    found = programs()
    user = unprivileged() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="vedette-pg-", dir=place()))
    try:
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        with _running(found, folder, user):
            yield URL.create("postgresql", username="vedette", database="postgres", query={"host": str(folder)})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(url: URL, name: str, template: str = "template0") -> Iterator[URL]:
    """Make a database on the server of ``url``, and drop it when the block ends."""
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield url.set(database=name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def _running(programs: Path, folder: Path, user: pwd.struct_passwd | None) -> Iterator[None]:
    identity, group = (user.pw_uid, user.pw_gid) if user else (None, None)
    data = folder / "data"
    made = subprocess.run(
        [programs / "initdb", "-D", data, "-U", "vedette", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        user=identity,
        group=group,
    )
    if made.returncode:
        pytest.fail(f"initdb failed: {made.stderr}", pytrace=False)
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",  # its durability is PostgreSQL's business, not under test here
        "max_connections": "60",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *arguments],
            stdout=log,
            stderr=log,
            cwd=folder,
            user=identity,
            group=group,
        )
    try:
        _await(process, folder)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(host=str(folder), user="vedette", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}", pytrace=False)


def programs() -> Path:
    """Give the folder of initdb and postgres, the newest there are."""
    return obtained(_find, "postgresql", "PostgreSQL is missing: install it, or name a server in VEDETTE_TEST_POSTGRES")


def obtained(find: Callable[[], Path | None], package: str, message: str) -> Path:
    """Find a program of Debian's; a root on CI installs it, anywhere else on CI its absence fails the test."""
    if found := find():
        return found
    if os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        with (Path(tempfile.gettempdir()) / "vedette-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # apt-get waits for no other one
            for arguments in (["update", "-q"], ["install", "-qy", "--no-install-recommends", package]):
                subprocess.run(["apt-get", *arguments], check=True, env=quiet)
        if found := find():
            return found
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(f"{message}. THESE TESTS DID NOT RUN")


def _find() -> Path | None:
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]), reverse=True)
    programs = [str(path) for path in versions] + [path for path in [shutil.which("initdb")] if path]
    return next((folder for path in programs if ((folder := Path(path).resolve().parent) / "postgres").exists()), None)


def place() -> Path | None:
    """Prefer memory, where it has room: a database is hundreds of small files, and every test gets a new one."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 2 << 30
    return _MEMORY if roomy else None


def unprivileged() -> pwd.struct_passwd:
    """Give a user that PostgreSQL agrees to run as; it refuses root."""
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]
