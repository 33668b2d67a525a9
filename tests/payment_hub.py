"""The payment and chain parts of a hub over a node, without the rest of a hub."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from payment_fakes import FakeChain, FakeQuotes, FakeTrust, intent_of, signed
from realtime_devnet.settings import DemoWallet
from realtime_hub.adapters.qubic_node import NodeAddress, QubicNodes
from realtime_hub.adapters.sqlite_payment_file import SqlitePaymentFile
from realtime_hub.adapters.sqlite_payments import SqlitePayments
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.chain.watcher import ChainWatcher, WatcherSettings
from realtime_hub.pay.model import PaymentChange
from realtime_hub.pay.ports import PaymentJournal, QubicPaymentPort
from realtime_hub.pay.service import PaymentService, PaymentSettings
from realtime_hub.signatures import SignatureChecks
from realtime_protocol.messages import PaymentState, PayRequest, PrepareKind, PrepareRequest
from realtime_protocol.schnorrq import keypair

TICK_MS = 40
WAIT_S = 15.0
SIGN_WITHIN_MS = 400
"""Ticks are short here; a busy machine needs more of them than a wallet does elsewhere."""


class WithoutFaults:
    """Hands the ports on as they are; a crash test puts its own in between."""

    def journal(self, journal: PaymentJournal) -> PaymentJournal:
        """Return what the payments write to."""
        return journal

    def chain(self, chain: QubicPaymentPort) -> QubicPaymentPort:
        """Return what the payments broadcast to."""
        return chain


@dataclass
class Hub:
    """The payment and chain parts of a hub, running over a node."""

    watcher: ChainWatcher
    service: PaymentService
    changes: list[PaymentChange] = field(default_factory=list)

    async def request(
        self,
        payer: DemoWallet,
        payee: DemoWallet,
        amount_qu: int,
        *,
        sign_within_ms: int = SIGN_WITHIN_MS,
    ) -> PayRequest:
        """Prepare and sign; the amount is the key."""
        intent = intent_of(amount_qu, source=payer.public_key, destination=payee.public_key)
        prepared = await self.service.prepare(
            payer.public_key, PrepareRequest(PrepareKind.INTENT, None, intent, sign_within_ms)
        )
        return signed(prepared, idem=amount_qu.to_bytes(16, "big"), keys=keypair(payer.seed))

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a change makes it true."""
        async with asyncio.timeout(WAIT_S):
            while not true():  # noqa: ASYNC110 - many things may make it true
                await asyncio.sleep(TICK_MS / 4_000)

    def states(self) -> list[PaymentState]:
        """Return the states that were published, in order."""
        return [change.status.state for change in self.changes]


@asynccontextmanager
async def running_hub(
    node_port: int, state: Path, faults: WithoutFaults | None = None
) -> AsyncIterator[Hub]:
    """Run the parts; payments are recovered when this yields."""
    faults = faults or WithoutFaults()
    clock = SystemClock()
    nodes = QubicNodes([NodeAddress("127.0.0.1", node_port)], clock, SystemEntropy())
    with (
        contextlib.closing(SqlitePaymentFile.open(state / "payments.sqlite3")) as file,
        contextlib.closing(SqlitePayments(file, fence=file.fence() + 1)) as journal,
    ):
        watcher = ChainWatcher(
            nodes,
            file,
            clock,
            WatcherSettings(chain="devnet", resets_expected=True, tick_ms_expected=TICK_MS),
        )
        service = PaymentService(
            chain=faults.chain(watcher.node),
            ticks=watcher,
            journal=faults.journal(journal),
            trust=FakeTrust(),
            quotes=FakeQuotes(FakeChain()),
            signatures=SignatureChecks(),
            clock=clock,
            settings=PaymentSettings(tick_offset=5),
        )
        hub = Hub(watcher, service)
        service.listeners.append(hub.changes.append)
        tasks = [asyncio.create_task(part.run()) for part in (watcher, service)]
        try:
            await hub.until(lambda: service.ready)
            yield hub
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            nodes.close()
            for task in tasks:
                assert task.cancelled(), task.exception()
