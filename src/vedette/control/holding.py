"""Holding leases: what one process may act on, renewed in time, given back when it is not needed any more."""

from collections.abc import Collection

from vedette.control.change import Changes
from vedette.control.instruments import Instruments
from vedette.store import leases
from vedette.store.leases import Lease


class Holding:
    """The leases of one holder.

    Args:
        changes: whose store keeps them.
        instruments: clocks and ids.
        ttl: seconds after which another replica may take over from one that fell silent.
    """

    def __init__(self, changes: Changes, instruments: Instruments, ttl: float) -> None:
        self._changes = changes
        self._instruments = instruments
        self._ttl = ttl
        self._holder = instruments.new_id()
        self._held: dict[str, tuple[Lease, float]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def lease(self, name: str) -> Lease:
        """Give a lease that is held."""
        return self._held[name][0]

    def watched(self, name: str) -> float:
        """Give the seconds that what is held was watched so far, over all holders."""
        lease, since = self._held[name]
        return lease.held + min(self._instruments.monotonic() - since, self._ttl)

    def lost(self, name: str) -> None:
        """Note that another replica has it now."""
        self._held.pop(name, None)

    def hold(self, names: Collection[str]) -> bool:
        """Renew the leases that are a third used, let go of those not needed, and take those that are free.

        Says whether any was gained.
        """
        wanted = set(names)
        self._let_go(self._held.keys() - wanted)
        now = self._instruments.monotonic()
        self._renew([name for name, (_, since) in self._held.items() if now - since > self._ttl / 3])
        wanted -= self._held.keys()
        if wanted:
            with self._changes.reading() as connection:
                wanted -= {lease.name for lease in leases.current(connection)}
        if not wanted:
            return False
        with self._changes.store.transaction() as connection:
            gained = leases.acquire(connection, sorted(wanted), self._holder, ttl=self._ttl)
        self._held |= {lease.name: (lease, self._instruments.monotonic()) for lease in gained}
        return True

    def release(self) -> None:
        """Give every lease back, with the time watched so far, so that another replica need not wait."""
        self._renew(list(self._held))
        self._let_go(set(self._held))

    def _let_go(self, names: Collection[str]) -> None:
        """Give leases back, so that whoever needs them next need not wait for them to run out."""
        if not names:
            return
        with self._changes.store.transaction() as connection:
            leases.release(connection, [self._held.pop(name)[0] for name in names])

    def _renew(self, names: Collection[str]) -> None:
        if not names:
            return
        now = self._instruments.monotonic()
        with self._changes.store.transaction() as connection:
            kept = leases.renew(connection, {self._held[n][0]: now - self._held[n][1] for n in names})
        for name in names:
            del self._held[name]
        self._held |= {lease.name: (lease, now) for lease in kept}
