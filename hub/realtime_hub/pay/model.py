"""What the hub knows of a payment, and what it tells of a change."""

from dataclasses import dataclass, field
from typing import NewType

from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import PaymentState, PaymentStatus, PayResign, Position

PaymentId = NewType("PaymentId", bytes)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction of a payment. The first has number 1."""

    number: int
    signed_tx: bytes = field(repr=False)
    txid: bytes
    tick: int


@dataclass(frozen=True, slots=True)
class Spender:
    """For whom a spending wallet pays, and up to how much in all, as that one's wallet signed."""

    owner: PublicKey
    terms_id: bytes
    """Names what was signed: what is spent counts against that."""
    max_qu: int
    until_ms: int


@dataclass(slots=True)
class Payment:
    """A payment as its events left it. Only PaymentMachine changes it."""

    payment_id: PaymentId
    payer: PublicKey
    payee: PublicKey
    amount_qu: int
    idem: bytes
    quote_id: bytes
    accepted_ms: int
    settle_by_ms: int
    attempts: list[Attempt]
    owner: PublicKey | None
    """For whom a spending wallet pays; None: it pays for itself."""
    terms_id: bytes
    status: PaymentStatus
    """As of the newest event, which may still wait for the disk."""
    published: PaymentStatus | None = None
    """As of the newest durable event: what clients may be told."""
    durable_attempt: int = 0
    """Number of the newest attempt that is on disk; only such are broadcast."""
    maybe_broadcast: bool = False
    """Whether bytes of the last attempt may have left this hub: from then on nothing rejects it.

    Set before they leave, and for all that is recovered: a crash may hide that they did.
    """

    @property
    def attempt(self) -> Attempt:
        """The last one; all before it are dead."""
        return self.attempts[-1]

    @property
    def state(self) -> PaymentState:
        """How far it has come."""
        return self.status.state

    @property
    def spent_qu(self) -> int:
        """What counts against what was signed for a spending wallet: nothing that goes home."""
        return 0 if self.owner in (None, self.payee) else self.amount_qu

    @property
    def pays(self) -> tuple[PublicKey, ...]:
        """Whose money it is: the payer, and for whom that pays."""
        return (self.payer,) if self.owner is None else (self.payer, self.owner)

    def concerns(self, wallet: PublicKey) -> bool:
        """Whether it is that wallet's to know: the payer's, the payee's, or whose money it was."""
        return wallet in (*self.pays, self.payee)

    @property
    def outcome_hidden(self) -> bool:
        """Whether it is included and the nodes can't show whether money moved."""
        return self.state is PaymentState.INCLUDED and self.status.detail is not None


@dataclass(frozen=True, slots=True)
class Order:
    """A signed transaction that passed the checks, with what it is for."""

    payer: PublicKey
    payee: PublicKey
    amount_qu: int
    tick: int
    signed_tx: bytes = field(repr=False)
    txid: bytes
    idem: bytes
    quote_id: bytes
    attempt: int
    settle_within_ms: int
    """How long from acceptance a further attempt may be signed."""
    spender: Spender | None = None


@dataclass(frozen=True, slots=True)
class PaymentLimits:
    """How many payments may be open at a time. Beyond: RequestError 107."""

    open_max: int = 100_000
    open_per_payer_max: int = 64
    """1 makes a payer's payments wait for each other."""
    finished_remembered_max: int = 50_000
    """Older finished payments are read from the journal when asked for."""


@dataclass(frozen=True, slots=True)
class PaymentChange:
    """A change that is durable, at its place in the journal."""

    offset: int
    payer: PublicKey
    payee: PublicKey
    status: PaymentStatus
    resign: PayResign | None = None
    """A request to the payer to sign again; it stands in `status` too."""
    owner: PublicKey | None = None
    """For whom a spending wallet pays."""

    @property
    def pays(self) -> tuple[PublicKey, ...]:
        """Whose money it is: the payer, and for whom that pays."""
        return (self.payer,) if self.owner is None else (self.payer, self.owner)


@dataclass(frozen=True, slots=True)
class StreamRead:
    """One wallet's payments, as payer or as payee, at one point of the stream."""

    head: Position
    changes: tuple[PaymentChange, ...] | None
    """What came after the position that was asked for; None when that can't be had."""
    snapshot: tuple[PaymentStatus, ...] = ()
    """Where the payments stand, when there are no `changes`."""
