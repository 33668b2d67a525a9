"""Preparing: from a quote, an intent or a dead attempt to a transaction that wants a signature."""

from collections.abc import Sequence

from realtime_hub.clock import Clock
from realtime_hub.pay.checks import require_payable
from realtime_hub.pay.ledger import PaymentLedger
from realtime_hub.pay.machine import require_next_attempt
from realtime_hub.pay.model import PaymentId
from realtime_hub.pay.ports import QuotePort, TicksPort
from realtime_hub.pay.prepared import Prepared, PreparedOrders, choose_tick
from realtime_hub.pay.states import LIVE
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Intent, PrepareKind, PrepareRequest, Quote
from realtime_protocol.transaction import build_unsigned

FIRST_ATTEMPT = 1


class Preparation:
    """Makes unsigned transactions and remembers them for the payment that follows."""

    def __init__(
        self,
        ledger: PaymentLedger,
        prepared: PreparedOrders,
        quotes: QuotePort,
        ticks: TicksPort,
        clock: Clock,
        *,
        tick_offset: int,
    ) -> None:
        self._ledger = ledger
        self._machine = ledger.machine
        self._prepared = prepared
        self._quotes = quotes
        self._ticks = ticks
        self._clock = clock
        self._tick_offset = tick_offset

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, spends_from: Sequence[PublicKey] = ()
    ) -> Prepared:
        """Prepare what the request names, or say why not with a RequestError.

        It pays from *payer*, or from a wallet that this one *spends_from*.
        """
        payers = (payer, *spends_from)
        self._prepared.drop_before(self._ticks.current_tick)
        if request.kind is PrepareKind.AGAIN:
            prepared = await self._prepare_again(payers, request)
        else:
            prepared = self._prepare_new(payers, request)
        self._prepared.add(prepared)
        return prepared

    def _prepare_new(self, payers: Sequence[PublicKey], request: PrepareRequest) -> Prepared:
        quote, intent = self._quoted(payers, request)
        if not quote.executable:
            raise RequestError(
                ErrorCode.ROUTE_NOT_EXECUTABLE, "this hub can't carry out the quoted route"
            )
        return self._order(
            PublicKey(intent.source),
            PublicKey(intent.destination),
            intent.amount_qu,
            quote_id=quote.quote_id,
            attempt=FIRST_ATTEMPT,
            sign_within_ms=request.sign_within_ms,
            intent=intent,
        )

    def _quoted(self, payers: Sequence[PublicKey], request: PrepareRequest) -> tuple[Quote, Intent]:
        if request.kind is PrepareKind.INTENT:
            if not isinstance(request.of, Intent):
                raise RequestError(ErrorCode.BAD_MESSAGE, "kind 2 wants an intent")
            require_payable(request.of, payers)
            return self._quotes.quote(request.of), request.of
        if request.quote_id is None:
            raise RequestError(ErrorCode.BAD_MESSAGE, "kind 1 wants a quote_id")
        found = self._quotes.find(request.quote_id)
        if found is None or found.valid_until_tick < self._ticks.current_tick:
            raise RequestError(ErrorCode.QUOTE_EXPIRED, "the quote is unknown or has expired")
        require_payable(found.intent, payers)
        return found.quote, found.intent

    async def _prepare_again(
        self, payers: Sequence[PublicKey], request: PrepareRequest
    ) -> Prepared:
        if not isinstance(request.of, bytes):
            raise RequestError(ErrorCode.BAD_MESSAGE, "kind 3 wants a payment_id")
        payment = await self._ledger.find(request.of)
        if payment is None or payment.payer not in payers:
            raise RequestError(
                ErrorCode.BAD_MESSAGE, f"no payment {request.of.hex()} of this wallet is known"
            )
        attempt = payment.attempt.number + 1
        now_ms = self._clock.now_ms()
        require_next_attempt(payment, attempt, now_ms=now_ms)
        prepared = self._order(
            payment.payer,
            payment.payee,
            payment.amount_qu,
            quote_id=payment.quote_id,
            attempt=attempt,
            sign_within_ms=request.sign_within_ms,
            payment_id=payment.payment_id,
        )
        due_ms = now_ms + (prepared.tick - self._ticks.current_tick) * self._ticks.tick_ms
        if due_ms > payment.settle_by_ms:
            raise RequestError(
                ErrorCode.IDEMPOTENCY_CONFLICT,
                f"tick {prepared.tick} would come after the payment's time is over",
            )
        return prepared

    def _order(
        self,
        payer: PublicKey,
        payee: PublicKey,
        amount_qu: int,
        *,
        quote_id: bytes,
        attempt: int,
        sign_within_ms: int,
        intent: Intent | None = None,
        payment_id: PaymentId | None = None,
    ) -> Prepared:
        under_way = {one.attempt.tick for one in self._machine.open_of(payer) if one.state in LIVE}
        tick = choose_tick(
            current=self._ticks.current_tick,
            offset=self._tick_offset,
            sign_within_ms=sign_within_ms,
            tick_ms=self._ticks.tick_ms,
            taken=under_way | self._prepared.ticks_of(payer),
        )
        unsigned_tx = build_unsigned(payer, payee, amount_qu, tick)
        return Prepared(payer, quote_id, attempt, payment_id, intent, unsigned_tx, tick)
