"""Journal, machine and stream as one: an event is queued for the disk, takes effect, is published.

The order is fixed here and nowhere else: no reply, no push and no broadcast of what is not durable.
"""

import asyncio
from collections import defaultdict

from realtime_hub.pay.events import PaymentEvent, decode_event, encode_event
from realtime_hub.pay.machine import Applied, PaymentMachine, rebuild
from realtime_hub.pay.model import Payment, PaymentChange, PaymentId
from realtime_hub.pay.ports import PaymentJournal
from realtime_hub.pay.stream import PaymentStream
from realtime_protocol.messages import PaymentState
from realtime_protocol.schnorrq import k12


class PaymentLedger:
    """All payments of one network, with their durable past."""

    def __init__(
        self, journal: PaymentJournal, machine: PaymentMachine, stream: PaymentStream
    ) -> None:
        self.machine = machine
        self.stream = stream
        self.recovered = False
        self._journal = journal
        self._network_id = b""
        self._waiters: defaultdict[PaymentId, list[tuple[int, asyncio.Future[None]]]] = defaultdict(
            list
        )

    @property
    def failing(self) -> str | None:
        """Why nothing new can be made durable; None when all is well."""
        return self._journal.failing

    @property
    def network_id(self) -> bytes:
        """The network whose payments these are."""
        return self._network_id

    async def recover(self, network_id: bytes) -> None:
        """Replay the network's records; JournalCorrupt when they can't be believed."""
        self._network_id = network_id
        self.stream.open(k12(self._journal.journal_id + network_id, 8))
        for count, record in enumerate(await self._journal.replay(network_id)):
            applied = self.machine.apply(decode_event(record.body))
            self.stream.replayed(_change(record.offset, applied))
            if count % 1_000 == 999:
                await asyncio.sleep(0)
        self.machine.recovered()
        self.recovered = True

    def record(self, event: PaymentEvent, *, must: bool = True) -> Payment:
        """Queue a decided event for the disk and let it take effect.

        JournalFull, without any effect, for one that is not a *must*.
        """
        applied: Applied | None = None

        def durable(offset: int) -> None:
            if applied is not None:
                self._durable(offset, applied)

        body = encode_event(event)
        self._journal.append(self._network_id, event.payment_id, body, durable, must=must)
        applied = self.machine.apply(event)
        return applied.payment

    async def until_durable(self, payment: Payment, attempt: int) -> None:
        """Return once this attempt is on disk, however long that takes."""
        if payment.durable_attempt >= attempt:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[payment.payment_id].append((attempt, waiter))
        await waiter

    async def find(self, payment_id: bytes) -> Payment | None:
        """Return a payment, from the journal when the machine forgot it."""
        known = self.machine.find(payment_id)
        if known is not None or not self.machine.forgotten:
            return known
        records = await self._journal.find(self._network_id, payment_id)
        forgotten = rebuild(decode_event(record.body) for record in records)
        if forgotten is not None:
            forgotten.durable_attempt = forgotten.attempt.number
        # It may have been accepted while the disk was read.
        return self.machine.find(payment_id) or forgotten

    def _durable(self, offset: int, applied: Applied) -> None:
        self.machine.durable(applied)
        payment = applied.payment
        waiting = self._waiters.pop(payment.payment_id, [])
        for attempt, waiter in waiting:
            if waiter.done():
                continue
            if attempt <= payment.durable_attempt:
                waiter.set_result(None)
            else:
                self._waiters[payment.payment_id].append((attempt, waiter))
        self.stream.publish(_change(offset, applied))


def _change(offset: int, applied: Applied) -> PaymentChange:
    payment = applied.payment
    return PaymentChange(
        offset, payment.payer, payment.payee, applied.status, applied.resign, payment.owner
    )


def sendable(payment: Payment, current_tick: int) -> bool:
    """Tell whether the last attempt's bytes may and should go to nodes now.

    They are durable, nothing is known of their end, and their tick isn't past.
    """
    return (
        payment.state in (PaymentState.ACCEPTED, PaymentState.BROADCAST)
        and payment.durable_attempt == payment.attempt.number
        and payment.attempt.tick >= current_tick
    )
