"""Engines to test with, in processes beside the tests: a Spark standalone cluster, and ClickHouse's engine."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER, PASSWORD = "analyst", "p@ss/wörd"
_STARTED = 120.0


@contextmanager
def spark(folder: Path) -> Iterator[str]:
    """Start a master and two workers; gives the URL the adapter takes."""
    import pyspark

    home = Path(pyspark.__file__).parent
    port = _free_port()
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder),
    }
    place = "org.apache.spark.deploy"
    local = ["--host", "127.0.0.1", "--webui-port", "0"]
    commands = [[f"{place}.master.Master", "--port", str(port), *local]]
    commands += 2 * [[f"{place}.worker.Worker", "--cores", "1", "--memory", "1g", *local, f"spark://127.0.0.1:{port}"]]
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            log = stack.enter_context((folder / f"spark-{number}.log").open("wb"))
            started = [str(home / "bin" / "spark-class"), *command]
            stack.enter_context(_ended(subprocess.Popen(started, stdout=log, stderr=log, env=environment)))
            if number == 0:
                _await_listening(port)
        settings = "spark.executor.memory=512m&spark.sql.shuffle.partitions=2&spark.driver.host=127.0.0.1"
        yield f"spark://127.0.0.1:{port}?{settings}"


@contextmanager
def clickhouse() -> Iterator[str]:
    """Start chDB behind ClickHouse's HTTP interface; gives the URL the adapter takes."""
    command = [sys.executable, str(Path(__file__).with_name("chdb_server.py")), USER, PASSWORD]
    with _ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as server:
        assert server.stdout
        with server.stdout as said:
            port = int(said.readline())
            yield f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/default"


@contextmanager
def _ended(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """End a process that was started here."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _await_listening(port: int) -> None:
    last = time.monotonic() + _STARTED
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < last, "the master does not listen"
            time.sleep(0.1)
        else:
            return
