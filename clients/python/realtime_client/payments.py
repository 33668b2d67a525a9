"""Payments: prepared by the hub, checked here, signed by the wallet, followed to their end.

Two signatures are two payments on Qubic, so this module signs again only where the hub proves the
attempt before dead, and never because an answer is missing: then the same bytes go again under the
same idempotency key, which can't pay twice.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from realtime_client.errors import (
    ConnectionLostError,
    HubError,
    HubMistrustedError,
    OutcomeUnknownError,
    PaymentFailedError,
    QuoteUnusableError,
    RealtimeError,
)
from realtime_client.streams import Stream
from realtime_client.transaction_check import TICKS_AHEAD_MAX, check_prepared
from realtime_client.wallet import ToSign, TransactionToSign
from realtime_protocol.codec import Push, decode_payment_snapshot
from realtime_protocol.codes import ErrorCode
from realtime_protocol.messages import (
    Head,
    Intent,
    PaymentGetRequest,
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PayReply,
    PayRequest,
    PayResign,
    Position,
    PrepareKind,
    PrepareReply,
    PrepareRequest,
    Quote,
    RequestType,
    ResumedSub,
    ResumeOutcome,
    SubscribeReply,
    SubscribeRequest,
)
from realtime_protocol.transaction import transaction_digest

if TYPE_CHECKING:
    from realtime_client.session import Session

IDEM_BYTES: Final = 16
PAYMENT_ID_BYTES: Final = 16
SENDS_MAX: Final = 8
"""How often the same signed bytes are handed over while no answer comes."""
SEND_AGAIN_S: Final = 0.2
ASK_EVERY_S: Final = 15.0
"""A payment of which nothing was heard for so long is asked for."""
STATUSES_QUEUED_MAX: Final = 64
PAYMENTS_MAX: Final = 1_024
"""Payments followed at once."""


class Payment(Stream[PaymentStatus]):
    """A payment under way.

    ``await payment`` gives the status when it has settled, and raises PaymentFailedError when it
    ended otherwise; ``async for status in payment`` gives every status on the way.
    """

    def __init__(self, intent: Intent, idem: bytes) -> None:
        super().__init__(STATUSES_QUEUED_MAX)
        loop = asyncio.get_running_loop()
        self.intent = intent
        self.idem = idem
        self.quote: Quote | None = None
        self.status: PaymentStatus | None = None
        self.attempt: int | None = None
        self.moments_s: dict[str, float] = {}
        """When each step first happened, monotonic seconds."""
        self._accepted: asyncio.Future[PaymentStatus] = loop.create_future()
        self._settled: asyncio.Future[PaymentStatus] = loop.create_future()
        # An awaiter is told by raising; a program that only iterates must not be warned too.
        for future in (self._accepted, self._settled):
            future.add_done_callback(_note_exception)

    def __await__(self) -> Generator[Any, None, PaymentStatus]:
        return asyncio.shield(self._settled).__await__()

    @property
    def payment_id(self) -> bytes | None:
        """The hub's name for it, once accepted."""
        return None if self.status is None else self.status.payment_id

    def accepted(self) -> Awaitable[PaymentStatus]:
        """Wait until the hub has made the payment durable."""
        return asyncio.shield(self._accepted)

    def _advance(self, status: PaymentStatus, now_s: float) -> None:
        """Take a newer status."""
        self.status = status
        self.moments_s.setdefault(status.state.name.lower(), now_s)
        if not self._accepted.done() and status.state is not PaymentState.REJECTED:
            self._accepted.set_result(status)
        self._put(status)
        if status.state is PaymentState.SETTLED:
            self._settled.set_result(status)
            self._end()
        elif status.state.terminal:
            self._fail(PaymentFailedError(status))

    def _fail(self, error: Exception) -> None:
        for future in (self._accepted, self._settled):
            if not future.done():
                future.set_exception(error)
        # Whoever iterates has seen the last status; other errors it must be told.
        self._end(None if isinstance(error, PaymentFailedError) else error)


def _note_exception(future: asyncio.Future[PaymentStatus]) -> None:
    if not future.cancelled():
        future.exception()


class PaymentBook:
    """Every payment of this session, fed by one subscription to ``pay:@me``."""

    def __init__(self) -> None:
        self.sub: int | None = None
        self._position: Position | None = None
        self._runs: dict[bytes, PaymentRun] = {}
        """By transaction digest, so that a status is known even when the reply was lost."""
        self._opening: asyncio.Future[None] | None = None

    async def ensure_open(self, session: "Session") -> None:
        """Subscribe, unless that has been done."""
        while self.sub is None:
            if self._opening is not None:
                await asyncio.shield(self._opening)
                continue
            self._opening = asyncio.get_running_loop().create_future()
            try:
                await session.add(self)
            finally:
                self._opening.set_result(None)
                self._opening = None

    def add(self, txid: bytes, run: "PaymentRun") -> None:
        """Route the statuses of that transaction to *run*; RealtimeError at `PAYMENTS_MAX`."""
        if len(self._runs) >= PAYMENTS_MAX:
            raise RealtimeError(f"{PAYMENTS_MAX} payments are followed already")
        self._runs[txid] = run

    def forget(self, run: "PaymentRun") -> None:
        """Route nothing more to *run*."""
        self._runs = {txid: other for txid, other in self._runs.items() if other is not run}

    def open_request(self) -> tuple[RequestType, SubscribeRequest]:
        """Return what asks for this stream, from where it stands."""
        return RequestType.SUBSCRIBE, SubscribeRequest("pay:@me", self._position)

    def on_opened(self, reply: SubscribeReply, _now_ms: int) -> None:
        """Take the reply: what every payment is now, or the word that nothing was missed."""
        self.sub = reply.sub
        for status in decode_payment_snapshot(reply.snapshot or []):
            self._deliver(status)
        if not reply.recovered or self._position is None:
            self._position = Position(reply.epoch, reply.head)

    def on_resumed(self, row: ResumedSub) -> None:
        """Stand where the hub says, unless it replays up to there."""
        if row.outcome is not ResumeOutcome.REPLAYING:
            self._reach(row.epoch, row.head)

    def on_head(self, head: Head) -> None:
        """Stand further on: nothing up to there is still to come."""
        self._reach(head.epoch, head.head)

    def on_push(self, push: Push, _now_ms: int) -> None:
        """Take a status, the wish for another signature, or the word of a gap."""
        match push.body:
            case PaymentStatus() as status:
                self._deliver(status)
            case PayResign(payment_id):
                for run in self._runs_of(payment_id):
                    run.on_resign()
            case _:  # A gap: what stands follows it, and the next head says where.
                return
        if self._position is not None and push.offset > self._position.offset:
            self._position = Position(self._position.epoch, push.offset)

    def _reach(self, epoch: bytes, offset: int) -> None:
        here = self._position
        if here is None or here.epoch != epoch or here.offset < offset:
            self._position = Position(epoch, offset)

    def on_end(self, error: Exception) -> None:
        """Take the word that the session is over: nothing more will be heard."""
        self.sub = None
        for run in set(self._runs.values()):
            run.on_end(error)

    def _deliver(self, status: PaymentStatus) -> None:
        run = self._runs.get(status.txid)
        runs = self._runs_of(status.payment_id) if run is None else {run}
        for found in runs:
            found.on_status(status)

    def _runs_of(self, payment_id: bytes) -> "set[PaymentRun]":
        return {run for run in self._runs.values() if run.payment.payment_id == payment_id}


class PaymentRun:
    """What drives one payment."""

    def __init__(
        self,
        session: "Session",
        book: PaymentBook,
        payment: Payment,
        *,
        quote: Quote | None,
        attempts_max: int,
        sign_within_ms: int,
        begun_before: bool,
        sign: Callable[[ToSign], Awaitable[bytes]],
    ) -> None:
        self.payment = payment
        self._session = session
        self._book = book
        self._quote = quote
        self._attempts_left = attempts_max
        self._sign_within_ms = sign_within_ms
        self._begun_before = begun_before
        self._sign = sign
        self._statuses: deque[PaymentStatus] = deque(maxlen=STATUSES_QUEUED_MAX)
        self._news = asyncio.Event()
        self._ask_now = False
        self._over: Exception | None = None
        self._txids: list[bytes] = []
        self._tick = 0

    async def run(self) -> None:
        """Take the payment to its end; what goes wrong is told to whoever waits on it."""
        try:
            await self._pay_first()
            await self._follow()
        except Exception as error:
            self.payment._fail(error)
        except asyncio.CancelledError:
            self.payment._fail(ConnectionLostError("the session was closed"))
            raise
        finally:
            self._book.forget(self)

    def on_status(self, status: PaymentStatus) -> None:
        """Take a status from the read loop."""
        self._statuses.append(status)
        self._news.set()

    def on_resign(self) -> None:
        """Take the wish for another signature.

        It names no attempt and may come late, so it is only a reason to ask: nothing but a status
        that says `missed` of the newest transaction makes this client sign again.
        """
        self._ask_now = True
        self._news.set()

    def on_end(self, error: Exception) -> None:
        """Take the word that nothing more will be heard."""
        self._over = error
        self._news.set()

    async def _pay_first(self) -> None:
        self._mark("start")
        quote = self._quote or await self._first_quote()
        _check_quote(quote, self.payment.intent)
        self.payment.quote = quote
        self._mark("quote")
        await self._book.ensure_open(self._session)
        reply: PrepareReply = await self._session.request(
            RequestType.PAY_PREPARE,
            PrepareRequest(PrepareKind.QUOTE, quote.quote_id, None, self._sign_within_ms),
        )
        self._mark("prepared")
        check_prepared(
            reply,
            self.payment.intent,
            quote_id=quote.quote_id,
            attempt=None,
            tick_min=max(1, quote.valid_until_tick - TICKS_AHEAD_MAX),
            tick_max=quote.valid_until_tick + TICKS_AHEAD_MAX,
        )
        await self._sign_and_send(reply)

    async def _first_quote(self) -> Quote:
        async with self._session.wire_quotes(self.payment.intent) as quotes:
            return await anext(quotes)

    async def _pay_again(self, missed: PaymentStatus) -> None:
        """Sign the next attempt; the hub says that the last one is dead."""
        before = self.payment.attempt or 0
        body = PrepareRequest(PrepareKind.AGAIN, None, missed.payment_id, self._sign_within_ms)
        try:
            reply: PrepareReply = await self._session.request(RequestType.PAY_PREPARE, body)
        except ConnectionLostError:
            await asyncio.sleep(SEND_AGAIN_S)
            return  # Nothing is signed; the next round tries again.
        except HubError as error:
            raise PaymentFailedError(missed) from error
        check_prepared(
            reply,
            self.payment.intent,
            quote_id=None,
            attempt=before + 1,
            tick_min=self._tick + 1,
            tick_max=self._tick + 2 * TICKS_AHEAD_MAX,
        )
        await self._sign_and_send(reply)

    async def _sign_and_send(self, prepared: PrepareReply) -> None:
        signature = await self._sign(TransactionToSign(prepared.unsigned_tx))
        self._mark("signed")
        signed = prepared.unsigned_tx + signature
        txid = transaction_digest(signed)
        self._attempts_left -= 1
        self._txids.append(txid)
        self._tick = prepared.tick
        self._book.add(txid, self)
        body = PayRequest(self.payment.idem, prepared.quote_id, signed, prepared.attempt)
        await self._send(body, txid, prepared)

    async def _send(self, body: PayRequest, txid: bytes, prepared: PrepareReply) -> None:
        """Hand the bytes over until the hub says what it made of them."""

        def on_reply(reply: PayReply) -> None:
            self._take_reply(reply, txid, prepared)

        cause = ""
        for _ in range(SENDS_MAX):
            try:
                await self._session.request(RequestType.PAY, body, on_reply=on_reply)
                return
            except ConnectionLostError as error:
                cause = str(error)
            except HubError as error:
                cause = str(error)
                if error.code == ErrorCode.OUTCOME_UNKNOWN:
                    await self._learn_outcome(error, txid)
                    break
                if not error.retryable:
                    raise
                await asyncio.sleep((error.retry_after_ms or 0) / 1000)
            except RealtimeError as error:
                if not cause:
                    raise  # The session is over and nothing was sent.
                cause = str(error)
                break
            if self._known(txid):
                return
            await asyncio.sleep(SEND_AGAIN_S)
        if not self._known(txid):
            raise OutcomeUnknownError(self.payment.idem, txid, cause)

    async def _learn_outcome(self, error: HubError, txid: bytes) -> None:
        """Ask for the payment that the hub couldn't vouch for; its status may also just come."""
        try:
            payment_id = bytes.fromhex(str(error.fields.get("payment_id", "")))
        except ValueError:
            payment_id = b""
        for _ in range(SENDS_MAX):
            await asyncio.sleep((error.retry_after_ms or 0) / 1000 or SEND_AGAIN_S)
            if self._known(txid):
                return
            if len(payment_id) != PAYMENT_ID_BYTES:
                continue
            try:
                status = await self._session.request(
                    RequestType.PAYMENT_GET, PaymentGetRequest(payment_id)
                )
            except (HubError, ConnectionLostError):
                continue
            self.on_status(status)

    def _known(self, txid: bytes) -> bool:
        return any(status.txid == txid for status in self._statuses)

    def _take_reply(self, reply: PayReply, txid: bytes, prepared: PrepareReply) -> None:
        """Take the hub's promise, in the read loop, before any status that follows it."""
        self.payment.attempt = reply.attempt
        if self._begun_before:
            # It may be at its end already, and then nothing more is pushed.
            self._ask_now = True
        if self.payment.status is None:
            first = PaymentStatus(
                reply.payment_id, 0, reply.state, prepared.tick, txid, PaymentLevel.NONE
            )
            self.payment._advance(first, self._session.monotonic_s())

    async def _follow(self) -> None:
        while True:
            self._news.clear()
            while self._statuses:
                self._take_status(self._statuses.popleft())
            status = self.payment.status
            if status is not None and status.state.terminal:
                return
            if self._over is not None:
                raise self._over
            if status is not None and status.state is PaymentState.MISSED:
                if status.txid == self._txids[-1]:
                    await self._after_miss(status)
                    continue
                if status.txid not in self._txids:  # Of a payment begun elsewhere.
                    raise PaymentFailedError(status)
            if not self._ask_now:
                await self._wait()
            if self._ask_now:
                await self._ask()

    async def _after_miss(self, missed: PaymentStatus) -> None:
        if self._attempts_left == 0:
            raise PaymentFailedError(missed)
        await self._pay_again(missed)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(ASK_EVERY_S):
                await self._news.wait()
        except TimeoutError:
            self._ask_now = True

    async def _ask(self) -> None:
        self._ask_now = False
        payment_id = self.payment.payment_id
        if payment_id is None:
            return
        try:
            status = await self._session.request(
                RequestType.PAYMENT_GET, PaymentGetRequest(payment_id)
            )
        except ConnectionLostError:
            return  # Another connection brings the snapshot.
        self.on_status(status)

    def _take_status(self, status: PaymentStatus) -> None:
        before = self.payment.status
        if status.txid not in self._txids and not self._begun_before:
            raise HubMistrustedError(
                f"the hub says of this payment that transaction {status.txid.hex()} is it, "
                "which this wallet did not sign"
            )
        if before is not None:
            if status.payment_id != before.payment_id:
                raise HubMistrustedError("the hub renamed the payment")
            if status.state_seq < before.state_seq:
                return
            if (status.state, status.txid) == (before.state, before.txid):
                self.payment.status = status
                return
        self.payment._advance(status, self._session.monotonic_s())

    def _mark(self, name: str) -> None:
        self.payment.moments_s.setdefault(name, self._session.monotonic_s())


def _check_quote(quote: Quote, intent: Intent) -> None:
    if quote.route is None:
        raise QuoteUnusableError("there is no route for this payment now")
    if not quote.executable:
        raise QuoteUnusableError(f"a route of kind {quote.route.kind} can't be paid by this hub")
    if quote.fee_qu > intent.max_fee_qu:
        raise QuoteUnusableError(
            f"the fee of {quote.fee_qu} QU is above the {intent.max_fee_qu} QU allowed"
        )
    if quote.fee_qu or quote.route.kind != "direct":
        # A plain transfer carries no fee; what else would be signed, this client can't check yet.
        raise QuoteUnusableError(f"this client can't check a payment of kind {quote.route.kind}")
