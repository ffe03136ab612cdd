"""ClickHouse's HTTP interface before chDB, which is its engine as a library: as much of it as the adapter speaks.

python tests/lake/chdb_server.py USER PASSWORD

It prints the port it listens on. A session is a connection to the engine, so temporary tables are a session's own.
"""

import base64
import re
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import chdb

_OWN = {"session_id", "session_timeout", "database", "query", "default_format", "wait_end_of_query"}


class Handler(BaseHTTPRequestHandler):
    """Answers one query."""

    protocol_version = "HTTP/1.1"
    credentials = ""
    sessions: ClassVar[dict[str, Any]] = {}

    def do_POST(self):
        """Run the query, over the data that came with it."""
        asked = dict(parse_qsl(urlsplit(self.path).query))
        body = self._body()
        if self.headers.get("authorization") != f"Basic {self.credentials}":
            return self._answer(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", "516")
        connection = self._session(asked)
        try:
            if "query" not in asked:
                return self._answer(200, connection.query(body.decode(), asked["default_format"]).bytes() or b"")
            with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
                file.write(body)
                file.flush()
                data = f"SELECT * FROM file('{file.name}', Parquet)"  # noqa: S608 - our own
                connection.query(re.sub(r"FORMAT Parquet$", lambda _: data, asked["query"]))
            return self._answer(200, b"")
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            return self._answer(500, str(error).encode(), code[1] if code else "0")

    def log_message(self, *_):
        """Say nothing."""

    def _session(self, asked):
        if asked["session_id"] not in self.sessions:
            connection = self.sessions[asked["session_id"]] = chdb.connect(":memory:")
            for name, value in asked.items():
                if name not in _OWN:
                    connection.query(f"SET {name} = {value}")
        return self.sessions[asked["session_id"]]

    def _body(self):
        if length := self.headers.get("content-length"):
            return self.rfile.read(int(length))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status, body, code=""):
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Handler.credentials = base64.b64encode(":".join(sys.argv[1:]).encode()).decode()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
