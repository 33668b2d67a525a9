"""One term of owning: the services that write and broadcast, from recovery to the term's end."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from realtime_hub.auth.administration import Administration
from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_hub.pay.ports import Desk
from realtime_hub.pay.service import PaymentService
from realtime_hub.route.service import QuoteService
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Intent,
    PaymentStatus,
    PayReply,
    PayRequest,
    Position,
    PrepareReply,
    PrepareRequest,
    Quote,
    SpendGetReply,
    TrustSetReply,
)

logger = logging.getLogger(__name__)

TRY_AGAIN_S: Final = 0.5


class OwnTerm:
    """Owner in its own process: payments and the administrator's changes."""

    def __init__(
        self,
        payments: PaymentService,
        administration: Administration,
        quotes: QuoteService,
        *,
        is_fenced: Callable[[], bool],
        serve_workers: Callable[["OwnTerm"], AbstractAsyncContextManager[None]],
    ) -> None:
        self._payments = payments
        self._administration = administration
        self._quotes = quotes
        self._is_fenced = is_fenced
        self._serve_workers = serve_workers

    @property
    def owner(self) -> "OwnTerm":
        """Who serves during the term."""
        return self

    @property
    def fenced(self) -> bool:
        """Whether the journal belongs to a newer term."""
        return self._is_fenced()

    @property
    def trouble(self) -> str | None:
        """Why no payment is taken now, for people; None when all is well."""
        return self._payments.trouble

    @property
    def open_count(self) -> int:
        """How many payments are under way."""
        return self._payments.open_count

    @property
    def listeners(self) -> list[Callable[[PaymentChange], None]]:
        """Called with each change, in order, once it is durable."""
        return self._payments.listeners

    async def run(self, desk: Desk) -> None:
        """Recover, open the desk, and carry payments out until cancelled."""
        await self._payments.recover()
        heard = desk.heard
        missed = [] if heard is None else self._payments.all_changes_since(heard)
        desk.open(self, self._payments.position(), missed)
        self.listeners.append(desk.take)
        async with self._serve_workers(self), asyncio.TaskGroup() as group:
            group.create_task(self._payments.executor.run(), name="payments")
            group.create_task(self._administrate(), name="administration")

    async def _administrate(self) -> None:
        while True:
            try:
                await self._administration.recover()
                break
            except RequestError as error:
                logger.warning("open trust changes wait: %s", error)
                await asyncio.sleep(TRY_AGAIN_S)
        await self._administration.run()

    # Serving ------------------------------------------------------------------------------------

    def position(self) -> Position:
        """Return where the stream of changes is."""
        return self._payments.position()

    def all_changes_since(self, position: Position) -> list[PaymentChange] | None:
        """Return everybody's changes after *position*; None when they can't all be had."""
        return self._payments.all_changes_since(position)

    def adopt_quote(self, intent: Intent, quote: Quote) -> None:
        """Know a quote that another worker gave."""
        self._quotes.adopt(intent, quote)

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        """See Owner."""
        return await self._payments.prepare(payer, request, spends_from=spends_from)

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        """See Owner."""
        return await self._payments.pay(payer, request, spender=spender)

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        """See Owner."""
        return await self._payments.spent(payer, spender)

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        """See Owner."""
        return await self._payments.get(wallet, payment_id)

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        """See Owner."""
        return await self._payments.read_stream(wallet, as_payer=as_payer, since=since)

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        """See Owner."""
        return await self._administration.set_trust(signed_tx, admin=admin)

    def block(self, wallet: PublicKey) -> None:
        """See Owner."""
        self._payments.block(wallet)

    def unblock(self, wallet: PublicKey) -> None:
        """See Owner."""
        self._payments.unblock(wallet)
