"""What an operator may set about a gateway; times in seconds, sizes in bytes."""

from typing import Annotated

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Bytes, Elsewhere, Percent, Seconds
from vedette.kernel.records import camel, record

_MAY_BE_ZERO = frozenset({"sync_every", "trace_share"})


@record
class GatewaySettings:
    """How one gateway behaves; the defaults suit a model server behind it.

    ``router`` is the name under which it confirms plans (empty: host and port); ``worker`` names its outcome journal.
    ``pepper_file`` holds the pepper of keys, where the environment variable VEDETTE_KEY_PEPPER does not. Keeping an
    outcome waits for the disk after ``sync_every`` seconds (0: each one does, None: none does). ``otlp_endpoint`` is an
    OpenTelemetry collector (empty: OTEL_EXPORTER_OTLP_ENDPOINT's, or none), ``cache_url`` a Redis that gateways share
    answers in (empty: each worker has its own alone).
    """

    router: Annotated[str, Elsewhere("a gateway names itself after its host and process")] = ""
    worker: Annotated[str, Elsewhere("a supervisor names its workers")] = "gateway"
    pepper_file: Annotated[str, Elsewhere("put the pepper into VEDETTE_KEY_PEPPER")] = ""
    sync_every: Annotated[float | None, Elsewhere("pass --sync")] = None
    otlp_endpoint: Annotated[str, Elsewhere("set OTEL_EXPORTER_OTLP_ENDPOINT")] = ""
    cache_url: Annotated[str, Elsewhere("set VEDETTE_CACHE: it may hold a secret")] = ""

    poll_interval: Seconds = 1.0  # between looks for new plans
    budget_interval: Seconds = 5.0  # between looks at what was used of budgets
    heartbeat: Seconds = 3.0  # between confirmations of the plans in force, and tries of refused ones
    ship_interval: Seconds = 0.5  # between batches of outcomes

    otlp_interval: Seconds = 10.0  # between exports to an OpenTelemetry collector
    trace_share: Percent = 1.0  # of requests without a trace that are given one, where there is a collector

    cache_timeout: Seconds = 0.02  # a request waits no longer for the shared cache
    cache_retry: Seconds = 1.0  # between looks whether a shared cache that was away answers again
    cache_entry_limit: Bytes = 1 << 20  # a larger answer stays in the worker that got it

    connect_timeout: Seconds = 5.0  # until a backend has accepted, TLS included
    idle_timeout: Seconds = 60.0  # the longest silence inside an answer that has begun
    stream_timeout: Seconds = 3600.0  # the longest stream
    client_timeout: Seconds = 60.0  # for a client to send its request, or to read on
    keep_alive: Seconds = 75.0  # an idle client connection
    upstream_keep_alive: Seconds = 30.0  # an idle backend connection
    drain_timeout: Seconds = 10.0  # for requests in flight when the gateway is told to end
    retire_timeout: Seconds = 600.0  # for requests in flight when another worker takes over
    retry_wait: Seconds = 2.0  # a backend that asks for a longer pause is not asked again

    request_limit: Bytes = 16 << 20  # the body of a request
    header_limit: Bytes = 64 << 10  # the head of a request
    response_limit: Bytes = 64 << 20  # an answer that is no stream; it is held whole
    event_limit: Bytes = 1 << 20  # one event of a stream
    buffer_limit: Bytes = 256 << 10  # unsent bytes for a client at which its backend is made to wait
    pipeline_limit: int = 16  # requests a client may send ahead

    upstream_connections: int = 1024  # to one backend, of each worker
    local_threads: int = 2  # for models in this process
    local_queue: int = 256  # requests that may wait for them

    def __post_init__(self) -> None:
        """Refuse times and sizes that are none."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not (value > 0 or (name in _MAY_BE_ZERO and value == 0)):
                raise InvalidInput(f"{camel(name)} must be more than zero, not {value}")
