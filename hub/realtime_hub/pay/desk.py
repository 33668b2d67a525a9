"""The desk to which a worker's sessions come with payments, whoever owns those meanwhile.

The owner is this process's own service, or another worker behind a link, or for a moment nobody:
then the answer is 108. Changes reach the listeners in the order of the journal and once, through
every change of owner: the journal is one, and so are its offsets.
"""

from collections.abc import Callable, Sequence
from typing import Final

from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_hub.pay.ports import Owner
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    PaymentStatus,
    PayReply,
    PayRequest,
    Position,
    PrepareReply,
    PrepareRequest,
    SpendGetReply,
    TrustSetReply,
)

RETRY_AFTER_MS: Final = 1_000
_NOBODY: Final = "no process owns the payments yet"


class PaymentDesk:
    """Serves sessions through the owner of the moment."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[PaymentChange], None]] = []
        """Called with each change, in order, once it is durable. They must return at once."""
        self.gap_listeners: list[Callable[[], None]] = []
        """Called when changes were missed that nobody can tell any more."""
        self._owner: Owner | None = None
        self._heard: Position | None = None
        self._why = _NOBODY

    # For whoever finds the owner ----------------------------------------------------------------

    @property
    def heard(self) -> Position | None:
        """Up to where changes were delivered; None before any owner was known."""
        return self._heard

    def open(self, owner: Owner, head: Position, changes: Sequence[PaymentChange] | None) -> None:
        """Be served by *owner*, after *changes*: those since `heard`, None if they are lost."""
        if self._heard is None or changes is None:
            missed = self._heard is not None
            self._heard = head
            if missed:
                for tell in self.gap_listeners:
                    tell()
        for change in changes or ():
            self.take(change)
        self._owner = owner

    def take(self, change: PaymentChange) -> None:
        """Take a further change and tell all listeners."""
        if self._heard is None or change.offset <= self._heard.offset:
            return
        self._heard = Position(self._heard.epoch, change.offset)
        for listener in self.listeners:
            listener(change)

    def close(self, owner: Owner, why: str) -> None:
        """That owner serves no more; *why* is for people."""
        if self._owner is owner:
            self._owner = None
            self._why = why

    def explain(self, why: str) -> None:
        """Tell why there is no owner, for people."""
        self._why = why

    # For sessions -------------------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """Why no payment is taken now, for people; None when all is well."""
        return self._why if self._owner is None else self._owner.trouble

    def position(self) -> Position:
        """Return up to where changes were delivered here; RequestError 108 before any owner."""
        if self._heard is None:
            raise _unavailable(self._why)
        return self._heard

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        """Return an unsigned transaction for the payer to check and to sign."""
        return await self._serving().prepare(payer, request, spends_from=spends_from)

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        """Take a signed transaction; it is durable once this returns."""
        return await self._serving().pay(payer, request, spender=spender)

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        """Return what was spent from a spending wallet, and what it holds."""
        return await self._serving().spent(payer, spender)

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        """Return where a payment stands, to its payer and its payee."""
        return await self._serving().get(wallet, payment_id)

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        """Read what a wallet pays, or what is paid to it, at one point of the stream."""
        return await self._serving().read_stream(wallet, as_payer=as_payer, since=since)

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None = None) -> TrustSetReply:
        """Take an administrator's signed transaction."""
        return await self._serving().set_trust(signed_tx, admin=admin)

    # For trust changes --------------------------------------------------------------------------

    def block(self, wallet: PublicKey) -> None:
        """The wallet was blocked."""
        if self._owner is not None:
            self._owner.block(wallet)

    def unblock(self, wallet: PublicKey) -> None:
        """The wallet isn't blocked any more."""
        if self._owner is not None:
            self._owner.unblock(wallet)

    def _serving(self) -> Owner:
        if self._owner is None:
            raise _unavailable(self._why)
        return self._owner


def _unavailable(why: str) -> RequestError:
    return RequestError(
        ErrorCode.BACKBONE_UNAVAILABLE,
        f"payments aren't served now: {why}",
        retry_after_ms=RETRY_AFTER_MS,
    )
