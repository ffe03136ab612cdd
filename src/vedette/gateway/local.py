"""Models in this process behind the same path as backends: asked on a few threads, answered as HTTP would be."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vedette.catalog.backend import LocalBackend
from vedette.gateway.batching import Line, Question, Said
from vedette.gateway.metrics import Metrics
from vedette.gateway.openai import Ask, answer_body, answer_events, error_body
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.upstream import Failure, Headers, Receiver
from vedette.kernel.errors import InvalidInput

_JSON: Headers = [(b"content-type", b"application/json")]
_EVENTS: Headers = [(b"content-type", b"text/event-stream")]


class LocalCall:
    """One question to a model in this process."""

    __slots__ = ("_receiver",)

    def __init__(self, receiver: Receiver) -> None:
        self._receiver: Receiver | None = receiver

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the answer."""
        return self._receiver is not None

    def abort(self) -> None:
        """Forget it; a prediction that has begun runs to its end, unheard."""
        self._receiver = None

    def let_go(self) -> None:
        """Forget it: the answer is already whole."""
        self._receiver = None

    def pause(self) -> None:
        """Change nothing: the answer comes in one piece."""

    def resume(self) -> None:
        """Change nothing: the answer comes in one piece."""

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Tell the receiver the whole answer."""
        if self._receiver:
            self._receiver.head(status, headers)
        if self._receiver:
            self._receiver.data(body)
        if self._receiver:
            self._receiver.done()

    def fail(self, message: str) -> None:
        """Tell the receiver there is none."""
        if self._receiver:
            self._receiver.failed(Failure.MODEL, message)


class LocalPool:
    """The threads that ask models in this process, and the models by artefact."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics) -> None:
        self._limit, self._metrics = settings.local_queue, metrics
        self._waiting = 0
        self._threads = ThreadPoolExecutor(settings.local_threads, thread_name_prefix="vedette-local")
        self._lines: dict[LocalBackend, Line] = {}

    def load(self, backend: LocalBackend) -> Line:
        """Load a model, or give the one loaded before; blocks, so call it from a thread.

        Raises:
            VedetteError: the artefact is missing, corrupt, refused or cannot be read here.
        """
        if backend not in self._lines:
            from vedette.connectors.local import LocalModel  # numpy only where models are

            model = LocalModel.load(Path(backend.artefact), backend.digest, backend.format)
            self._lines[backend] = Line(model, backend.batch)
        return self._lines[backend]

    @property
    def idle(self) -> bool:
        """Whether nobody is being answered."""
        return self._waiting == 0

    def keep_only(self, backends: set[LocalBackend]) -> None:
        """Forget the models no plan names any more."""
        for backend in self._lines.keys() - backends:
            del self._lines[backend]

    def call(self, receiver: Receiver, line: Line, ask: Ask, request_id: str) -> LocalCall:
        """Ask a model; the answer comes later, on the event loop."""
        call = LocalCall(receiver)
        loop = asyncio.get_running_loop()
        try:
            queries = list(ask.queries())
        except InvalidInput as error:
            loop.call_soon(call.answer, 400, _JSON, _bad_request(error))
            return call
        if self._waiting >= self._limit:
            loop.call_soon(call.fail, f"{self._limit} requests wait for models in this process already")
            return call

        self._waiting += 1
        line.join(Question(call, ask, request_id, queries))
        self._threads.submit(self._serve, line, loop)
        return call

    def _serve(self, line: Line, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what waits in a line; on a thread."""
        size = 0
        for question, said in line.serve():
            size += len(question.queries) if said is not None else 0
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver, question, said)
        if size and not loop.is_closed():
            loop.call_soon_threadsafe(self._count, size)

    def _count(self, size: int) -> None:
        self._metrics.local_batches += 1
        self._metrics.local_queries += size

    def _deliver(self, question: Question, said: Said) -> None:
        self._waiting -= 1
        call, ask = question.call, question.ask
        if not isinstance(call, LocalCall) or said is None:
            return
        if isinstance(said, InvalidInput):
            call.answer(400, _JSON, _bad_request(said))
        elif isinstance(said, Exception):
            call.fail(str(said) or type(said).__name__)
        elif ask.stream:
            call.answer(200, _EVENTS, answer_events(ask, question.request_id, int(time.time()), said))
        else:
            call.answer(200, _JSON, answer_body(ask, question.request_id, int(time.time()), said))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _bad_request(error: InvalidInput) -> bytes:
    return error_body(str(error), "invalid_request_error", "invalid_value")
