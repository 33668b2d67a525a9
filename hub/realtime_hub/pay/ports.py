"""What payments need from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_hub.chain.model import Entity, ProcessedTick
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Intent, Quote, Trust


class QubicPaymentPort(Protocol):
    """The chain as payments see it. Answers are of our network only; NodeUnavailable otherwise."""

    async def entity(self, key: PublicKey) -> Entity | None:
        """Return balance and counters of a key; None when the chain has never seen it."""
        ...

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        """Hand a signed transaction to nodes, which promise nothing.

        NodeUnavailable means that no node was handed a byte. *again*: these bytes went out before.
        """
        ...

    async def transaction(self, digest: bytes) -> bytes | None:
        """Return a processed transaction; None proves nothing."""
        ...

    async def tick_transactions(self, tick: int) -> list[bytes]:
        """Return the transactions of a processed tick."""
        ...


class TicksPort(Protocol):
    """Where the chain is and what its ticks held."""

    listeners: list[Callable[[ProcessedTick], None]]

    @property
    def current_tick(self) -> int:
        """The newest tick seen."""
        ...

    @property
    def tick_ms(self) -> int:
        """How long a tick takes."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the chain can't be vouched for now; None when it can."""
        ...

    @property
    def frozen(self) -> str | None:
        """Why the chain's word counts for nothing; None when it does."""
        ...

    @property
    def network_id(self) -> bytes:
        """32 bytes that name the network; only after wait_ready()."""
        ...

    async def wait_ready(self) -> None:
        """Return once the network is known."""
        ...

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        """Return what a tick held; None while that isn't proven."""
        ...


class TrustPort(Protocol):
    """What is known of a payer, read for this very payment."""

    async def fresh(self, wallet: PublicKey) -> Trust:
        """Return the shared record, never from memory alone; RequestError 108 without it."""
        ...


class SignaturePort(Protocol):
    """Checks signatures off the event loop, a bounded number at a time."""

    async def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the network would take this signature; RequestError 107 at the bound."""
        ...


class QuotedRoute(Protocol):
    """A quote with the intent it answers."""

    @property
    def intent(self) -> Intent:
        """What was asked for."""
        ...

    @property
    def quote(self) -> Quote:
        """What was answered."""
        ...

    @property
    def valid_until_tick(self) -> int:
        """The last tick in which it may be prepared."""
        ...


class QuotePort(Protocol):
    """Quotes given before, and new ones."""

    def find(self, quote_id: bytes) -> QuotedRoute | None:
        """Return a quote that was given, also after its end; None when it is forgotten."""
        ...

    def quote(self, intent: Intent) -> Quote:
        """Quote once and remember it; RequestError when no route keeps the bounds."""
        ...


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One durable record. Offsets count from 1 without holes, over all networks."""

    offset: int
    network_id: bytes
    payment_id: bytes
    body: bytes


class JournalFull(Exception):  # noqa: N818 - a state of the journal, not a mistake of the caller
    """The queue of records that wait for the disk is at its bound; try again in a moment."""


class PaymentJournal(Protocol):
    """The durable, append-only record of payments, with one writer."""

    @property
    def journal_id(self) -> bytes:
        """8 random bytes made with the journal: its positions mean nothing in another."""
        ...

    @property
    def failing(self) -> str | None:
        """Why nothing can be written at present; None when all is well."""
        ...

    @property
    def waiting(self) -> int:
        """How many records wait for the disk."""
        ...

    def append(
        self,
        network_id: bytes,
        payment_id: bytes,
        body: bytes,
        durable: Callable[[int], None],
        *,
        must: bool = False,
    ) -> None:
        """Queue a record; *durable* is called with its offset once it is on disk.

        Calls come in the order of the appends, on the event loop. Raises JournalFull at the bound
        unless the record *must* be taken (their number is bounded by that of open payments). A
        record that can't be written yet stays first in the queue; it is never left out.
        """
        ...

    async def find(self, network_id: bytes, payment_id: bytes) -> Sequence[JournalRecord]:
        """Return one payment's durable records in order; JournalCorrupt as for replay."""
        ...

    async def replay(self, network_id: bytes) -> Sequence[JournalRecord]:
        """Return the network's records in order; JournalCorrupt when any isn't as written."""
        ...
