"""What an operator may set about a gateway; times in seconds, sizes in bytes."""

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record


@record
class GatewaySettings:
    """How one gateway behaves; the defaults suit a model server behind it.

    ``router`` is the name under which it confirms plans (empty: host and port); ``worker`` names its outcome journal.
    ``pepper_file`` holds the pepper of keys, where the environment variable VEDETTE_KEY_PEPPER does not.
    """

    router: str = ""
    worker: str = "gateway"
    pepper_file: str = ""

    poll_interval: float = 1.0  # between looks for new plans
    budget_interval: float = 5.0  # between looks at what was used of budgets
    heartbeat: float = 3.0  # between confirmations of the plans in force, and tries of refused ones
    ship_interval: float = 0.5  # between batches of outcomes
    sync_every: float | None = None  # after which keeping an outcome waits for the disk; 0: each does, None: none does

    otlp_endpoint: str = ""  # of an OpenTelemetry collector; empty: OTEL_EXPORTER_OTLP_ENDPOINT's, or none
    otlp_interval: float = 10.0  # between exports
    trace_share: float = 0.01  # of requests without a trace of their own that are given one, where there is a collector

    cache_url: str = ""  # of a Redis that gateways share answers in; empty: each worker has its own alone
    cache_timeout: float = 0.02  # a request waits no longer for it
    cache_retry: float = 1.0  # between looks whether it answers again
    cache_entry_limit: int = 1 << 20  # a larger answer stays in the worker that got it

    connect_timeout: float = 5.0  # until a backend has accepted, TLS included
    idle_timeout: float = 60.0  # the longest silence inside an answer that has begun
    stream_timeout: float = 3600.0  # the longest stream
    client_timeout: float = 60.0  # for a client to send its request, or to read on
    keep_alive: float = 75.0  # an idle client connection
    upstream_keep_alive: float = 30.0  # an idle backend connection
    retire_timeout: float = 600.0  # for requests in flight when another worker takes over
    retry_wait: float = 2.0  # a backend that asks for a longer pause is not asked again

    request_limit: int = 16 << 20
    header_limit: int = 64 << 10
    response_limit: int = 64 << 20  # an answer that is no stream; it is held whole
    event_limit: int = 1 << 20  # one event of a stream
    buffer_limit: int = 256 << 10  # unsent bytes for a client at which its backend is made to wait
    pipeline_limit: int = 16  # requests a client may send ahead

    upstream_connections: int = 1024  # to one backend
    local_threads: int = 2  # for models in this process
    local_queue: int = 256  # requests that may wait for them

    def __post_init__(self) -> None:
        """Refuse times and sizes that are none."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, (int, float)) and value <= 0 and (name, value) != ("sync_every", 0):
                raise InvalidInput(f"{name} must be more than zero, not {value}")
