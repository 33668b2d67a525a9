"""What TurboAuth knows of a wallet, and how that changes."""

from dataclasses import dataclass
from enum import IntEnum

from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, TrustChanged, TrustStatus


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """The chain's word on a wallet; of two the one with the higher chain_sequence counts."""

    wallet: PublicKey
    status: TrustStatus
    score: int
    chain_sequence: int
    reason: int
    updated_tick: int


@dataclass(frozen=True, slots=True)
class Overlay:
    """An administrator's change that the chain doesn't have yet. It may only lower trust."""

    wallet: PublicKey
    digest: bytes
    """Of the administrator's transaction."""
    target_tick: int
    status: TrustStatus
    score: int
    reason: int


class EntryKind(IntEnum):
    """What an entry of the trust log tells. The numbers stand in the log."""

    CHAIN = 1
    PENDING = 2
    WITHDRAWN = 3


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the trust log, with its place in it."""

    log_seq: int
    kind: EntryKind
    wallet: PublicKey
    status: TrustStatus
    score: int
    reason: int
    initiator: Initiator
    event_ms: int
    chain_sequence: int
    target_tick: int
    """Of a pending or withdrawn change; of a chain record the tick that changed it."""
    digest: bytes
    previous_hash: bytes
    mac: bytes

    @property
    def record(self) -> TrustRecord:
        """The chain record that a CHAIN entry brings."""
        return TrustRecord(
            wallet=self.wallet,
            status=self.status,
            score=self.score,
            chain_sequence=self.chain_sequence,
            reason=self.reason,
            updated_tick=self.target_tick,
        )

    @property
    def overlay(self) -> Overlay:
        """The change that a PENDING entry puts over a wallet."""
        return Overlay(
            wallet=self.wallet,
            digest=self.digest,
            target_tick=self.target_tick,
            status=self.status,
            score=self.score,
            reason=self.reason,
        )


@dataclass(frozen=True, slots=True)
class TrustChange:
    """A change as listeners get it: in log order, each once."""

    log_seq: int
    body: TrustChanged
