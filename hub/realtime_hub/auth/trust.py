"""The trust book: what this hub knows of wallets, from which tier, and every change to it.

Answers come from memory (L1), the shared cache (L2) or the TurboAuth contract (L3). Changes come
from one log only, in its order; what is read beside it may only bring a newer chain record.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from realtime_hub.auth.model import EntryKind, LogEntry, Overlay, TrustChange, TrustRecord
from realtime_hub.auth.ports import (
    CachedRecord,
    LogUnavailable,
    SourceUnavailable,
    TrustCache,
    TrustLog,
    TrustSource,
)
from realtime_hub.auth.recent_entries import RecentEntries
from realtime_hub.auth.refresh import RefreshQueue
from realtime_hub.auth.shared_cache import SharedCache
from realtime_hub.auth.shared_run import SharedRun
from realtime_hub.auth.standing import Effective, Standing, unavailable
from realtime_hub.auth.stewardship import Stewardship
from realtime_hub.auth.tiers import Found, TierReader
from realtime_hub.auth.wallet_memory import WalletMemory
from realtime_hub.clock import Clock
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Initiator,
    Position,
    Trust,
    TrustChanged,
    TrustReason,
    TrustStatus,
    TrustTier,
)
from realtime_protocol.qubic.contract_abi import ContractInfo

logger = logging.getLogger(__name__)

CHANGES_ROUNDS_MAX: Final = 64
"""Calls for changes in one go, 256 changes each; what is left comes at the next tick."""
FEED_PATIENCE_S: Final = 1.0
"""A change that is listed for longer and isn't in the log is appended out of turn."""
POLL_S: Final = 1.0
"""Changes are looked for at each tick, and this often when no tick is heard of."""
REMEMBERED_MS: Final = 300_000
"""How old trust may be that small payments go on while it can't be read."""
REFRESH_EVERY_S: Final = 0.1
"""How often it is looked for answers that run out soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustLimits:
    """Bounds and lifetimes of the tiers."""

    wallets_max: int = 100_000
    """Wallets in L1."""
    ttl_ms: int = 5_000
    """How long an answer may be used after the chain's word was read, by whichever hub."""
    source_timeout_s: float = 0.25
    cache_timeout_s: float = 0.05


class TrustBook:
    """One owner runs :meth:`run`; everybody else asks and listens.

    *listeners* get each change in log order, once, and must return at once. *stewardship* tells
    whether the source counts: whom it may obey.
    """

    def __init__(
        self,
        *,
        log: TrustLog,
        cache: TrustCache,
        source: TrustSource | None,
        clock: Clock,
        stewardship: Stewardship,
        chain_trouble: Callable[[], str | None] = lambda: None,
        limits: TrustLimits | None = None,
    ) -> None:
        self.listeners: list[Callable[[TrustChange], None]] = []
        self.reset_listeners: list[Callable[[], None]] = []
        """Called when the log began anew: pending changes must be appended to it again."""
        self.doubt_listeners: list[Callable[[], None]] = []
        """Called when changes may never have come out of the log: what was told may be wrong."""
        self.contract_admin: PublicKey | None = None
        self._log = log
        self._source = source
        self._clock = clock
        self._stewardship = stewardship
        self._chain_trouble = chain_trouble
        self._limits = limits = limits or TrustLimits()
        self._memory = WalletMemory(wallets_max=limits.wallets_max, ttl_ms=limits.ttl_ms)
        self._refresh = RefreshQueue(
            self._memory, wallets_max=limits.wallets_max, ttl_ms=limits.ttl_ms
        )
        self._cache = SharedCache(cache, clock, timeout_s=limits.cache_timeout_s)
        self._tiers = TierReader(
            cache=self._cache,
            statuses=self._ask_source,
            clock=clock,
            take_cached=self._take_cached,
            take_record=self._take_record,
            source_timeout_s=limits.source_timeout_s,
        )
        self._pending: dict[PublicKey, Overlay] = {}
        self._sequence: int | None = None
        """The contract's changes up to here have been appended to the log, by whomever."""
        self._delivered_sequence: int | None = None
        """The contract's changes up to here have come back out of the log."""
        self._behind_since_s: float | None = None
        """Since when the source lists changes that nobody has appended."""
        self._contract_trouble: str | None = "the TurboAuth contract hasn't answered yet"
        self._unwritten: str | None = None
        self._began = False
        self._vouched_ms: int | None = None
        """The last millisecond at which nothing stood in the way."""
        self._ticked = asyncio.Event()
        self._catch_up = SharedRun(log.catch_up)
        self._recent = RecentEntries()

    @property
    def proposed_admin(self) -> PublicKey | None:
        """Who may accept to be the administrator; None when nobody is proposed."""
        return self._stewardship.proposed

    # Asking -------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """What stands between this hub and vouching for its answers; None when nothing does."""
        return (
            self._log.trouble or self._chain_trouble() or self._contract_trouble or self._unwritten
        )

    @property
    def backbone_ok(self) -> bool:
        """Whether this hub can vouch for its answers."""
        return self.trouble is None

    def peek(self, wallets: Sequence[PublicKey]) -> list[Trust] | None:
        """Answer from L1 at once; None when that doesn't cover every wallet."""
        if self.trouble is not None:
            return None
        return self._memory.trusts(wallets, self._clock.now_ms())

    def peek_ready(self, wallets: Sequence[PublicKey]) -> Sequence[object] | None:
        """Answer as peek does, in what the encoder takes: it must be encoded at once."""
        now_ms = self._clock.now_ms()
        if now_ms != self._vouched_ms:
            # No trouble now is none for the rest of this millisecond: asking costs more than that.
            if self.trouble is not None:
                return None
            self._vouched_ms = now_ms
        return self._memory.ready(wallets, now_ms)

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        """Answer from the nearest tier that knows; never raises, UNKNOWN says why."""
        answers = self.peek(wallets)
        if answers is not None:
            return answers
        found: dict[PublicKey, Found] = {}
        while missing := self._missing(wallets, found):
            found |= await self._tiers.read(missing)
        # From here on nothing waits: the answers hold every change that was delivered by now.
        now_ms = self._clock.now_ms()
        return [self._read_answer(wallet, found.get(wallet), now_ms) for wallet in wallets]

    async def fresh(self, wallet: PublicKey) -> Trust:
        """Answer for money: the shared record is read now; RequestError 108 when it can't be."""
        trouble = self.trouble
        if trouble is not None:
            raise _no_backbone(trouble)
        try:
            [cached] = await self._cache.require([wallet])
        except LogUnavailable as error:
            raise _no_backbone("the shared trust record can't be read now") from error
        if cached is not None:
            self._take_cached(wallet, cached)
        [trust] = await self.get([wallet])
        if trust.reason == TrustReason.UNAVAILABLE:
            raise _no_backbone("the wallet's trust can't be read now")
        return trust

    def remembered(self, wallet: PublicKey) -> Trust | None:
        """Return what was known in the last REMEMBERED_MS, or a block of any age; else None."""
        standing = self._memory.get(wallet)
        if standing is None:
            return None
        now_ms = self._clock.now_ms()
        answer = self._answer(standing, TrustTier.L1, now_ms)
        fresh = standing.verified_ms > now_ms - REMEMBERED_MS
        return answer if fresh or answer.status is TrustStatus.BLOCKED else None

    @property
    def gaps(self) -> int:
        """How often a change was not heard and was read back."""
        return self._log.gaps

    def standing(self, wallet: PublicKey) -> TrustRecord | None:
        """Return the chain's word on a wallet as this hub knows it."""
        held = self._memory.get(wallet)
        return None if held is None else held.record

    def position(self) -> Position:
        """Where this hub is in the trust log."""
        return self._log.position()

    async def catch_up(self, seen: Position) -> None:
        """Take in what the log holds now; RequestError 108 when it can't be read.

        The same when it has gone back behind *seen*: then a change that somebody saw is missing.
        """
        try:
            await self._catch_up()
        except LogUnavailable as error:
            raise _no_backbone("the trust log can't be read now") from error
        here = self._log.position()
        if here.epoch == seen.epoch and here.offset < seen.offset:
            raise _no_backbone(f"the trust log lacks entries {here.offset + 1} to {seen.offset}")

    async def changes_since(self, position: Position) -> list[TrustChange] | None:
        """Return what came after *position*; None when that can't be told any more."""
        here = self._log.position()
        if position.epoch != here.epoch or position.offset > here.offset:
            return None
        if position.offset == here.offset:
            return []
        entries = self._recent.since(position.offset)
        if entries is None:
            try:
                entries = await self._log.read_since(position.offset)
            except LogUnavailable:
                return None
        if entries is None:
            return None
        return [self._replayed(entry) for entry in entries if entry.log_seq <= here.offset]

    # Pending changes ----------------------------------------------------------------------------

    def overlays(self) -> list[Overlay]:
        """Return the pending changes that stand."""
        return list(self._pending.values())

    async def lower(self, overlay: Overlay) -> int:
        """Put a pending change over a wallet, on every hub; return its place in the log."""
        draft = self._draft(
            EntryKind.PENDING, overlay, overlay.status, overlay.score, overlay.reason
        )
        return await self._append(draft)

    async def withdraw(self, overlay: Overlay) -> int:
        """Take a pending change back, on every hub; return the correction's place in the log."""
        await self.get([overlay.wallet])  # What it falls back to may have left the memory.
        held = self._memory.get(overlay.wallet) or Standing(None)
        back = replace(held, overlay=None).effective()
        draft = self._draft(EntryKind.WITHDRAWN, overlay, back.status, back.score, back.reason)
        return await self._append(draft)

    def _draft(
        self, kind: EntryKind, overlay: Overlay, status: TrustStatus, score: int, reason: int
    ) -> LogEntry:
        held = self._memory.get(overlay.wallet)
        return LogEntry(
            log_seq=0,
            kind=kind,
            wallet=overlay.wallet,
            status=status,
            score=score,
            reason=reason,
            initiator=Initiator.ADMIN if kind is EntryKind.PENDING else Initiator.SYSTEM,
            event_ms=self._clock.now_ms(),
            chain_sequence=0 if held is None else held.chain_sequence,
            target_tick=overlay.target_tick,
            digest=overlay.digest,
            previous_hash=b"",
            mac=b"",
        )

    async def _append(self, draft: LogEntry) -> int:
        try:
            return await self._log.append(draft) or 0
        except LogUnavailable as error:
            raise _no_backbone("the trust log can't be written now") from error

    # Following ----------------------------------------------------------------------------------

    def on_tick(self, _processed: object) -> None:
        """Tell that the chain moved on."""
        self._ticked.set()

    async def run(self) -> None:
        """Follow the log and the contract for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._log.follow(self._apply, self._begin), name="trust log")
            group.create_task(self._follow_contract(), name="trust contract")
            group.create_task(self._tiers.run(), name="trust tiers")
            group.create_task(self._refresh_ahead(), name="trust refresh")

    async def _refresh_ahead(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            if self.backbone_ok:
                for wallet in self._refresh.due(self._clock.now_ms()):
                    self._tiers.begin(wallet)

    async def _follow_contract(self) -> None:
        while True:
            try:
                await self._read_changes()
            except SourceUnavailable as error:
                self._note_contract(str(error))
            except LogUnavailable as error:
                # What other hubs can't hear of, this one can't vouch for.
                self._unwritten = f"changes wait for the trust log: {error}"
                logger.warning("%s", self._unwritten)
            else:
                self._unwritten = None
            self._ticked.clear()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._ticked.wait()
            except TimeoutError:
                pass

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
        self._note_contract(None)
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
                await self._log.append(self._chain_draft(record))
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
        """Return from where on the log wants the contract's changes."""
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

    def _note_contract(self, trouble: str | None) -> None:
        if trouble != self._contract_trouble:
            level = logging.INFO if trouble is None else logging.WARNING
            logger.log(level, "TurboAuth contract: %s", trouble or "followed")
        self._contract_trouble = trouble
        self._vouched_ms = None
        if trouble is not None:
            self.contract_admin = None

    def _chain_draft(self, record: TrustRecord) -> LogEntry:
        return LogEntry(
            log_seq=0,
            kind=EntryKind.CHAIN,
            wallet=record.wallet,
            status=record.status,
            score=record.score,
            reason=record.reason,
            initiator=Initiator.CHAIN,
            event_ms=self._clock.now_ms(),
            chain_sequence=record.chain_sequence,
            target_tick=record.updated_tick,
            digest=b"",
            previous_hash=b"",
            mac=b"",
        )

    def _apply(self, entry: LogEntry) -> None:
        """Take one entry of the log: memory first, then whoever listens."""
        self._recent.add(entry)
        self._tell(self._change_of(entry, self._absorb_entry(entry)))

    def _absorb_entry(self, entry: LogEntry) -> Effective:
        """Take one entry into memory; return what counts for its wallet now."""
        held = self._memory.get(entry.wallet) or Standing(None, self._pending.get(entry.wallet))
        if entry.kind is EntryKind.CHAIN:
            # An entry may be read long after it was written: its word is as old as that.
            read_ms = min(entry.event_ms, self._clock.now_ms())
            held = held.absorb(entry.record, verified_ms=max(held.verified_ms, read_ms))
            self._delivered_sequence = max(self._delivered_sequence or 0, entry.chain_sequence)
        elif entry.kind is EntryKind.PENDING:
            held = replace(held, overlay=entry.overlay)
        elif held.overlay is not None and held.overlay.digest == entry.digest:
            held = replace(held, overlay=None)
        held = replace(held, log_seq=entry.log_seq)
        self._keep(entry.wallet, held)
        # What is known by now counts: another tier may have brought a newer record already.
        return held.effective() if held.known else _of_entry(entry)

    def _begin(self, entries: list[LogEntry]) -> None:
        """The log begins here: at first, and whenever its positions have lost their meaning."""
        began_before, self._began = self._began, True
        self._recent.begin(entries)
        told: dict[PublicKey, TrustChange] = {}
        for entry in entries:
            told.pop(entry.wallet, None)
            effective = self._absorb_entry(entry)
            told[entry.wallet] = self._change_of(entry, effective)
        if began_before:
            logger.warning("the trust log began anew; all records are read again")
            self._reread_all()
        # Each wallet's last word only: a block that was taken back since throws nobody out.
        for change in told.values():
            self._tell(change)
        if began_before:
            self._sequence = None
            self._ticked.set()
            for listener in self.reset_listeners:
                listener()

    def _tell(self, change: TrustChange) -> None:
        for listener in self.listeners:
            listener(change)

    def _replayed(self, entry: LogEntry) -> TrustChange:
        """Return what an entry of the past means to a listener who missed it."""
        effective = _of_entry(entry)
        overlay = self._pending.get(entry.wallet)
        if entry.kind is EntryKind.CHAIN and overlay is not None:
            effective = Standing(entry.record, overlay).effective()
        return self._change_of(entry, effective)

    def _change_of(self, entry: LogEntry, effective: Effective) -> TrustChange:
        body = TrustChanged(
            entry.wallet,
            effective.status,
            effective.score,
            effective.reason,
            entry.initiator,
            entry.event_ms,
            entry.event_ms + self._limits.ttl_ms,
            entry.wallet in self._pending,
        )
        return TrustChange(entry.log_seq, body)

    def _reread_all(self) -> None:
        # A block stays a block: only how long the answer is good for is forgotten.
        self._memory.doubt_all(self._clock.now_ms())
        for listener in self.doubt_listeners:
            listener()

    # Tiers --------------------------------------------------------------------------------------

    def _missing(
        self, wallets: Sequence[PublicKey], found: Mapping[PublicKey, Found]
    ) -> list[PublicKey]:
        now_ms, vouched, here = self._clock.now_ms(), self.backbone_ok, self._log.position()
        return [
            wallet
            for wallet in dict.fromkeys(wallets)
            if not (vouched and self._memory.good(wallet, now_ms))
            and not self._holds(wallet, found.get(wallet), here)
        ]

    def _holds(self, wallet: PublicKey, found: Found | None, here: Position) -> bool:
        """Whether what was found still tells everything that came out of the log."""
        if found is None:
            return False
        remembered = self._memory.get(wallet) is not None
        return remembered or found.tier is TrustTier.NONE or found.position == here

    def _read_answer(self, wallet: PublicKey, found: Found | None, now_ms: int) -> Trust:
        tier = TrustTier.L1 if found is None else found.tier
        standing = self._memory.get(wallet) or (None if found is None else found.standing)
        if standing is None or tier is TrustTier.NONE:
            return self._stale(wallet)
        answer = self._answer(standing, tier, now_ms)
        if answer.status is TrustStatus.ACTIVE and not self.backbone_ok:
            return unavailable(now_ms)
        return answer

    def _take_cached(self, wallet: PublicKey, cached: CachedRecord) -> Found | None:
        """Take a shared record in; None unless it lets the hub answer for longer than before."""
        verified_ms = cached.verified_ms
        if verified_ms < self._log.born_ms:
            verified_ms = 0  # Changes may have been lost since: it can lower trust, no more.
        held = self._memory.get(wallet)
        newer = held is None or verified_ms > held.verified_ms
        standing = self._absorb(wallet, cached.record, verified_ms=verified_ms)
        good = standing.verified_ms + self._limits.ttl_ms > self._clock.now_ms()
        if not (newer and good and self.backbone_ok):
            return None
        return Found(TrustTier.L2, standing, self._log.position())

    def _take_record(self, wallet: PublicKey, record: TrustRecord | None, read_ms: int) -> Found:
        standing = self._absorb(wallet, record, verified_ms=read_ms)
        return Found(TrustTier.L3, standing, self._log.position())

    async def _ask_source(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        if self._source is None or self.contract_admin is None:
            raise SourceUnavailable("no source of trust counts now")
        return await self._source.statuses(wallets)

    def _stale(self, wallet: PublicKey) -> Trust:
        """Nobody answered: a block still stands, anything else is unknown."""
        now_ms = self._clock.now_ms()
        standing = self._memory.get(wallet) or Standing(None, self._pending.get(wallet))
        if standing.effective().status is TrustStatus.BLOCKED:
            return self._answer(standing, TrustTier.L1, now_ms)
        return unavailable(now_ms)

    def _absorb(
        self, wallet: PublicKey, record: TrustRecord | None, *, verified_ms: int
    ) -> Standing:
        held = self._memory.get(wallet) or Standing(None, self._pending.get(wallet))
        held = held.absorb(record, verified_ms=max(verified_ms, held.verified_ms))
        self._keep(wallet, held)
        return held

    def _keep(self, wallet: PublicKey, standing: Standing) -> None:
        if standing.overlay is None:
            self._pending.pop(wallet, None)
        else:
            self._pending[wallet] = standing.overlay
        self._memory.put(wallet, standing)
        self._refresh.add(wallet, standing.verified_ms)

    def _answer(self, standing: Standing, tier: TrustTier, now_ms: int) -> Trust:
        until_ms = standing.verified_ms + self._limits.ttl_ms
        return standing.answer(tier=tier, now_ms=now_ms, use_until_ms=max(now_ms, until_ms))


def _of_entry(entry: LogEntry) -> Effective:
    return Effective(entry.status, entry.score, entry.reason)


def _no_backbone(why: str) -> RequestError:
    return RequestError(ErrorCode.BACKBONE_UNAVAILABLE, why, retry_after_ms=1_000)
