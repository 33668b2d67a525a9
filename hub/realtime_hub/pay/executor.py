"""Carries accepted payments to the chain and reads there what became of them.

Two loops: one hands durable bytes to nodes, the same bytes again with each tick until theirs is
past; one asks of processed ticks what they held. Nothing here signs, and nothing is given up.
"""

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from realtime_hub.chain.model import NodeUnavailable, ProcessedTick
from realtime_hub.clock import Clock
from realtime_hub.pay.ledger import PaymentLedger, sendable
from realtime_hub.pay.model import Payment, PaymentId
from realtime_hub.pay.outcome import OutcomeReader
from realtime_hub.pay.ports import QubicPaymentPort, TicksPort
from realtime_hub.pay.states import LIVE, Move
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import PaymentState, ResignReason
from realtime_protocol.schnorrq import k12

logger = logging.getLogger(__name__)

TICKS_PER_ROUND_MAX: Final = 32
UNKNOWN_TICKS_PER_ROUND_MAX: Final = 8
OUTCOMES_PER_ROUND_MAX: Final = 1_024
_BLOCKED: Final = "the payer was blocked before anything was broadcast"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """How the chain is waited for."""

    unknown_after_ticks: int = 2
    """A tick that isn't proven so many ticks after it leaves its payments UNKNOWN."""


class PaymentExecutor:
    """Follows each accepted payment to its end."""

    def __init__(
        self,
        ledger: PaymentLedger,
        chain: QubicPaymentPort,
        ticks: TicksPort,
        clock: Clock,
        settings: ExecutorSettings | None = None,
    ) -> None:
        self._ledger = ledger
        self._machine = ledger.machine
        self._chain = chain
        self._ticks = ticks
        self._clock = clock
        self._settings = settings or ExecutorSettings()
        self._outcomes = OutcomeReader(chain, ticks)
        self._to_send = asyncio.Event()
        self._to_resolve = asyncio.Event()
        self._sent: dict[PaymentId, tuple[int, int]] = {}
        """Payment -> (attempt, current tick) of its last broadcast in this process."""
        self._blocked: set[PublicKey] = set()
        self._unknown_turn = 0

    def on_tick(self, _processed: ProcessedTick) -> None:
        """A tick was processed: look again."""
        self._to_send.set()
        self._to_resolve.set()

    def send_soon(self) -> None:
        """An acceptance became durable."""
        self._to_send.set()

    async def run(self) -> None:
        """Work until cancelled, at once on what was recovered: its ticks may be near."""
        self._to_send.set()
        self._to_resolve.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_for_ever())
            group.create_task(self._resolve_for_ever())

    def refuse(self, payer: PublicKey) -> None:
        """Reject a blocked payer's payments of which nothing was broadcast.

        One whose bytes are just leaving is rejected when they turn out not to have left.
        """
        open_payments = self._machine.open_for(payer)
        if open_payments:
            self._blocked.add(payer)
        for payment in open_payments:
            self._refuse_unsent(payment)

    def readmit(self, payer: PublicKey) -> None:
        """The payer isn't blocked any more."""
        self._blocked.discard(payer)

    # Handing over -------------------------------------------------------------------------------

    async def _send_for_ever(self) -> None:
        while True:
            await self._pause(self._to_send)
            await self.send_round()

    async def send_round(self) -> None:
        """Hand over what is durable and was not handed over in this tick yet."""
        current_tick = self._ticks.current_tick
        if self._ticks.frozen is not None or not current_tick:
            return
        for payment in self._machine.open_payments():
            this_tick = (payment.attempt.number, current_tick)
            due = self._sent.get(payment.payment_id) != this_tick
            if due and sendable(payment, current_tick) and not await self._send(payment):
                return  # No node takes anything now; the next round tries again.

    async def _send(self, payment: Payment) -> bool:
        """Hand one over; False when no node took it."""
        if self._refuse_unsent(payment):
            return True
        attempt = payment.attempt
        again = self._sent.get(payment.payment_id, (0, 0))[0] == attempt.number
        first = self._machine.hand_over(payment)
        try:
            await self._chain.broadcast(attempt.signed_tx, again=again)
        except NodeUnavailable as error:
            logger.info("payment %s waits for a node: %s", payment.payment_id.hex(), error)
            if first and payment.attempt is attempt:
                self._machine.keep_back(payment)
                self._refuse_unsent(payment)
            return False
        self._sent[payment.payment_id] = (attempt.number, self._ticks.current_tick)
        if payment.attempt is attempt and payment.state is PaymentState.ACCEPTED:
            self._record(payment, Move.HANDED_OVER)
        return True

    def _refuse_unsent(self, payment: Payment) -> bool:
        if (
            self._blocked.isdisjoint(payment.pays)
            or payment.state is not PaymentState.ACCEPTED
            or payment.maybe_broadcast
        ):
            return False
        self._record(payment, Move.REFUSED, {"message": _BLOCKED})
        return True

    # Resolving ----------------------------------------------------------------------------------

    async def _resolve_for_ever(self) -> None:
        while True:
            await self._pause(self._to_resolve)
            await self.resolve_round()

    async def resolve_round(self) -> None:
        """Look at every open payment whose tick is past, and at those whose time is over."""
        if self._ticks.frozen is None:
            for tick, payments in self._due().items():
                await self._resolve_tick(tick, payments)
            await self._read_outcomes()
        self._end_overdue()
        self._forget_finished()

    def _due(self) -> dict[int, list[Payment]]:
        """Return the payments to look at by tick: first the new, then some of the unknown."""
        current_tick = self._ticks.current_tick
        fresh: defaultdict[int, list[Payment]] = defaultdict(list)
        unknown: defaultdict[int, list[Payment]] = defaultdict(list)
        for payment in self._machine.open_payments():
            if payment.state in LIVE and payment.attempt.tick < current_tick:
                which = unknown if payment.state is PaymentState.UNKNOWN else fresh
                which[payment.attempt.tick].append(payment)
        chosen = sorted(fresh)[:TICKS_PER_ROUND_MAX]
        waiting = [tick for tick in sorted(unknown) if tick not in fresh]
        if waiting:
            self._unknown_turn %= len(waiting)
            turned = waiting[self._unknown_turn :] + waiting[: self._unknown_turn]
            self._unknown_turn += UNKNOWN_TICKS_PER_ROUND_MAX
            chosen += turned[:UNKNOWN_TICKS_PER_ROUND_MAX]
        return {tick: fresh.get(tick, []) + unknown.get(tick, []) for tick in chosen}

    async def _resolve_tick(self, tick: int, payments: list[Payment]) -> None:
        processed = await self._ticks.processed_tick(tick)
        for payment in payments:
            attempt = payment.attempt
            found = processed is None and await self._node_has(payment)
            if self._ticks.frozen is not None:
                return
            if payment.attempt is not attempt or payment.state not in LIVE:
                continue  # Something else was learned in the meantime.
            if processed is not None:
                self._take_proof(payment, processed)
            elif found:
                self._record(payment, Move.FOUND)
            elif payment.state is not PaymentState.UNKNOWN and self._overdue(tick):
                self._record(
                    payment,
                    Move.LEFT_UNPROVEN,
                    {"message": f"no node can prove what tick {tick} held; asking on"},
                )

    async def _node_has(self, payment: Payment) -> bool:
        """Tell whether a node shows the transaction as processed. No is not a proof."""
        try:
            found = await self._chain.transaction(payment.attempt.txid)
        except NodeUnavailable:
            return False
        return found is not None and k12(found) == payment.attempt.txid

    def _take_proof(self, payment: Payment, processed: ProcessedTick) -> None:
        if processed.digests is not None and payment.attempt.txid in processed.digests:
            self._record(payment, Move.FOUND)
            return
        reason = (
            ResignReason.TICK_EMPTY if processed.digests is None else ResignReason.TICK_WITHOUT_IT
        )
        self._record(payment, Move.PROVEN_ABSENT, {"reason": int(reason)})

    def _overdue(self, tick: int) -> bool:
        return self._ticks.current_tick > tick + self._settings.unknown_after_ticks

    async def _read_outcomes(self) -> None:
        included = [
            payment
            for payment in self._machine.open_payments()
            if payment.state is PaymentState.INCLUDED and not payment.outcome_hidden
        ]
        for payment in included[:OUTCOMES_PER_ROUND_MAX]:
            try:
                outcome = await self._outcomes.read(payment)
            except NodeUnavailable as error:
                logger.info("the outcome of included payments waits: %s", error)
                return
            if outcome is not None and self._ticks.frozen is None:
                self._record(payment, *outcome)

    def _end_overdue(self) -> None:
        now_ms = self._clock.now_ms()
        for payment in self._machine.open_payments():
            if payment.state is PaymentState.MISSED and now_ms > payment.settle_by_ms:
                self._record(payment, Move.TIME_OVER)

    def _forget_finished(self) -> None:
        for payment_id in [one for one in self._sent if not self._is_open(one)]:
            del self._sent[payment_id]
        self._blocked = {one for one in self._blocked if self._machine.open_for(one)}

    def _is_open(self, payment_id: PaymentId) -> bool:
        payment = self._machine.find(payment_id)
        return payment is not None and not payment.state.terminal

    def _record(
        self, payment: Payment, move: Move, detail: dict[str, int | str] | None = None
    ) -> None:
        now_ms = self._clock.now_ms()
        self._ledger.record(self._machine.move(payment, move, now_ms=now_ms, detail=detail))

    async def _pause(self, event: asyncio.Event) -> None:
        """Wait for news, but no longer than a tick: a tick that can't be proven brings none."""
        try:
            async with asyncio.timeout(max(self._ticks.tick_ms, 50) / 1000):
                await event.wait()
        except TimeoutError:
            pass
        event.clear()
