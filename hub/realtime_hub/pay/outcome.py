"""Whether an included transfer moved money, read from what nodes tell of the payer.

A node says at which tick the payer last sent. That decides only while the payer has sent nothing
since, and one transaction in that tick; where it can't decide, the payment stays included and says
why: a guess would be worse.
"""

from realtime_hub.chain.model import Entity, NodeUnavailable
from realtime_hub.pay.model import Payment
from realtime_hub.pay.ports import QubicPaymentPort, TicksPort
from realtime_hub.pay.states import Move
from realtime_protocol.identity import is_contract_key
from realtime_protocol.transaction import parse_transaction

Outcome = tuple[Move, dict[str, int | str] | None]


class OutcomeReader:
    """Reads outcomes of plain transfers over the nodes' own protocol."""

    def __init__(self, chain: QubicPaymentPort, ticks: TicksPort) -> None:
        self._chain = chain
        self._ticks = ticks

    async def read(self, payment: Payment) -> Outcome | None:
        """Return what an included payment came to; None when it is too early to tell.

        Raises NodeUnavailable.
        """
        tick = payment.attempt.tick
        if is_contract_key(payment.payee):
            return _hidden("the payee is a contract, whose refunds a node's balances don't show")
        entity = await self._chain.entity(payment.payer)
        if entity is None:
            return _hidden("the node doesn't know the payer")
        if entity.tick <= tick:
            return None
        if entity.latest_outgoing_tick > tick:
            return _hidden(f"the payer sent again in tick {entity.latest_outgoing_tick}")
        own = await self._sent_in(tick, payment)
        if own is None:
            return None
        if own != 1:
            return _hidden(f"{own} transactions of the payer were in tick {tick}")
        return _by_latest(entity, tick)

    async def _sent_in(self, tick: int, payment: Payment) -> int | None:
        """Return how many transactions of the payer that tick held; None while unproven."""
        processed = await self._ticks.processed_tick(tick)
        if processed is None or processed.digests is None:
            return None
        if len(processed.digests) == 1:
            return 1
        transactions = await self._chain.tick_transactions(tick)
        if len(transactions) < len(processed.digests):
            return None
        try:
            return sum(parse_transaction(one).source == payment.payer for one in transactions)
        except ValueError as error:
            raise NodeUnavailable(f"a node sent garbage for tick {tick}: {error}") from error


def _by_latest(entity: Entity, tick: int) -> Outcome:
    if entity.latest_outgoing_tick == tick:
        return Move.MONEY_MOVED, None
    return Move.MONEY_STAYED, {"message": f"the payer's balance did not suffice in tick {tick}"}


def _hidden(why: str) -> Outcome:
    return Move.OUTCOME_HIDDEN, {"message": why}
