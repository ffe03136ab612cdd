"""A PostgreSQL of its own, that can be killed and started again; with fsync on, as production has it."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

_PATIENCE = 60.0


class Postgres:
    """One server on a socket in a folder."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
        if not found:
            raise SystemExit("PostgreSQL is missing: apt-get install postgresql, or run with --sqlite")
        self._programs, self._folder = found[-1].parent, folder
        users = {entry.pw_name: entry for entry in pwd.getpwall()}
        user = (users.get("postgres") or users["nobody"]) if os.geteuid() == 0 else None  # it refuses root
        self._uid = user.pw_uid if user else None
        self._gid = user.pw_gid if user else None
        folder.mkdir()
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        subprocess.run(  # noqa: S603 - Debian's
            [self._programs / "initdb", "-D", data, "-U", "vedette", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            user=self._uid,
            group=self._gid,
        )
        self.start()
        with self._connection() as connection:
            connection.execute("CREATE DATABASE vedette")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"postgresql://vedette@/vedette?host={self._folder}"

    def start(self) -> None:
        """Run it, and wait until it has recovered."""
        arguments: list[Path | str] = [
            self._programs / "postgres",
            "-D",
            self._folder / "data",
            "-c",
            "listen_addresses=",
        ]
        arguments += ["-c", f"unix_socket_directories={self._folder}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - Debian's
                arguments, stdout=log, stderr=log, cwd=self._folder, user=self._uid, group=self._gid
            )
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._connection().close()
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Kill the server and every process it made."""
        found = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.send_signal(signal.SIGKILL)
        for child in map(int, found):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it as one should."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_PATIENCE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connection(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self._folder), user="vedette", dbname="postgres", autocommit=True)
