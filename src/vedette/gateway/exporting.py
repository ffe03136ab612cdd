"""Takes spans and figures to an OpenTelemetry collector, from a thread, every few seconds.

A collector that is away costs spans, which are counted, and nothing else: no request waits for it, and figures are
sums, so the next export holds what this one would have.
"""

import asyncio
import copy
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from vedette.gateway.metrics import Metrics
from vedette.gateway.otlp import figures_of, spans_of
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.tracing import Tracer
from vedette.kernel.errors import InvalidInput
from vedette.kernel.outage import Outage

_log = logging.getLogger("vedette.gateway")
_PATIENCE = 5.0  # seconds the collector has to answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where to export to, and what is said of this gateway; as OpenTelemetry's environment variables name it."""

    url: str
    headers: Mapping[str, str]
    resource: Mapping[str, str]

    @classmethod
    def of(cls, settings: GatewaySettings, environment: Mapping[str, str], instance: str) -> "Collector | None":
        """Read where to; None when nobody has said so.

        Raises:
            InvalidInput: it is no URL.
        """
        url = (settings.otlp_endpoint or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")).rstrip("/")
        if not url:
            return None
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise InvalidInput(f"{url!r} is no collector", hint="write http://host:4318")
        service = environment.get("OTEL_SERVICE_NAME", "") or "vedette-gateway"
        return cls(
            url=url,
            headers=_pairs(environment.get("OTEL_EXPORTER_OTLP_HEADERS", "")),
            resource={"service.name": service, "service.instance.id": instance},
        )


class Exporter:
    """Exports until told to stop."""

    def __init__(self, collector: Collector, tracer: Tracer, metrics: Metrics) -> None:
        self._collector, self._tracer, self._metrics = collector, tracer, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vedette-export")  # its own: a collector may hang
        self._begun = time.time_ns()
        self._outage = Outage(f"exporting to {collector.url}")

    async def run(self, stop: asyncio.Event, interval: float) -> None:
        """Export every so many seconds, and a last time at the end."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(interval):
                    await stop.wait()
            except TimeoutError:
                pass
            await self._export()
        self._thread.shutdown(wait=False)

    async def _export(self) -> None:
        spans, figures = self._tracer.take(), copy.deepcopy(self._metrics)
        loop, resource = asyncio.get_running_loop(), self._collector.resource
        try:
            if spans:
                await loop.run_in_executor(self._thread, self._send, "/v1/traces", spans_of(resource, spans))
            said = figures_of(resource, figures, self._begun, time.time_ns())
            await loop.run_in_executor(self._thread, self._send, "/v1/metrics", said)
            if line := self._outage.succeeded(time.monotonic()):
                _log.info("%s", line)
        except (OSError, ValueError) as error:  # every error of urllib is an OSError, but for addresses that are none
            self._tracer.dropped += len(spans)
            if line := self._outage.failed(error, time.monotonic()):
                _log.warning("%s", line)

    def _send(self, path: str, said: Any) -> None:  # noqa: ANN401 - JSON
        headers = {"Content-Type": "application/json", **self._collector.headers}
        body = json.dumps(said, separators=(",", ":")).encode()
        request = urllib.request.Request(self._collector.url + path, body, headers, method="POST")  # noqa: S310 - checked
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - checked where it was read
            answer.read()


def _pairs(text: str) -> dict[str, str]:
    """Read ``name=value,name=value``, with values as URLs have them."""
    parts = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in parts}
