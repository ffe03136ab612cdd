"""One replica among several, for tests: it takes a lease again and again and writes under it what epoch it is in.

Started as ``python -m tests.store.replica URL NAME``. Each tick is one audit entry, written in a transaction fenced by
the lease. It says on standard output when it wrote under a new lease (``held EPOCH``) and when a write under a lease
it had lost was refused (``refused EPOCH``). Told by SIGUSR1 it stops itself (SIGSTOP) at the worst moment: after it
made sure of its lease and before it writes; not inside a transaction, for there SQLite lets nobody else write.
"""

import os
import signal
import sys
import time
from datetime import UTC, datetime

from vedette.kernel.errors import LeaseLost
from vedette.store import audit, leases
from vedette.store.engine import Store

TTL = 1.0


def main(url: str, name: str) -> None:
    """Compete for the lease until killed."""
    stops: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: stops.append(number))
    store = Store(url)
    while True:
        with store.transaction() as connection:
            gained = leases.acquire(connection, ["tick"], name, ttl=TTL)
        if gained:
            _work(store, gained[0], name, stops)
        time.sleep(0.05)


def _work(store: Store, lease: leases.Lease, name: str, stops: list[int]) -> None:
    renewed = time.monotonic()
    ticks = 0
    while True:
        if stops:
            stops.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            with store.transaction() as connection:
                leases.fence(connection, lease)
                audit.append(
                    connection, at=datetime.now(UTC), actor=name, action="tick", details={"epoch": lease.epoch}
                )
        except LeaseLost:
            print("refused", lease.epoch, flush=True)  # noqa: T201 - the test reads it
            return
        ticks += 1
        if ticks == 1:
            print("held", lease.epoch, flush=True)  # noqa: T201 - the test reads it
        time.sleep(0.02)
        if time.monotonic() - renewed > TTL / 3:
            with store.transaction() as connection:
                leases.renew(connection, {lease: time.monotonic() - renewed})
            renewed = time.monotonic()


if __name__ == "__main__":
    main(*sys.argv[1:])
