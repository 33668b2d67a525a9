"""Trust changes by the administrator: a signed transaction, taken once and followed to its end.

Signed admin transactions are public once broadcast, so one counts only here and now: by its digest
once, for a target tick in (current + 2, current + 60].
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, Protocol

from realtime_hub.auth.login import SignatureVerifier
from realtime_hub.auth.model import Overlay, TrustRecord
from realtime_hub.auth.trust_orders import (
    audit_details,
    lowers,
    overlay_of,
    parse_settings,
    settings_of,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Trust, TrustChangeState, TrustSetReply
from realtime_protocol.qubic.contract_abi import Procedure, StatusSetting
from realtime_protocol.transaction import (
    Transaction,
    parse_transaction,
    signing_digest,
    transaction_digest,
)

logger = logging.getLogger(__name__)

TICKS_AHEAD_MIN: Final = 3
TICKS_AHEAD_MAX: Final = 60
CONTRACT_LAG_TICKS: Final = 3
"""So many ticks a change that ran has until the source is asked whether the contract took it."""
OPEN_CHANGES_MAX: Final = 256
_SIGNATURE_BYTES: Final = 64


class Outcome(IntEnum):
    """What became of an admin's transaction. The numbers stand in journals."""

    OPEN = 0
    ON_CHAIN = 1
    WITHDRAWN = 2


@dataclass(frozen=True, slots=True)
class AdminChange:
    """A journaled transaction of the administrator."""

    digest: bytes
    signed_tx: bytes
    target_tick: int
    log_seq: int
    outcome: Outcome


class AdminJournal(Protocol):
    """Durable memory of the administrator's transactions, each known by its digest for ever."""

    async def add(self, change: AdminChange) -> None:
        """Write it down before anything comes of it; on return it is on disk."""
        ...

    async def find(self, digest: bytes) -> AdminChange | None:
        """Return the transaction with this digest."""
        ...

    async def set_log_seq(self, digest: bytes, log_seq: int) -> None:
        """Note where its first lowering stands in the trust log."""
        ...

    async def close(self, digest: bytes, outcome: Outcome) -> None:
        """Note its end."""
        ...

    async def open_changes(self) -> Sequence[AdminChange]:
        """Return those without an end."""
        ...


class ChangeBook(Protocol):
    """What administration needs of the trust book."""

    @property
    def contract_admin(self) -> PublicKey | None:
        """Whom the contract obeys; None while that isn't known."""
        ...

    @property
    def proposed_admin(self) -> PublicKey | None:
        """Who may accept to be the administrator; None when nobody is proposed."""
        ...

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        """Read what is known of each wallet."""
        ...

    async def read_again(self, wallets: Sequence[PublicKey]) -> None:
        """Take in what the source says of wallets now; RequestError 108 when it says nothing."""
        ...

    def standing(self, wallet: PublicKey) -> TrustRecord | None:
        """Return the chain's word on a wallet."""
        ...

    def overlays(self) -> Sequence[Overlay]:
        """Return the pending changes that stand."""
        ...

    async def lower(self, overlay: Overlay) -> int:
        """Put a pending change over a record; return its place in the log."""
        ...

    async def withdraw(self, overlay: Overlay) -> int:
        """Take a pending change back; return the correction's place in the log."""
        ...


class ProcessedTick(Protocol):
    """A tick that the chain is past."""

    @property
    def tick(self) -> int:
        """Its number."""
        ...

    @property
    def digests(self) -> tuple[bytes, ...] | None:
        """Its transactions; None when it is proven empty."""
        ...


class AdminChain(Protocol):
    """The chain as administration needs it."""

    @property
    def current_tick(self) -> int:
        """The newest tick seen."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the chain can't be vouched for now; None when it can."""
        ...

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        """Return what a tick held; None while that isn't proven."""
        ...

    async def broadcast(self, signed_tx: bytes) -> bool:
        """Hand a transaction to nodes; False when none took it."""
        ...


class AuditLog(Protocol):
    """What administrators did, for whoever asks later."""

    async def append(self, action: str, actor: PublicKey, details: Mapping[str, str | int]) -> None:
        """Write down what was done; on return it is on disk."""
        ...


class Administration:
    """Takes the administrator's transactions and follows each until the chain has decided.

    *destination* tells where they must go: the contract's key or the registry's; None where this
    hub takes none.
    """

    def __init__(
        self,
        *,
        journal: AdminJournal,
        book: ChangeBook,
        chain: AdminChain,
        verifier: SignatureVerifier,
        destination: Callable[[], PublicKey | None],
        audit: AuditLog,
    ) -> None:
        self._journal = journal
        self._book = book
        self._chain = chain
        self._verifier = verifier
        self._destination = destination
        self._audit = audit
        self._open: dict[bytes, AdminChange] = {}
        self._unpushed: set[bytes] = set()
        """Open changes of which the log may lack a part: it couldn't be written when they came."""
        self._unsent: dict[bytes, AdminChange] = {}
        """Open changes that no node was handed yet: they go before all that go again."""
        self._moved = asyncio.Event()
        self._log_began_anew = False
        self._taking = asyncio.Lock()

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None = None) -> TrustSetReply:
        """Take a signed TurboAuth transaction; the same bytes again get the same answer.

        *admin* is the session's wallet, None on the administrator's port. Raises RequestError 102,
        103, 108, 204, 306 or 307. After 108 it may have been taken: the same bytes again tell, and
        push what couldn't be pushed.
        """
        digest = transaction_digest(signed_tx)
        async with self._taking:
            known = await self._journal.find(digest)
            if known is not None:
                return _reply(await self._push_missing(known))
            transaction = self._parse(signed_tx)
            settings = self._check(transaction, admin)
            message = signing_digest(signed_tx[:-_SIGNATURE_BYTES])
            if not await self._verifier.verify(
                transaction.source, message, signed_tx[-_SIGNATURE_BYTES:]
            ):
                raise RequestError(
                    ErrorCode.BAD_SIGNATURE, "the signature is not the source's over these bytes"
                )
            change = AdminChange(digest, signed_tx, transaction.tick, 0, Outcome.OPEN)
            await self._audit.append(
                Procedure(transaction.input_type).name.lower(),
                transaction.source,
                audit_details(transaction, settings, digest),
            )
            await self._journal.add(change)
            self._open[digest] = self._unsent[digest] = change
            change = await self._push(change, settings)
        self._moved.set()
        return _reply(change)

    def on_tick(self, _processed: ProcessedTick) -> None:
        """Look at the open changes again."""
        self._moved.set()

    def on_log_reset(self) -> None:
        """Tell that the trust log lost its entries: what is pending goes into it again."""
        self._log_began_anew = True
        self._moved.set()

    async def recover(self) -> None:
        """Take up what was open when the process ended: the pending changes stand again."""
        async with self._taking:
            # What another process followed meanwhile may be at its end.
            self._open = {one.digest: one for one in await self._journal.open_changes()}
            self._unpushed &= self._open.keys()
            self._unsent = {}
            for change in list(self._open.values()):
                if change.target_tick + CONTRACT_LAG_TICKS >= self._chain.current_tick:
                    settings = settings_of(parse_transaction(change.signed_tx))
                    await self._push(change, settings)
        self._moved.set()

    async def run(self) -> None:
        """Broadcast and follow the open changes, tick by tick, for ever."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            await self._append_again()
            await self._push_again()
            sent_now: set[bytes] = set()
            for change in list(self._open.values()):
                sent_now |= await self._broadcast_new()
                if change.digest in sent_now:
                    continue
                try:
                    await self._follow(change)
                except RequestError as error:
                    logger.warning("trust change waits: %s", error)

    async def _broadcast_new(self) -> set[bytes]:
        """Hand new changes to nodes: behind hundreds that go again their ticks would pass."""
        sent = set()
        while self._unsent:
            change = self._unsent.pop(next(iter(self._unsent)))
            if self._chain.current_tick <= change.target_tick:
                await self._broadcast(change)
                sent.add(change.digest)
        return sent

    async def _append_again(self) -> None:
        """After the log began anew: who journaled a pending change puts it there again."""
        if not self._log_began_anew:
            return
        self._log_began_anew = False
        for overlay in self._book.overlays():
            if overlay.digest in self._open:
                try:
                    await self._book.lower(overlay)
                except RequestError as error:
                    logger.warning("a pending change waits for the trust log: %s", error)
                    self._log_began_anew = True

    async def _push_again(self) -> None:
        """Push what couldn't be pushed when it was taken, now that the log may be there again."""
        if not self._unpushed:
            return
        async with self._taking:
            for digest in list(self._unpushed):
                try:
                    await self._push_missing(self._open[digest])
                except RequestError as error:
                    logger.warning("a trust change waits for the trust log: %s", error)
                    return

    async def _push_missing(self, change: AdminChange) -> AdminChange:
        # Behind its tick only the chain can still bring it; then it isn't pushed any more.
        if change.digest in self._unpushed and self._chain.current_tick <= change.target_tick:
            return await self._push(change, settings_of(parse_transaction(change.signed_tx)))
        return change

    async def _push(self, change: AdminChange, settings: Sequence[StatusSetting]) -> AdminChange:
        """Make what lowers trust count at once; RequestError 108 leaves it for later."""
        self._unpushed.add(change.digest)
        # The chain's word is needed to tell a lowering from a raise.
        known = await self._book.get([PublicKey(setting.wallet) for setting in settings])
        standing = {overlay.wallet for overlay in self._standing(change)}
        log_seq = change.log_seq
        for setting, trust in zip(settings, known, strict=True):
            overlay = overlay_of(change.digest, change.target_tick, setting)
            if overlay.wallet in standing:
                log_seq = log_seq or trust.seq
            elif lowers(overlay, self._book.standing(overlay.wallet)):
                lowered_at = await self._book.lower(overlay)
                log_seq = log_seq or lowered_at
        self._unpushed.discard(change.digest)
        if log_seq != change.log_seq:
            await self._journal.set_log_seq(change.digest, log_seq)
            change = replace(change, log_seq=log_seq)
            self._open[change.digest] = change
        return change

    async def _follow(self, change: AdminChange) -> None:
        current = self._chain.current_tick
        if current <= change.target_tick:
            await self._broadcast(change)
            return
        processed = await self._chain.processed_tick(change.target_tick)
        if processed is None:
            return  # Unproven: neither on chain nor missed.
        ran = processed.digests is not None and change.digest in processed.digests
        overlays = self._standing(change)
        if ran and overlays:
            if current < change.target_tick + CONTRACT_LAG_TICKS:
                return  # The contract's list is about to be read.
            # However late that list is: what the contract took doesn't end as refused.
            await self._book.read_again([overlay.wallet for overlay in overlays])
            overlays = self._standing(change)
        elif not ran and change.digest in self._unpushed:
            # What was given up on may have been written all the same, or may yet be.
            settings = settings_of(parse_transaction(change.signed_tx))
            overlays = [
                overlay_of(change.digest, change.target_tick, setting) for setting in settings
            ]
        for overlay in overlays:
            await self._book.withdraw(overlay)
        on_chain = ran and not overlays
        await self._close(change, Outcome.ON_CHAIN if on_chain else Outcome.WITHDRAWN)

    async def _broadcast(self, change: AdminChange) -> None:
        if not await self._chain.broadcast(change.signed_tx):
            logger.warning("no node took the trust change for tick %d", change.target_tick)

    def _standing(self, change: AdminChange) -> list[Overlay]:
        return [one for one in self._book.overlays() if one.digest == change.digest]

    async def _close(self, change: AdminChange, outcome: Outcome) -> None:
        await self._journal.close(change.digest, outcome)
        del self._open[change.digest]
        self._unpushed.discard(change.digest)
        self._unsent.pop(change.digest, None)
        logger.info("trust change for tick %d: %s", change.target_tick, outcome.name.lower())

    def _parse(self, signed_tx: bytes) -> Transaction:
        try:
            return parse_transaction(signed_tx)
        except ValueError as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"signed_tx: {error}") from error

    def _check(
        self, transaction: Transaction, admin: PublicKey | None
    ) -> tuple[StatusSetting, ...]:
        """Everything but the signature, the cheap before the dear."""
        destination, known_admin = self._destination(), self._book.contract_admin
        if destination is None or known_admin is None:
            raise RequestError(
                ErrorCode.BACKBONE_UNAVAILABLE,
                "this hub takes no orders: another keeps the registry, or there is no source"
                if destination is None
                else "whom the source of trust obeys isn't known now",
                retry_after_ms=1_000,
            )
        self._require_right(transaction, known_admin, admin)
        if transaction.destination != destination:
            raise RequestError(
                ErrorCode.TX_REJECTED, f"the destination is not {encode_identity(destination)}"
            )
        if transaction.amount_qu != 0:
            raise RequestError(ErrorCode.TX_REJECTED, "the amount must be 0: it would be kept")
        settings = parse_settings(transaction)
        self._require_tick(transaction.tick)
        if len(self._open) >= OPEN_CHANGES_MAX:
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{OPEN_CHANGES_MAX} trust changes are under way",
                retry_after_ms=1_000,
            )
        return settings

    def _require_right(
        self, transaction: Transaction, known_admin: PublicKey, session: PublicKey | None
    ) -> None:
        accepts = transaction.input_type == Procedure.ACCEPT_ADMIN
        rightful = self._book.proposed_admin if accepts else known_admin
        if transaction.source != rightful or (session is not None and session != rightful):
            role = "proposed as the" if accepts else "the source of trust's"
            raise RequestError(
                ErrorCode.FORBIDDEN_SCOPE,
                f"{encode_identity(transaction.source)} is not {role} administrator",
            )

    def _require_tick(self, target_tick: int) -> None:
        if self._chain.trouble is not None:
            raise RequestError(
                ErrorCode.BACKBONE_UNAVAILABLE, self._chain.trouble, retry_after_ms=1_000
            )
        current = self._chain.current_tick
        first, last = current + TICKS_AHEAD_MIN, current + TICKS_AHEAD_MAX
        if not first <= target_tick <= last:
            raise RequestError(
                ErrorCode.TARGET_TICK_PASSED,
                f"target tick {target_tick} is not in {first}..{last}; sign for another",
                fields={"tick_min": first, "tick_max": last},
            )


def _reply(change: AdminChange) -> TrustSetReply:
    state = {
        Outcome.OPEN: TrustChangeState.PENDING,
        Outcome.ON_CHAIN: TrustChangeState.ON_CHAIN,
        Outcome.WITHDRAWN: TrustChangeState.WITHDRAWN,
    }[change.outcome]
    return TrustSetReply(change.log_seq, state)
