"""From the source of trust into the trust log: every change that it lists, by one hub at a time."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from realtime_hub.auth.model import EntryKind, LogEntry, TrustRecord
from realtime_hub.auth.ports import LogUnavailable, SourceUnavailable, TrustLog, TrustSource
from realtime_hub.auth.stewardship import Stewardship
from realtime_hub.clock import Clock
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator
from realtime_protocol.qubic.contract_abi import ContractInfo

logger = logging.getLogger(__name__)

CHANGES_ROUNDS_MAX: Final = 64
"""Calls for changes in one go, 256 changes each; what is left comes at the next tick."""
FEED_PATIENCE_S: Final = 1.0
"""A change that is listed for longer and isn't in the log is appended out of turn."""
POLL_S: Final = 1.0
"""Changes are looked for at each tick, and this often when no tick is heard of."""


class SourceFeed:
    """One owner runs :meth:`run`. *stewardship* tells whether the source counts: whom it may obey.

    *on_trouble* is called when what stands in the way changes, and must return at once.
    """

    def __init__(
        self,
        *,
        log: TrustLog,
        source: TrustSource | None,
        clock: Clock,
        stewardship: Stewardship,
        chain_trouble: Callable[[], str | None],
        on_trouble: Callable[[], None],
    ) -> None:
        self.contract_admin: PublicKey | None = None
        """Whom the source obeys; None while that isn't known."""
        self._log = log
        self._source = source
        self._clock = clock
        self._stewardship = stewardship
        self._chain_trouble = chain_trouble
        self._on_trouble = on_trouble
        self._sequence: int | None = None
        """The source's changes up to here have been appended to the log, by whomever."""
        self._delivered_sequence: int | None = None
        """The source's changes up to here have come back out of the log."""
        self._behind_since_s: float | None = None
        """Since when the source lists changes that nobody has appended."""
        self._source_trouble: str | None = "the TurboAuth contract hasn't answered yet"
        self._unwritten: str | None = None
        self._ticked = asyncio.Event()

    @property
    def trouble(self) -> str | None:
        """Why this hub doesn't know that every change is in the log; None when it does."""
        return self._chain_trouble() or self._source_trouble or self._unwritten

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        """Ask the source for wallets; SourceUnavailable while it doesn't count."""
        if self._source is None or self.contract_admin is None:
            raise SourceUnavailable("no source of trust counts now")
        return await self._source.statuses(wallets)

    def on_tick(self) -> None:
        """Tell that the chain moved on."""
        self._ticked.set()

    def delivered(self, chain_sequence: int) -> None:
        """Tell that a change came out of the log."""
        self._delivered_sequence = max(self._delivered_sequence or 0, chain_sequence)

    def begin_anew(self) -> None:
        """Tell that the log began anew: what it lacks is appended again."""
        self._sequence = None
        self._ticked.set()

    async def run(self) -> None:
        """Feed the log for ever."""
        while True:
            await self.feed()
            self._ticked.clear()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._ticked.wait()
            except TimeoutError:
                pass

    async def feed(self) -> None:
        """Append what is listed and missing, at this hub's turn; note what stands in the way."""
        try:
            await self._read_changes()
        except SourceUnavailable as error:
            self._note_source(str(error))
        except LogUnavailable as error:
            # What other hubs can't hear of, this one can't vouch for.
            self._unwritten = f"changes wait for the trust log: {error}"
            self._on_trouble()
            logger.warning("%s", self._unwritten)
        else:
            self._unwritten = None

    async def _read_changes(self) -> None:
        source = self._source
        if source is None:
            raise SourceUnavailable("no source of trust is configured; see hub.trust_source")
        if self._chain_trouble() is not None:
            return
        info = self._require_ours(await source.info())
        if self._delivered_sequence is None:
            # What came before this hub is nothing that it has missed.
            self._delivered_sequence = await self._first_sequence(info)
        self._note_source(None)
        if not await self._feeds(info.last_sequence):
            self._sequence = None  # Others go on meanwhile; at its turn it begins where they are.
            return
        if self._sequence is None:
            self._sequence = await self._first_sequence(info)
        for _ in range(CHANGES_ROUNDS_MAX):
            if self._sequence >= info.last_sequence:
                return
            found = await source.changes(self._sequence)
            if found.overrun:
                logger.warning("the source no longer lists changes after %d", self._sequence)
                await self._log.skip_to(found.last_sequence)
                return
            for record in found.changes:
                await self._log.append(chain_draft(record, now_ms=self._clock.now_ms()))
                self._sequence = record.chain_sequence
            if not found.changes:
                return

    async def _feeds(self, listed_sequence: int) -> bool:
        """Tell whether this hub appends now: at its turn, or when who has it doesn't."""
        try:
            its_turn = await self._log.take_turn()
        except LogUnavailable:
            its_turn = False  # A full Redis refuses even this; a change decides whether it matters.
        now_s = self._clock.monotonic_s()
        if its_turn or listed_sequence <= (self._delivered_sequence or 0):
            self._behind_since_s = None
            return its_turn
        self._behind_since_s = self._behind_since_s or now_s
        return now_s - self._behind_since_s > FEED_PATIENCE_S

    async def _first_sequence(self, info: ContractInfo) -> int:
        """Return from where on the log wants the source's changes."""
        known = await self._log.chain_sequence()
        if known is not None and known <= info.last_sequence:
            return known
        # An emptied log: what never came out of it is appended again.
        return info.last_sequence if self._delivered_sequence is None else self._delivered_sequence

    def _require_ours(self, info: ContractInfo) -> ContractInfo:
        """The source counts only when it is TurboAuth, of our ABI, under our administrator."""
        trouble = self._stewardship.judge(info)
        if trouble is not None:
            raise SourceUnavailable(trouble)
        self.contract_admin = PublicKey(info.admin)
        return info

    def _note_source(self, trouble: str | None) -> None:
        if trouble != self._source_trouble:
            level = logging.INFO if trouble is None else logging.WARNING
            logger.log(level, "TurboAuth contract: %s", trouble or "followed")
        self._source_trouble = trouble
        if trouble is not None:
            self.contract_admin = None
        self._on_trouble()


def chain_draft(record: TrustRecord, *, now_ms: int) -> LogEntry:
    """Return the entry that brings a record which was read now into the log."""
    return LogEntry(
        log_seq=0,
        kind=EntryKind.CHAIN,
        wallet=record.wallet,
        status=record.status,
        score=record.score,
        reason=record.reason,
        initiator=Initiator.CHAIN,
        event_ms=now_ms,
        chain_sequence=record.chain_sequence,
        target_tick=record.updated_tick,
        digest=b"",
        previous_hash=b"",
        mac=b"",
    )
