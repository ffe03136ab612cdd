"""Clients that ask without a pause, and remember which requests were answered whole."""

import http.client
import json
import threading
import time
from typing import Self


class Clients:
    """Threads that ask; ``answered`` are the ids of requests whose answer arrived to its last byte."""

    def __init__(self, port: int, count: int = 6) -> None:
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]
        self.answered: list[str] = []
        self.cut = 0  # requests that were not answered whole

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        stream, asked = number % 3 == 0, 0
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stop.is_set():
            asked += 1
            content = [{"role": "user", "content": "Is hail covered?"}]
            body = {"model": "claims", "user": f"user-{number}-{asked % 997}", "messages": content, "stream": stream}
            try:
                connection.request("POST", "/v1/chat/completions", json.dumps(body))
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.cut += 1
                connection.close()
                time.sleep(0.02)
                continue
            name = answer.getheader("x-vedette-request-id")
            if name and answer.status == 200 and (not stream or text.endswith(b"data: [DONE]\n\n")):
                self.answered.append(name)
            else:
                self.cut += 1
                time.sleep(0.02)
        connection.close()
