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
from realtime_hub.auth.source_feed import SourceFeed
from realtime_hub.auth.standing import Effective, Standing, unavailable
from realtime_hub.auth.stewardship import Stewardship
from realtime_hub.auth.tiers import Found, TierReader
from realtime_hub.auth.wallet_memory import WalletMemory
from realtime_hub.clock import Clock
from realtime_hub.patience import patience
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

logger = logging.getLogger(__name__)

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
        self._log = log
        self._clock = clock
        self._stewardship = stewardship
        self._feed = SourceFeed(
            log=log,
            source=source,
            clock=clock,
            stewardship=stewardship,
            chain_trouble=chain_trouble,
            on_trouble=self._look_again,
        )
        self._limits = limits = limits or TrustLimits()
        self._memory = WalletMemory(wallets_max=limits.wallets_max, ttl_ms=limits.ttl_ms)
        self._refresh = RefreshQueue(
            self._memory, wallets_max=limits.wallets_max, ttl_ms=limits.ttl_ms
        )
        self._cache = SharedCache(cache, clock, timeout_s=limits.cache_timeout_s)
        self._tiers = TierReader(
            cache=self._cache,
            statuses=self._feed.statuses,
            clock=clock,
            take_cached=self._take_cached,
            take_record=self._take_record,
            source_timeout_s=limits.source_timeout_s,
        )
        self._pending: dict[PublicKey, Overlay] = {}
        self._began = False
        self._vouched_ms: int | None = None
        """The last millisecond at which nothing stood in the way."""
        self._catch_up = SharedRun(log.catch_up)
        self._recent = RecentEntries()

    @property
    def contract_admin(self) -> PublicKey | None:
        """Whom the source obeys; None while that isn't known."""
        return self._feed.contract_admin

    @property
    def proposed_admin(self) -> PublicKey | None:
        """Who may accept to be the administrator; None when nobody is proposed."""
        return self._stewardship.proposed

    # Asking -------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """What stands between this hub and vouching for its answers; None when nothing does."""
        return self._log.trouble or self._feed.trouble

    @property
    def backbone_ok(self) -> bool:
        """Whether this hub can vouch for its answers."""
        return self.trouble is None

    def _look_again(self) -> None:
        self._vouched_ms = None

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

    @property
    def log_answers(self) -> bool:
        """Whether the trust log answers; if not, this hub may soon not vouch for what it says."""
        return self._log.answers

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

    async def read_again(self, wallets: Sequence[PublicKey]) -> None:
        """Take in what the source says of wallets now; RequestError 108 when it leaves one out."""
        began_ms = self._clock.now_ms()
        try:
            async with patience(self._limits.source_timeout_s):
                records = await self._feed.statuses(wallets)
        except (SourceUnavailable, TimeoutError) as error:
            raise _no_backbone("the source of trust can't be read now") from error
        if not records.keys() >= set(wallets):
            raise _no_backbone("the source of trust didn't tell of every wallet")
        for wallet in wallets:
            self._take_record(wallet, records[wallet], began_ms)

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
        self._feed.on_tick()

    async def run(self) -> None:
        """Follow the log and the contract for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._log.follow(self._apply, self._begin), name="trust log")
            group.create_task(self._feed.run(), name="trust source")
            group.create_task(self._tiers.run(), name="trust tiers")
            group.create_task(self._refresh_ahead(), name="trust refresh")

    async def _refresh_ahead(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            if self.backbone_ok:
                for wallet in self._refresh.due(self._clock.now_ms()):
                    self._tiers.begin(wallet)

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
            self._feed.delivered(entry.chain_sequence)
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
            self._feed.begin_anew()
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
