"""Models in this process behind the same path as backends: asked on a few threads, answered as HTTP would be."""

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from vedette.catalog.backend import LocalBackend
from vedette.gateway.openai import Ask, answer_body, answer_events, error_body
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.upstream import Failure, Headers, Receiver
from vedette.kernel.errors import InvalidInput

_JSON: Headers = [(b"content-type", b"application/json")]
_EVENTS: Headers = [(b"content-type", b"text/event-stream")]


class Model(Protocol):
    """What answers texts with texts."""

    def predict(self, queries: list[str]) -> list[str]:
        """Answer each query."""
        ...


class LocalCall:
    """One question to a model in this process."""

    __slots__ = ("_future", "_receiver")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver: Receiver | None = receiver
        self._future: Future[list[str]] | None = None

    def watch(self, future: "Future[list[str]]") -> None:
        """Keep the future, to give it up when the client does."""
        self._future = future

    def abort(self) -> None:
        """Forget it; a prediction that has begun runs to its end, unheard."""
        self._receiver = None
        if self._future:
            self._future.cancel()

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

    def __init__(self, settings: GatewaySettings) -> None:
        self._limit = settings.local_queue
        self._waiting = 0
        self._threads = ThreadPoolExecutor(settings.local_threads, thread_name_prefix="vedette-local")
        self._models: dict[LocalBackend, Model] = {}

    def load(self, backend: LocalBackend) -> Model:
        """Load a model, or give the one loaded before; blocks, so call it from a thread.

        Raises:
            VedetteError: the artefact is missing, corrupt, refused or cannot be read here.
        """
        if backend not in self._models:
            from vedette.connectors.local import LocalModel  # numpy only where models are

            self._models[backend] = LocalModel.load(Path(backend.artefact), backend.digest, backend.format)
        return self._models[backend]

    @property
    def idle(self) -> bool:
        """Whether nobody is being answered."""
        return self._waiting == 0

    def keep_only(self, backends: set[LocalBackend]) -> None:
        """Forget the models no plan names any more."""
        for backend in self._models.keys() - backends:
            del self._models[backend]

    def call(self, receiver: Receiver, model: Model, ask: Ask, request_id: str) -> LocalCall:
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

        def deliver(future: "Future[list[str]]") -> None:
            self._waiting -= 1
            if future.cancelled():
                return
            error = future.exception()
            if isinstance(error, InvalidInput):
                call.answer(400, _JSON, _bad_request(error))
            elif error:
                call.fail(str(error) or type(error).__name__)
            elif ask.stream:
                call.answer(200, _EVENTS, answer_events(ask, request_id, int(time.time()), future.result()))
            else:
                call.answer(200, _JSON, answer_body(ask, request_id, int(time.time()), future.result()))

        self._waiting += 1
        future = self._threads.submit(model.predict, queries)
        call.watch(future)
        future.add_done_callback(lambda done: None if loop.is_closed() else loop.call_soon_threadsafe(deliver, done))
        return call

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _bad_request(error: InvalidInput) -> bytes:
    return error_body(str(error), "invalid_request_error", "invalid_value")
