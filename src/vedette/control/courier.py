"""The courier performs what transactions left in the outbox: at least once, retried with growing patience."""

import logging
import threading

from vedette.connectors import webhook
from vedette.control.instruments import Instruments
from vedette.control.passes import passing
from vedette.kernel.errors import Unavailable
from vedette.kernel.outage import Outage
from vedette.store import outbox
from vedette.store.engine import Store
from vedette.store.outbox import OutboxItem

log = logging.getLogger(__name__)


class Courier:
    """Delivers notifications; any number of replicas may run one, each effect is taken by one of them at a time."""

    def __init__(self, store: Store, instruments: Instruments) -> None:
        self._store = store
        self._instruments = instruments

    def run(self, stop: threading.Event, interval: float = 1.0) -> None:
        """Deliver what is due until ``stop`` is set."""
        outage = Outage("delivering from the outbox")
        while not stop.is_set():
            with passing(outage, self._instruments, log):
                self.deliver()
            stop.wait(interval)

    def deliver(self) -> int:
        """Perform every effect that is due; give how many succeeded."""
        with self._store.reading() as connection:
            if not outbox.waiting(connection, limit=1):
                return 0
        with self._store.transaction() as connection:
            items = outbox.take(connection, now=self._instruments.now())
        return sum(self._perform(item) for item in items)

    def _perform(self, item: OutboxItem) -> bool:
        try:
            webhook.post(item.payload["url"], item.payload["body"], item.effect_id)
        except Unavailable as error:
            log.warning("effect %s failed: %s", item.effect_id, error)
            return self._failed(item, error)
        except Exception as error:  # an effect that breaks, in whatever way, must not keep others from being told
            log.exception("effect %s broke", item.effect_id)
            return self._failed(item, error)
        with self._store.transaction() as connection:
            outbox.done(connection, item.effect_id, at=self._instruments.now())
        return True

    def _failed(self, item: OutboxItem, error: Exception) -> bool:
        with self._store.transaction() as connection:
            outbox.failed(connection, item, at=self._instruments.now(), error=str(error))
        return False
