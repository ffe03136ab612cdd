"""A small Prometheus of scripted series: it speaks the part of the HTTP API that vedette asks for samples by."""

import json
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_QUERY = re.compile(r'([\w:]*)\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}\[(\d+)ms\]')
_MATCHER = re.compile(r'(\w+)(=~|=)"((?:[^"\\]|\\.)*)"')


class FakePrometheus:
    """Scraped samples, and a server that gives them.

    Attributes:
        url: where it answers.
        asked: the queries so far, and the headers of the last one.
        answer: what it says to everything instead, when set: a status and a body.
        held: while it is clear, nobody gets an answer.
    """

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.headers: Mapping[str, str] = {}
        self.answer: tuple[int, bytes] | None = None
        self.held = threading.Event()
        self.held.set()
        self._samples: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}

    def scrape(self, at: float, name: str, value: float, **labels: str) -> None:
        """Take one sample of a series."""
        key = frozenset({"__name__": name, **labels}.items())
        self._samples.setdefault(key, []).append((at, value))

    def query(self, query: str, time: float) -> Mapping[str, Any]:
        """Answer a query as Prometheus would."""
        found = _QUERY.fullmatch(query)
        if found is None:
            return {"status": "error", "errorType": "bad_data", "error": f"invalid parameter: {query}"}
        name, matchers, span = found[1], _MATCHER.findall(found[2]), int(found[3]) / 1000
        result = []
        for key, samples in self._samples.items():
            labels = dict(key)
            inside = [[at, f"{value:g}"] for at, value in samples if time - span <= at <= time]
            if inside and labels["__name__"] == name and all(_fits(labels, *matcher) for matcher in matchers):
                result.append({"metric": labels, "values": inside})
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def _fits(labels: Mapping[str, str], label: str, operator: str, text: str) -> bool:
    wanted, has = json.loads(f'"{text}"'), labels.get(label, "")
    return has == wanted if operator == "=" else re.fullmatch(wanted, has) is not None


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[FakePrometheus]:
    """Run one for as long as the block lasts, behind TLS where a context is given."""
    prometheus = FakePrometheus()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = parse_qs(parts.query)
            prometheus.headers = {name.lower(): value for name, value in self.headers.items()}
            prometheus.asked.append(asked["query"][0])
            prometheus.held.wait()
            code, body = prometheus.answer or _said(prometheus.query(asked["query"][0], float(asked["time"][0])))
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    prometheus.url = f"http{'s' if context else ''}://localhost:{server.server_port}"
    try:
        yield prometheus
    finally:
        prometheus.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _said(answer: Mapping[str, Any]) -> tuple[int, bytes]:
    return 200 if answer["status"] == "success" else 400, json.dumps(answer).encode()
