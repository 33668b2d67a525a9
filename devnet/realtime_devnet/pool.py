"""Transactions that wait for their tick (qubic/core src/public_settings.h, pending_txs_pool.h)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from realtime_devnet.ledger import Entity
from realtime_protocol.transaction import Transaction

TICK_TRANSACTIONS_MAX: Final = 4096 - 3
TICKS_AHEAD_MAX: Final = 2666
TRANSACTIONS_MAX: Final = 65_536
"""Over all ticks; bounds a devnet's memory."""
_PRIORITY_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Pending:
    """A valid transaction with its place in line."""

    digest: bytes
    signed: bytes
    transaction: Transaction
    priority: int
    arrival: int


def priority_of(source: Entity, tick: int) -> int:
    """Return what decides who stays when a tick is full: balance times ticks of rest.

    0 or less keeps a transaction out, so a source without balance can't even move 0 QU.
    """
    latest = source.latest_outgoing_tick or source.latest_incoming_tick
    return min(source.balance_qu * (tick - latest + 1) - 1, _PRIORITY_MAX)


class Pool:
    """The waiting transactions by tick, in order of arrival within one."""

    def __init__(
        self,
        pending: Iterable[Pending] = (),
        *,
        tick_transactions_max: int = TICK_TRANSACTIONS_MAX,
        transactions_max: int = TRANSACTIONS_MAX,
    ) -> None:
        self._tick_transactions_max = tick_transactions_max
        self._transactions_max = transactions_max
        self._by_tick: dict[int, dict[bytes, Pending]] = {}
        self._count = 0
        self._arrived: list[Pending] = []
        self._displaced: list[bytes] = []
        self.arrivals = 0
        for found in sorted(pending, key=lambda found: found.arrival):
            self._by_tick.setdefault(found.transaction.tick, {})[found.digest] = found
            self._count += 1
            self.arrivals = max(self.arrivals, found.arrival + 1)

    def __len__(self) -> int:
        return self._count

    def holds(self, tick: int, digest: bytes) -> bool:
        """Tell whether this very transaction waits."""
        return digest in self._by_tick.get(tick, {})

    def add(self, digest: bytes, signed: bytes, transaction: Transaction, priority: int) -> bool:
        """Take a transaction in and tell; a full tick gives up its lowest priority for a higher."""
        waiting = self._by_tick.get(transaction.tick, {})
        if len(waiting) >= self._tick_transactions_max:
            lowest = min(waiting.values(), key=lambda found: found.priority)
            if lowest.priority >= priority:
                return False
            del waiting[lowest.digest]
            self._displaced.append(lowest.digest)
            self._count -= 1
        elif self._count >= self._transactions_max:
            return False
        pending = Pending(digest, signed, transaction, priority, self.arrivals)
        self._by_tick.setdefault(transaction.tick, {})[digest] = pending
        self._count += 1
        self.arrivals += 1
        self._arrived.append(pending)
        return True

    def at(self, tick: int) -> tuple[Pending, ...]:
        """Return the transactions for *tick* in order of arrival."""
        return tuple(self._by_tick.get(tick, {}).values())

    def drop(self, tick: int) -> None:
        """Forget the transactions for *tick*: processed, or too late for its list."""
        self._count -= len(self._by_tick.pop(tick, {}))

    def take_arrived(self) -> tuple[Pending, ...]:
        """Return those that came since the last call and still wait."""
        waiting = tuple(
            pending
            for pending in self._arrived
            if self.holds(pending.transaction.tick, pending.digest)
        )
        self._arrived.clear()
        return waiting

    def take_displaced(self) -> tuple[bytes, ...]:
        """Return the digests that gave way to a higher priority since the last call."""
        displaced = tuple(self._displaced)
        self._displaced.clear()
        return displaced
