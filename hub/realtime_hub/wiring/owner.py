"""Wires who owns the payments: this process alone, or one of the workers that share a Redis."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass
from typing import Final

from realtime_hub.adapters.redis_lease import RedisLease
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.socket_owner import serve_workers
from realtime_hub.adapters.socket_worker import SocketLink
from realtime_hub.adapters.sqlite_payment_file import SqlitePaymentFile
from realtime_hub.adapters.sqlite_payments import SqlitePayments
from realtime_hub.auth.administration import Administration
from realtime_hub.chain.watcher import ChainWatcher
from realtime_hub.clock import Clock, Entropy
from realtime_hub.config import HubSettings
from realtime_hub.pay.desk import PaymentDesk
from realtime_hub.pay.ownership import LeasedChain, NoLink, Ownership, SoleOwner
from realtime_hub.pay.ports import OwnerLease, OwnerLink, SignaturePort, TrustPort
from realtime_hub.pay.service import PaymentService, PaymentSettings
from realtime_hub.pay.term import OwnTerm
from realtime_hub.route.service import QuoteService

SOCKET_FILE: Final = "payments.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerParts:
    """What a term of owning works with."""

    settings: HubSettings
    file: SqlitePaymentFile
    watcher: ChainWatcher
    administration: Administration
    trust: TrustPort
    quotes: QuoteService
    signatures: SignaturePort
    clock: Clock
    entropy: Entropy


def build_ownership(parts: OwnerParts, desk: PaymentDesk, stack: AsyncExitStack) -> Ownership:
    """Return what finds the owner, or is it; without Redis this process always is."""
    lease, link = _shared(parts, stack)

    def begin(fence: int) -> AbstractAsyncContextManager[OwnTerm]:
        return _begin_term(parts, lease, fence)

    async def newest_fence() -> int:
        return await asyncio.to_thread(parts.file.fence)

    return Ownership(
        desk=desk,
        lease=lease,
        link=link,
        begin=begin,
        newest_fence=newest_fence,
        wait_ready=parts.watcher.wait_ready,
    )


def _shared(parts: OwnerParts, stack: AsyncExitStack) -> tuple[OwnerLease, OwnerLink]:
    settings = parts.settings
    if settings.redis_url is None:
        return SoleOwner(), NoLink()
    redis = connect(settings.redis_url)
    stack.push_async_callback(redis.aclose)
    lease = RedisLease(
        redis,
        network_id=lambda: parts.watcher.network_id,
        journal_id=parts.file.journal_id,
        holder=f"{socket.gethostname()}:{os.getpid()}:{parts.entropy.token(8).hex()}",
        clock=parts.clock,
    )
    return lease, SocketLink(settings.state / SOCKET_FILE, parts.quotes.find)


@asynccontextmanager
async def _begin_term(parts: OwnerParts, lease: OwnerLease, fence: int) -> AsyncIterator[OwnTerm]:
    settings = parts.settings
    journal = await asyncio.to_thread(SqlitePayments, parts.file, fence=fence)
    try:
        payments = PaymentService(
            chain=LeasedChain(parts.watcher.node, lease),
            ticks=parts.watcher,
            journal=journal,
            trust=parts.trust,
            quotes=parts.quotes,
            signatures=parts.signatures,
            clock=parts.clock,
            settings=PaymentSettings(
                tick_offset=settings.tick_offset,
                settle_within_ms=settings.settle_within_ms,
                score_floor=((0, settings.payer_score_min),),
                offline_amount_qu_max=settings.offline_amount_qu_max,
            ),
        )

        def serve(term: OwnTerm) -> AbstractAsyncContextManager[None]:
            if settings.redis_url is None:
                return nullcontext()
            return serve_workers(term, settings.state / SOCKET_FILE)

        try:
            yield OwnTerm(
                payments,
                parts.administration,
                parts.quotes,
                is_fenced=lambda: journal.fenced,
                serve_workers=serve,
            )
        finally:
            payments.close()
    finally:
        await asyncio.to_thread(journal.close)
