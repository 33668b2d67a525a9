"""What payments need from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_hub.chain.model import Entity, ProcessedTick
from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Intent,
    PaymentStatus,
    PayReply,
    PayRequest,
    Position,
    PrepareReply,
    PrepareRequest,
    Quote,
    SpendGetReply,
    Trust,
    TrustSetReply,
)


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

    def remembered(self, wallet: PublicKey) -> Trust | None:
        """Return what was known not long ago; None when that doesn't tell enough."""
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


class JournalLocked(Exception):  # noqa: N818 - says what is the matter
    """Another process has the journal, or is in the middle of a write."""


class JournalFenced(Exception):  # noqa: N818 - says what is the matter
    """A newer term of writing has begun."""


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


class PaymentDoor(Protocol):
    """Where payments are prepared, handed in and asked for, in this process or another."""

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        """Return the transaction to sign, from the payer or a wallet that it *spends_from*."""
        ...

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        """Take a signed transaction; it is durable once this returns.

        *spender*: for whom the payer, a spending wallet, pays.
        """
        ...

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        """Return what was spent of what was signed for a spending wallet, and what it holds."""
        ...

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        """Return where a payment of this wallet stands."""
        ...

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        """Read a wallet's payments at one point of the stream."""
        ...


class Owner(PaymentDoor, Protocol):
    """The one process that writes the journals and broadcasts, as seen from any worker."""

    @property
    def trouble(self) -> str | None:
        """Why no payment is taken now, for people; None when all is well."""
        ...

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        """Take an administrator's signed transaction."""
        ...

    def block(self, wallet: PublicKey) -> None:
        """The wallet was blocked."""
        ...

    def unblock(self, wallet: PublicKey) -> None:
        """The wallet isn't blocked any more."""
        ...


class LeaseUnavailable(Exception):  # noqa: N818 - a state of the lease, not a mistake
    """Who owns can't be told or changed now."""


class OwnerLease(Protocol):
    """Says which process owns. It is lost by silence: then the process must not act any more."""

    @property
    def held(self) -> bool:
        """Whether this process owns at this moment, by its own clock."""
        ...

    async def acquire(self, *, floor: int) -> int | None:
        """Take the lease: a fence above *floor* and above all before; None when another has it.

        LeaseUnavailable when that can't be told.
        """
        ...

    async def renew(self) -> bool:
        """Prolong it; False when another has it. LeaseUnavailable when that can't be told."""
        ...

    async def release(self) -> None:
        """Give it up, so that another need not wait for its end."""
        ...


class OwnerLink(Protocol):
    """A way to the process that owns."""

    async def follow(self, desk: "Desk") -> None:
        """Serve *desk* through the owner until it can't be reached any more."""
        ...


class Desk(Protocol):
    """Where a worker's sessions come with payments: it is told who serves them."""

    @property
    def heard(self) -> Position | None:
        """Up to where changes were delivered; None before any owner was known."""
        ...

    def open(self, owner: Owner, head: Position, changes: Sequence[PaymentChange] | None) -> None:
        """Be served by *owner*, after *changes*: those since `heard`, None if they are lost."""
        ...

    def take(self, change: PaymentChange) -> None:
        """Take a further change."""
        ...

    def explain(self, why: str) -> None:
        """Tell why there is no owner, for people."""
        ...

    def close(self, owner: Owner, why: str) -> None:
        """That owner serves no more; *why* is for people."""
        ...
