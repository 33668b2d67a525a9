"""What trust needs from outside: a shared cache and log, and a source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_hub.auth.model import LogDraft, LogEntry, Overlay, TrustRecord
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position


class BackboneUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """The shared store gave no answer that counts within its deadline.

    A write may have happened all the same: the outcome is unknown, never "not written".
    """


class LogMoved(Exception):  # noqa: N818 - an expected outcome of a race
    """Others appended first. What they wrote has been delivered: judge again, then append again."""


class SourceUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """No source of trust gave an answer that counts."""


@dataclass(frozen=True, slots=True)
class CachedTrust:
    """What the cache holds of some wallets, read in one step."""

    chain_head: int | None
    """The chain sequence that the log has reached; see TrustCache.put."""
    records: Sequence[TrustRecord | None]
    overlays: Sequence[Overlay | None]


class TrustCache(Protocol):
    """Remembers records for all hubs (L2). Losing one is allowed, returning an older one isn't."""

    async def read(self, wallets: Sequence[PublicKey]) -> CachedTrust:
        """Return what is there, in the order asked for; BackboneUnavailable."""
        ...

    async def put(self, records: Sequence[TrustRecord], *, chain_head: int, ttl_ms: int) -> None:
        """Keep what a source said while the log's chain head was *chain_head*.

        Nothing is kept when the head has moved since, nor over a newer record; BackboneUnavailable.
        """
        ...


class TrustLog(Protocol):
    """The one order of all trust changes, for every hub. Appending also updates the cache.

    *deliver* is called with each entry once, in order, *restarted* when that order broke off:
    what was delivered may be incomplete, so everything known has to be read again.
    """

    deliver: Callable[[LogEntry], None]
    restarted: Callable[[], None]

    @property
    def position(self) -> Position:
        """The epoch and the last entry delivered; epoch zero before the log was ever reached."""
        ...

    def in_step(self, *, within_s: float) -> bool:
        """Whether everything appended up to *within_s* ago has been delivered here."""
        ...

    async def append(self, draft: LogDraft) -> int:
        """Append and deliver; return the place. LogMoved or BackboneUnavailable.

        Returns 0, or the place it has, for what is in the log already: a chain change not newer
        than the chain head, an overlay that stands, the withdrawal of one that doesn't.
        """
        ...

    async def agree_chain_head(self, *, delivered: int | None, newest: int) -> int:
        """Settle from which chain sequence on changes have to be appended, and return that.

        *delivered* is the last one this hub has seen in the log, None for a hub that knows nothing
        yet; *newest* is the source's last, for a log that has no head. A head beyond *delivered*
        goes back to it, so that what this hub missed is appended again.
        """
        ...

    async def overlays(self) -> Sequence[Overlay]:
        """Return the pending overlays that stand; BackboneUnavailable."""
        ...

    async def renew(self) -> None:
        """Begin a new epoch: every hub has to read everything again."""
        ...

    async def run(self) -> None:
        """Follow the log for ever."""
        ...


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself, after it was recognised."""

    admin: PublicKey
    """Whom it obeys."""
    last_sequence: int


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """Records that changed after a sequence, ascending."""

    overrun: bool
    """Changes before the first are lost: everything known has to be read again."""
    last_sequence: int
    records: Sequence[TrustRecord]


class TrustSource(Protocol):
    """Where trust comes from (L3). SourceUnavailable unless it is the one configured."""

    batch_wallets_max: int

    async def info(self) -> SourceInfo:
        """Say who it is and how far it has come."""
        ...

    async def statuses(self, wallets: Sequence[PublicKey]) -> list[TrustRecord]:
        """Return the records of up to *batch_wallets_max* wallets, in the order asked for."""
        ...

    async def changes(self, since_sequence: int) -> SourceChanges:
        """Return the records that changed after *since_sequence*, some at a time."""
        ...
