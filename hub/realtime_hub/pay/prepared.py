"""Transactions that were prepared and wait for their signature, and the ticks they aim at."""

from collections import OrderedDict, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from realtime_hub.pay.model import PaymentId
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import DeadlineOf, Intent

SIGN_LEAD_TICKS: Final = 3
"""A tick's list is fixed two ahead (qubic/core TICK_TRANSACTIONS_PUBLICATION_OFFSET), so a
transaction for less than current + 3 comes too late."""
TICKS_AHEAD_MAX: Final = 2_600
"""Nodes keep transactions for at most 2,666 ticks ahead (PENDING_TXS_POOL_NUM_TICKS)."""
SPREAD_CHOICES_MAX: Final = 32
READING_MS: Final = 800
"""How far apart a payer's transactions are laid, so that between two of them there is time to read
whether the first moved money: a node tells of the last one only."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An unsigned transaction as it was given to its payer."""

    payer: PublicKey
    quote_id: bytes
    attempt: int
    payment_id: PaymentId | None
    """The payment that wants a further attempt; None for a new one."""
    intent: Intent | None
    """What a new payment is for."""
    unsigned_tx: bytes
    tick: int

    def settle_within_ms(self, default_ms: int) -> int:
        """Return how long from acceptance a further attempt may be signed."""
        if self.intent is not None and self.intent.deadline_of is DeadlineOf.SETTLED:
            return self.intent.timeout_ms
        return default_ms


class PreparedOrders:
    """Remembers what was prepared until its tick is past; at the bound the oldest goes first.

    Whoever signs a forgotten one is told to prepare again.
    """

    def __init__(self, *, orders_max: int = 20_000, orders_per_payer_max: int = 64) -> None:
        self._orders_max = orders_max
        self._orders_per_payer_max = orders_per_payer_max
        self._by_bytes: OrderedDict[tuple[PublicKey, bytes], Prepared] = OrderedDict()
        self._of_payer: defaultdict[PublicKey, OrderedDict[bytes, Prepared]] = defaultdict(
            OrderedDict
        )

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._by_bytes)

    def add(self, prepared: Prepared) -> None:
        """Remember one more."""
        own = self._of_payer[prepared.payer]
        own[prepared.unsigned_tx] = prepared
        self._by_bytes[(prepared.payer, prepared.unsigned_tx)] = prepared
        if len(own) > self._orders_per_payer_max:
            self.remove(next(iter(own.values())))
        if len(self._by_bytes) > self._orders_max:
            self.remove(next(iter(self._by_bytes.values())))

    def of(self, payer: PublicKey, quote_id: bytes, attempt: int) -> list[Prepared]:
        """Return what was prepared for this quote and attempt."""
        return [
            prepared
            for prepared in self._of_payer.get(payer, {}).values()
            if prepared.quote_id == quote_id and prepared.attempt == attempt
        ]

    def ticks_of(self, payer: PublicKey) -> set[int]:
        """Return the ticks that this payer's prepared transactions aim at."""
        return {prepared.tick for prepared in self._of_payer.get(payer, {}).values()}

    def remove(self, prepared: Prepared) -> None:
        """Forget one, if it is still there."""
        self._by_bytes.pop((prepared.payer, prepared.unsigned_tx), None)
        own = self._of_payer.get(prepared.payer)
        if own is not None:
            own.pop(prepared.unsigned_tx, None)
            if not own:
                del self._of_payer[prepared.payer]

    def drop_before(self, tick: int) -> None:
        """Forget those that aim at a tick before *tick*."""
        for prepared in [one for one in self._by_bytes.values() if one.tick < tick]:
            self.remove(prepared)


def choose_tick(
    *, current: int, offset: int, sign_within_ms: int, tick_ms: int, taken: Collection[int]
) -> int:
    """Return the tick to aim at: so far ahead that the signature comes in time.

    It keeps its distance from the payer's other ticks where possible. Beyond SPREAD_CHOICES_MAX it
    doesn't: the payment then runs all the same, but may stay included.
    """
    signing_ticks = -(-sign_within_ms // max(1, tick_ms))
    first = current + min(max(offset, SIGN_LEAD_TICKS) + signing_ticks, TICKS_AHEAD_MAX)
    apart = max(1, -(-READING_MS // max(1, tick_ms)))
    choice = first
    for _ in range(SPREAD_CHOICES_MAX):
        near = [tick for tick in taken if abs(tick - choice) < apart]
        if not near:
            return choice
        choice = max(near) + apart
    return first
