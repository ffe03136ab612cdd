"""How a worker and its supervisor speak: questions and answers over a pair of sockets only the two of them have.

What is sent is pickled: both ends are the same program, and nobody else can reach them. That keeps pydantic, and every
database, out of the workers.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from vedette.catalog.budget import Period, Spent
from vedette.catalog.key import KeyRing
from vedette.gateway.metrics import Metrics
from vedette.gateway.settings import GatewaySettings
from vedette.kernel.errors import Unavailable
from vedette.routing.plan import TrafficPlan

Answers = Mapping[str, Callable[..., object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The first thing a worker is told."""

    settings: GatewaySettings
    folder: str  # of its journal
    place: int  # in the table of loads
    level: int  # of its log


class Caller:
    """Asks the other end, one question at a time; safe to use from several threads."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def ask(self, name: str, *values: object) -> Any:  # noqa: ANN401 - what the other end says
        """Ask and wait for the answer.

        Raises:
            Unavailable: the other end is gone, or could not answer.
        """
        with self._lock:
            try:
                self._connection.send((name, values))
                good, answer = self._connection.recv()
            except (EOFError, OSError) as error:
                raise Unavailable("the supervisor is gone") from error
        if not good:
            raise Unavailable(answer)
        return answer


def answer(connection: "Connection[Any, Any]", answers: Answers) -> None:
    """Answer what the other end asks, until it is gone."""
    while True:
        try:
            name, values = connection.recv()
        except (EOFError, OSError):
            return
        try:
            said = True, answers[name](*values)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker is told and goes on
            said = False, str(error) or type(error).__name__
        try:
            connection.send(said)
        except OSError:
            return


class AskedFeed:
    """A worker's plan feed: its supervisor's."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def poll(self, since: int) -> tuple[int, Sequence[TrafficPlan]]:
        """Ask for plans."""
        position, plans = self._caller.ask("poll", since)
        return position, plans

    def keys(self, known: int) -> KeyRing | None:
        """Ask for keys."""
        ring: KeyRing | None = self._caller.ask("keys", known)
        return ring

    def spending(self, asked: Sequence[tuple[str, Period]]) -> Sequence[Spent]:
        """Ask for what was used."""
        figures: Sequence[Spent] = self._caller.ask("spending", asked)
        return figures

    def confirm(self, router: str, revisions: Mapping[str, int]) -> None:
        """Confirm plans."""
        self._caller.ask("confirm", router, dict(revisions))


class AskedSum:
    """A worker's way to the figures of all."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def exchange(self, own: Metrics) -> Metrics:
        """Tell and ask."""
        total: Metrics = self._caller.ask("figures", own)
        return total
