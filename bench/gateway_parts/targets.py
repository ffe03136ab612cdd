"""What is measured: nginx as the floor, vedette with everything on, and the peers."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.gateway_parts.load import Address
from bench.gateway_parts.processes import BESIDE, MEASURED, children, free_port, listens, pin, running, until

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vedette-bench"
_PYTHON = Path(sys.executable)


@dataclass(frozen=True)
class Target:
    """A gateway that is up: where it answers, which processes are it, and which others work for it."""

    address: Address
    pids: tuple[int, ...]
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Backend:
    """The model server: its port and its process."""

    port: int
    pid: int


Starter = Callable[[Path, int], AbstractContextManager[Target]]
"""Starts a target in a folder, in front of the backend at a port."""


def environment_of(name: str, *packages: str) -> Path:
    """Make a virtual environment with packages from PyPI, once; gives its folder of programs."""
    folder = CACHE / name
    if not (folder / "made").exists():
        print(f"· installing {', '.join(packages)} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run(pip, check=True)  # noqa: S603 - pip, as made above
        (folder / "made").touch()
    return folder / "bin"


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Backend]:
    """Run the model server of canned answers."""
    port, log = free_port(), folder / "upstream.log"
    with running([_PYTHON, Path(__file__).with_name("upstream.py"), str(port)], BESIDE, log) as pid:
        until(lambda: listens(port), 10, log)
        yield Backend(port, pid)


@contextlib.contextmanager
def nginx(folder: Path, backend: int) -> Iterator[Target]:
    """Nginx that splits by a header over three upstreams; it reads no body and records nothing."""
    port, log = free_port(), folder / "nginx.log"
    paths = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    parts = "".join(
        f"upstream {name} {{ server 127.0.0.1:{backend}; keepalive 512; keepalive_requests 1000000000; }}\n"
        for name in ("stable", "canary", "other")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(f"""
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; client_body_buffer_size 64k; {paths}
  split_clients "bench$http_x_user" $chosen {{ 80% stable; 15% canary; * other; }}
  {parts}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_pass http://$chosen;
    }}
  }}
}}
""")
    with running(["nginx", "-c", configuration], MEASURED, log) as pid:
        until(lambda: listens(port) and children(pid), 10, log)
        yield Target(Address(port), (pid, *children(pid)))


def vedette(workers: int = 1, cores: tuple[int, ...] = (MEASURED,)) -> Starter:
    """Vedette as it is: a domain with a rollout at 15 %, its control plane, store and shipping beside the workers."""

    @contextlib.contextmanager
    def start(folder: Path, backend: int) -> Iterator[Target]:
        data, log, ready = folder / f"vedette-{workers}", folder / "vedette.log", folder / "ready.json"
        shutil.rmtree(data, ignore_errors=True)
        key = prepare(data, backend, guarded=True)
        ready.unlink(missing_ok=True)
        command = [_PYTHON, "-m", "vedette", "serve", "--data", data, "--port", "0", "--gateway-port", "0"]
        command += ["--workers", str(workers), "--ready-file", ready]
        with running(command, BESIDE, log) as pid:
            until(ready.exists, 60, log)
            gateways = children(pid)
            for place, gateway in enumerate(gateways):
                pin([gateway], cores[place % len(cores)])
            time.sleep(2)  # the first plans
            port = int(json.loads(ready.read_text())["gateway"].rpartition(":")[2])
            yield Target(Address(port, key=key), tuple(gateways), (pid,))

    return start


_DOCUMENTS = """
{{apiVersion: vedette/v1, kind: Domain, metadata: {{name: claims}}, spec: {{title: Claims, config: {config}}}}}
---
{{apiVersion: vedette/v1, kind: ModelVersion, metadata: {{name: v1}}, spec: {{domain: claims, backend: {first}}}}}
---
{{apiVersion: vedette/v1, kind: ModelVersion, metadata: {{name: v2}}, spec: {{domain: claims, backend: {second}}}}}
"""
_GUARDED = {
    "access": "keys",
    "limits": {"requestsPerMinute": 10**9, "tokensPerMinute": 10**12, "concurrency": 10**6},
    "deadline": "5m",
}
_ROLLOUT = """
apiVersion: vedette/v1
kind: Rollout
metadata: {name: claims-v2}
spec:
  domain: claims
  version: v2
  steps: [{weight: 15%, bake: 1d}, {weight: 100%}]
"""


def prepare(data: Path | str, backend: int, segments: Path | str = "", *, guarded: bool = False) -> str:
    """Make the data of a domain whose second version has 15 % of the traffic.

    A ``guarded`` one answers callers with a key, counts their requests and tokens against limits, and has a deadline;
    its key is what this gives.
    """
    from vedette.control.apply import apply_text
    from vedette.control.plane import open_plane

    first, second = (
        json.dumps({"kind": "openai", "url": f"http://127.0.0.1:{backend}/v1", "model": f"mock-{number}"})
        for number in (1, 2)
    )
    with open_plane(data, actor="bench", segments=segments) as plane:
        apply_text(
            plane,
            _DOCUMENTS.format(first=first, second=second, config=json.dumps(_GUARDED if guarded else {})),
            actor="bench",
            source="bench",
            dry_run=False,
        )
        plane.versions.install("claims", "v1", actor="bench")
        apply_text(plane, _ROLLOUT, actor="bench", source="bench", dry_run=False)
        return plane.keys.create("bench", actor="bench").secret if guarded else ""
