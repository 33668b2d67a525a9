"""What TurboAuth needs from outside to know whom to trust."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_hub.auth.model import LogEntry, TrustRecord
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position
from realtime_protocol.qubic.contract_abi import ContractInfo


class SourceUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """No source of trust gave an answer that counts."""


class LogUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """The trust log or the shared cache could not be reached in time."""


@dataclass(frozen=True, slots=True)
class CachedRecord:
    """A chain record and when it was last read from the chain, epoch ms."""

    record: TrustRecord
    verified_ms: int


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A changed record of the source, in the order of chain_sequence."""

    record: TrustRecord


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """What changed after a sequence; *overrun* when older changes are no longer listed."""

    last_sequence: int
    overrun: bool
    changes: tuple[TrustRecord, ...]


class TrustSource(Protocol):
    """L3: the TurboAuth contract or a registry. Every method raises SourceUnavailable."""

    async def info(self) -> ContractInfo:
        """Return what the contract says of itself."""
        ...

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        """Return the record of each wallet; None for one that isn't listed.

        A wallet for which there is no answer that counts is left out.
        """
        ...

    async def changes(self, since_sequence: int) -> SourceChanges:
        """Return up to 256 changes after *since_sequence*."""
        ...


class TrustCache(Protocol):
    """L2: records that hubs share. Losing one is allowed; going back to an older one isn't."""

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        """Return what is kept of each wallet; LogUnavailable when that can't be told."""
        ...

    async def put(self, records: Sequence[CachedRecord]) -> None:
        """Keep each unless a newer chain_sequence is kept already."""
        ...


LogBegin = Callable[[list[LogEntry]], None]
"""Takes the newest entries of a log that begins here, oldest first."""


class TrustLog(Protocol):
    """The one order of trust changes, for every hub that shares it.

    *begin* of :meth:`follow` is called once at first, and again whenever positions have lost their
    meaning: the log was emptied, went back, or was trimmed past this hub. *deliver* gets every
    entry after that, in order, each once.
    """

    async def append(self, draft: LogEntry) -> int | None:
        """Append an entry (its log_seq, hash and MAC are the log's to set); return its place.

        None for a chain record that isn't newer than the one the log has. What an order says is
        there once: its draft again gets the place of the first. LogUnavailable when the outcome
        can't be told; then the same draft again is safe.
        """
        ...

    async def read_since(self, offset: int) -> list[LogEntry] | None:
        """Return what came after *offset*; None when that is no longer kept."""
        ...

    def position(self) -> Position:
        """Where this hub is in the log."""
        ...

    async def catch_up(self) -> None:
        """Deliver whatever the log holds when this is called; LogUnavailable."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the log can't be vouched for now; None when it can."""
        ...

    @property
    def answers(self) -> bool:
        """Whether all that was asked last was answered well: tells of a failure before trouble."""
        ...

    @property
    def gaps(self) -> int:
        """How often a change was not heard and was read back."""
        ...

    @property
    def born_ms(self) -> int:
        """When the log's epoch began, epoch ms: what was shared before may have been lost since."""
        ...

    async def chain_sequence(self) -> int | None:
        """Return the newest chain sequence that the log has; None for an empty log."""
        ...

    async def skip_to(self, chain_sequence: int) -> None:
        """Give up on changes up to there: they can't be had, so every hub begins anew.

        LogUnavailable.
        """
        ...

    async def take_turn(self) -> bool:
        """Tell whether this hub is the one that appends the source's changes now.

        Of hubs that share a log one has the turn and keeps it by asking; when it falls silent
        another gets it. It spares the source and the log, and decides nothing: append refuses
        what is there already. LogUnavailable.
        """
        ...

    async def follow(self, deliver: Callable[[LogEntry], None], begin: LogBegin) -> None:
        """Deliver entries for ever."""
        ...
