"""What TurboAuth knows of wallets: chain records, pending overlays, and the log of their changes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustChanged, TrustReason, TrustStatus


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """The chain's word on one wallet. Of two records the one with the higher sequence is true."""

    wallet: PublicKey
    sequence: int
    """The contract's sequence number; 0 says that the wallet is not listed."""
    status: TrustStatus
    score: int
    reason: int
    updated_tick: int
    read_ms: int
    """Epoch ms at which a source was last heard saying so."""

    @property
    def listed(self) -> bool:
        """Whether the contract holds the wallet."""
        return self.sequence > 0


def not_listed(wallet: PublicKey, read_ms: int) -> TrustRecord:
    """Return the record of a wallet that a source does not list."""
    return TrustRecord(wallet, 0, TrustStatus.UNKNOWN, 0, TrustReason.NOT_LISTED, 0, read_ms)


@dataclass(frozen=True, slots=True)
class Overlay:
    """A change that the administrator has signed and the chain hasn't executed yet.

    It only ever lowers what the chain's record says.
    """

    wallet: PublicKey
    digest: bytes
    """The transaction's 32 bytes."""
    target_tick: int
    status: TrustStatus
    score: int
    reason: int

    def ended_by(self, record: TrustRecord) -> bool:
        """Whether the chain's record shows that this change is on chain or was overtaken there.

        Within the target tick another change of the wallet may come first, so there only the
        change itself ends its overlay.
        """
        if record.updated_tick != self.target_tick:
            return record.updated_tick > self.target_tick
        return content(record) == content(self)


def content(says: TrustRecord | Overlay) -> tuple[TrustStatus, int, int]:
    """Return what a record or an overlay says, without where it comes from."""
    return says.status, says.score, says.reason


def lower(says: TrustRecord | Overlay, other: TrustRecord | Overlay) -> bool:
    """Tell whether *says* trusts the wallet less than *other* does."""
    return _rank(says) < _rank(other)


def _rank(says: TrustRecord | Overlay) -> tuple[int, int]:
    if says.status is TrustStatus.BLOCKED:
        return (0, 0)
    if says.status is TrustStatus.ACTIVE:
        return (2, says.score)
    return (1, 0)


class EntryKind(IntEnum):
    """What an entry of the trust log tells. The numbers stand in stored entries."""

    CHAIN = 1
    PENDING = 2
    WITHDRAWN = 3


@dataclass(frozen=True, slots=True)
class LogDraft:
    """A change before it has its place in the log.

    For CHAIN the record is the new one; for the others it is what the chain said when the overlay
    was put or taken back, None when that wasn't known.
    """

    kind: EntryKind
    wallet: PublicKey
    record: TrustRecord | None
    overlay: Overlay | None
    event_ms: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A change at its place in the log."""

    log_seq: int
    draft: LogDraft


@dataclass(frozen=True, slots=True)
class TrustChange:
    """What listeners are told: the change as sessions see it, at its place in the log."""

    log_seq: int
    body: TrustChanged


TrustListener = Callable[[TrustChange], None]
