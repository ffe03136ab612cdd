"""A primary and its standby for tests: real servers, of which the first can be killed and the second promoted.

They listen on ports of this machine, so that a URL names both as a user's would. Nothing is brought to the disk: here
processes die, and the machine does not.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from tests import postgres

PATIENCE = 60.0
_SETTINGS = {
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    # A commit then waits until the standby shows it too: a standby that is held up holds up commits, at a known point.
    "synchronous_commit": "remote_apply",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process makes true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Server:
    """One server on a port of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._programs = postgres.programs()
        self._user = postgres.unprivileged() if os.geteuid() == 0 else None  # PostgreSQL refuses root
        self.folder, self._data, self._log = folder, folder / name, folder / f"{name}.log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it is, by itself."""
        return f"postgresql://vedette@127.0.0.1:{self.port}/vedette"

    def own(self, path: Path) -> None:
        """Give it a file or folder that it has to read."""
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def make(self, copied: "Server | None" = None) -> None:
        """Make its folder: a new one, or that of a standby of another server."""
        if copied is None:
            options = ["-U", "vedette", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
            self._run("initdb", "-D", str(self._data), *options)
        else:
            options = ["-h", "127.0.0.1", "-p", str(copied.port), "-U", "vedette", "-c", "fast", "--no-sync"]
            self._run("pg_basebackup", "-D", str(self._data), *options, "-R", "-X", "stream")

    def start(self) -> None:
        """Run it until it takes connections."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data, "-p", str(self.port), *settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._identity)
        until(self._answers)

    def ask(self, query: LiteralString) -> object:
        """Ask it one thing."""
        address = f"host=127.0.0.1 port={self.port} user=vedette dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(query)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def set(self, name: LiteralString, value: LiteralString) -> None:
        """Change a setting of it while it runs, for every connection there is."""
        self.ask("ALTER SYSTEM SET " + name + " = '" + value + "'")
        self.ask("SELECT pg_reload_conf()")
        until(lambda: self.ask("SELECT current_setting('" + name + "')") == value)

    def kill(self) -> None:
        """Kill every process of it at once, as when its machine dies."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.kill()
        for child in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()

    def promote(self) -> None:
        """Make it the primary."""
        self._run("pg_ctl", "promote", "-D", str(self._data), "-w", "-t", str(int(PATIENCE)))

    def end(self) -> None:
        """End it, if it runs."""
        if self._process.poll() is None:
            self.kill()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            pytest.fail(f"PostgreSQL did not start:\n{self._log.read_text()}", pytrace=False)
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command: list[str | Path] = [self._programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._identity)

    @property
    def _identity(self) -> dict[str, Any]:
        return {"user": self._user.pw_uid, "group": self._user.pw_gid} if self._user else {}


class Pair:
    """A primary, and a standby that has whatever the primary says is committed."""

    def __init__(self, folder: Path) -> None:
        self.primary, self.standby = Server(folder, "primary"), Server(folder, "standby")

    @property
    def url(self) -> str:
        """Where the data is, whoever of the two is the primary; the standby is named first, where it hurts most."""
        return self.at("vedette")

    def at(self, database: str) -> str:
        """Where another database of theirs is."""
        servers = ",".join(f"127.0.0.1:{server.port}" for server in (self.standby, self.primary))
        return f"postgresql://vedette:secret@{servers}/{database}?target_session_attrs=read-write"

    def start(self) -> None:
        """Run both; from then on no commit is acknowledged that the standby does not have."""
        self.primary.make()
        self.primary.start()
        self.primary.ask("CREATE DATABASE vedette")
        self.standby.make(self.primary)
        self.standby.start()
        self.primary.set("synchronous_standby_names", "*")
        until(lambda: self.primary.ask("SELECT max(sync_state) FROM pg_stat_replication") == "sync")

    def hold_up(self) -> None:
        """Let the standby receive and not show: commits on the primary wait for it."""
        self.standby.ask("SELECT pg_wal_replay_pause()")
        until(lambda: self.standby.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")

    def let_go(self) -> None:
        """Let the standby show what it has received."""
        self.standby.ask("SELECT pg_wal_replay_resume()")

    def cut_off(self) -> None:
        """Let the standby receive nothing more: commits on the primary wait for it, and it will never have them."""
        self.standby.set("primary_conninfo", "")
        until(lambda: self.primary.ask("SELECT count(*) FROM pg_stat_replication") == 0)

    def held_up(self, name: LiteralString) -> list[str]:
        """Say what the applications of a name wait for: SyncRep is a commit that only lacks the standby's word."""
        query = "SELECT coalesce(json_agg(wait_event), '[]') FROM pg_stat_activity WHERE wait_event IS NOT NULL"
        waits = self.primary.ask(query + " AND state = 'active' AND application_name = '" + name + "'")
        assert isinstance(waits, list)
        return waits

    def idle(self, name: LiteralString) -> bool:
        """Say whether the applications of a name are between two transactions."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND application_name = '"
        return self.primary.ask(query + name + "'") == 0

    def on_standby(self) -> bool:
        """Say whether all that the primary wrote is on the standby, shown or not."""
        query = "SELECT bool_and(flush_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication"
        return self.primary.ask(query) is True

    def end(self) -> None:
        """End both."""
        for server in (self.primary, self.standby):
            server.end()


@contextlib.contextmanager
def pair() -> Iterator[Pair]:
    """Run a primary and a standby for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="vedette-pair-", dir=postgres.place()))
    if os.geteuid() == 0:
        user = postgres.unprivileged()
        os.chown(folder, user.pw_uid, user.pw_gid)
    made = Pair(folder)
    try:
        made.start()
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)
