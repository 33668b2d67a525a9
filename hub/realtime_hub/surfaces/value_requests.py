"""Quotes and payments."""

from typing import Final

from realtime_hub.pay.model import Spender
from realtime_hub.session.context import HubContext
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.session import LiveSession
from realtime_hub.surfaces.answers import Answer
from realtime_protocol.codec import encode_push
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Empty,
    PaymentGetRequest,
    PayRequest,
    PrepareRequest,
    PushType,
    Quote,
    QuoteCloseRequest,
    QuoteOpenReply,
    QuoteOpenRequest,
    SpendGetRequest,
)
from realtime_protocol.schnorrq import KEY_BYTES

_EMPTY: Final = Empty()


class ValueRequests:
    """Requests that move value, or ask what moving it would take."""

    def __init__(self, context: HubContext) -> None:
        self._context = context

    def quote_open(self, session: LiveSession, body: QuoteOpenRequest) -> Answer:
        """Open a stream of quotes; the first follows the reply."""
        context = self._context
        if len(session.quotes) >= context.limits.quotes_max:
            raise RequestError(
                ErrorCode.SUB_LIMIT, f"{context.limits.quotes_max} quote streams are open"
            )
        number = session.next_sub()

        def deliver(quote: Quote) -> None:
            if context.overload.level:
                context.counters.shed_quote()  # The next one says it all the same.
                return
            context.counters.push(PushType.QUOTE)
            session.push(Urgency.QUOTE, encode_push(PushType.QUOTE, number, 0, quote), number)

        stream = context.quotes.open(body.intent, deliver)
        session.quotes[number] = stream
        return Answer(QuoteOpenReply(number), then=lambda: deliver(stream.first))

    def quote_close(self, session: LiveSession, body: QuoteCloseRequest) -> Answer:
        """End a stream of quotes."""
        if not session.close_quotes(body.sub):
            raise RequestError(ErrorCode.BAD_MESSAGE, f"there is no quote stream {body.sub}")
        return Answer(_EMPTY)

    async def prepare(self, session: LiveSession, body: PrepareRequest) -> Answer:
        """Return the transaction to check and sign."""
        grant = session.grant
        spends_from = [] if grant is None else [one.wallet for one in grant.terms.spends]
        reply = await self._context.payments.prepare(session.wallet, body, spends_from=spends_from)
        return Answer(reply)

    async def pay(self, session: LiveSession, body: PayRequest) -> Answer:
        """Take a signed transaction; its states follow the reply.

        The payer is the session's wallet, or one that the session's key may spend from.
        """
        wallet, source = session.wallet, PublicKey(body.signed_tx[:KEY_BYTES])
        spender = None if source == wallet else _spender(session, source)
        payer = wallet if spender is None else source
        reply = await self._context.payments.pay(payer, body, spender=spender)
        return Answer(reply, Urgency.PAYMENT)

    async def spend_get(self, session: LiveSession, body: SpendGetRequest) -> Answer:
        """Tell what may still be spent from a wallet."""
        wallet = PublicKey(body.wallet)
        spender = _spender(session, wallet)
        if spender is None:
            raise RequestError(
                ErrorCode.BAD_MESSAGE, "this session's key may not spend from that wallet"
            )
        return Answer(await self._context.payments.spent(wallet, spender))

    async def payment_get(self, session: LiveSession, body: PaymentGetRequest) -> Answer:
        """Tell where a payment stands."""
        return Answer(await self._context.payments.get(session.wallet, body.payment_id))


def _spender(session: LiveSession, source: PublicKey) -> Spender | None:
    """Return by what right a session spends from *source*; None without any."""
    grant = session.grant
    if grant is None:
        return None
    for spending in grant.terms.spends:
        if spending.wallet == source:
            # Each wallet that was signed for has its own count.
            terms_id = grant.terms_id + source
            return Spender(session.wallet, terms_id, spending.max_qu, spending.until_ms)
    return None
