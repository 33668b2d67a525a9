"""Payments as surfaces ask for them: prepare, pay, look, follow.

The idempotency key is looked up before anything else; then the checks run, the cheap before the
dear; then one synchronous step decides and queues the record; the answer waits for the disk.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.clock import Clock
from realtime_hub.pay.checks import (
    ScoreFloor,
    parse_order,
    require_in_time,
    require_prepared,
    require_same_owner,
    require_tick_ahead,
    require_trust,
)
from realtime_hub.pay.executor import ExecutorSettings, PaymentExecutor
from realtime_hub.pay.ledger import PaymentLedger
from realtime_hub.pay.machine import PaymentMachine, payment_id_of, require_next_attempt
from realtime_hub.pay.model import (
    Order,
    Payment,
    PaymentChange,
    PaymentId,
    PaymentLimits,
    Spender,
    StreamRead,
)
from realtime_hub.pay.ports import (
    JournalFull,
    PaymentJournal,
    QubicPaymentPort,
    QuotePort,
    SignaturePort,
    TicksPort,
    TrustPort,
)
from realtime_hub.pay.preparation import FIRST_ATTEMPT, Preparation
from realtime_hub.pay.prepared import Prepared, PreparedOrders
from realtime_hub.pay.stream import PaymentStream
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    PaymentState,
    PaymentStatus,
    PayReply,
    PayRequest,
    Position,
    PrepareReply,
    PrepareRequest,
    SpendGetReply,
    Trust,
)
from realtime_protocol.schnorrq import SIGNATURE_BYTES
from realtime_protocol.transaction import (
    Transaction,
    signing_digest,
    transaction_digest,
)

RETRY_AFTER_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """How payments are taken."""

    tick_offset: int
    """Ticks from now to the tick of a prepared transaction."""
    settle_within_ms: int = 600_000
    """How long from acceptance a further attempt may be signed, where the intent says nothing."""
    score_floor: ScoreFloor = ((0, 0),)
    offline_amount_qu_max: int = 0
    """What a payer may have under way in all on trust from memory, while it can't be read."""
    journal_timeout_s: float = 2.0
    """How long an answer waits for the disk before it says that the outcome is unknown."""
    limits: PaymentLimits = field(default_factory=PaymentLimits)
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)


class PaymentService:
    """Payments of logged-in wallets. One owner runs :meth:`run`.

    It listens to the ticks by itself; call :meth:`block` and :meth:`unblock` on trust changes.
    """

    def __init__(
        self,
        *,
        chain: QubicPaymentPort,
        ticks: TicksPort,
        journal: PaymentJournal,
        trust: TrustPort,
        quotes: QuotePort,
        signatures: SignaturePort,
        clock: Clock,
        settings: PaymentSettings,
    ) -> None:
        self._chain = chain
        self._ticks = ticks
        self._trust = trust
        self._quotes = quotes
        self._clock = clock
        self._settings = settings
        self._signatures = signatures
        self._machine = PaymentMachine(settings.limits)
        self._stream = PaymentStream()
        self._ledger = PaymentLedger(journal, self._machine, self._stream)
        self._prepared = PreparedOrders()
        self._preparation = Preparation(
            self._ledger, self._prepared, quotes, ticks, clock, tick_offset=settings.tick_offset
        )
        self._trying: defaultdict[PublicKey, list[_Try]] = defaultdict(list)
        self.executor = PaymentExecutor(self._ledger, chain, ticks, clock, settings.executor)
        ticks.listeners.append(self.executor.on_tick)
        self._stream.listeners.append(self._send_accepted)

    @property
    def listeners(self) -> list[Callable[[PaymentChange], None]]:
        """Called with each change, in order, once it is durable. They must return at once."""
        return self._stream.listeners

    @property
    def ready(self) -> bool:
        """Whether the past is read and payments are taken."""
        return self._ledger.recovered

    @property
    def trouble(self) -> str | None:
        """Why no payment is taken now, for people; None when all is well."""
        if not self._ledger.recovered:
            return self._ticks.trouble or "payments are being recovered from the journal"
        return self._ticks.trouble or self._ledger.failing

    @property
    def open_count(self) -> int:
        """How many payments are under way."""
        return len(self._machine.open_payments())

    async def run(self) -> None:
        """Recover once the network is known, then carry payments out until cancelled."""
        await self.recover()
        await self.executor.run()

    def close(self) -> None:
        """Hear of no further tick; the tasks of :meth:`run` have ended before."""
        self._ticks.listeners.remove(self.executor.on_tick)

    async def recover(self) -> None:
        """Wait for the network, then read its payments back; JournalCorrupt stops the hub."""
        await self._ticks.wait_ready()
        await self._ledger.recover(self._ticks.network_id)

    # Trust changes ------------------------------------------------------------------------------

    def block(self, wallet: PublicKey) -> None:
        """The wallet was blocked: refuse what isn't broadcast and what is just being asked."""
        for attempt in self._trying.get(wallet, ()):
            attempt.blocked = True
        self.executor.refuse(wallet)

    def unblock(self, wallet: PublicKey) -> None:
        """The wallet isn't blocked any more."""
        self.executor.readmit(wallet)

    # Looking ------------------------------------------------------------------------------------

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        """Return where a payment stands, to its payer and its payee; RequestError 103."""
        self._require_recovered()
        payment = await self._ledger.find(payment_id)
        if payment is None or payment.published is None or not payment.concerns(wallet):
            raise RequestError(
                ErrorCode.BAD_MESSAGE, f"no payment {payment_id.hex()} of this wallet is known"
            )
        return payment.published

    def snapshot_of_payer(self, wallet: PublicKey) -> list[PaymentStatus]:
        """Return the latest payments that this wallet makes, the newest first."""
        self._require_recovered()
        return _published(self._machine.latest_of_payer(wallet))

    def snapshot_of_payee(self, wallet: PublicKey) -> list[PaymentStatus]:
        """Return the latest payments to this wallet, the newest first."""
        self._require_recovered()
        return _published(self._machine.latest_of_payee(wallet))

    def position(self) -> Position:
        """Return where the stream of changes is."""
        self._require_recovered()
        return self._stream.position

    def changes_since(self, position: Position, wallet: PublicKey) -> list[PaymentChange] | None:
        """Return a wallet's changes after *position*; None when they can't all be had."""
        self._require_recovered()
        return self._stream.since(position, wallet)

    def all_changes_since(self, position: Position) -> list[PaymentChange] | None:
        """Return everybody's changes after *position*; None when they can't all be had."""
        return self._stream.all_since(position)

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        """Return a wallet's changes after *since*, or its payments where those can't be had."""
        head = self.position()
        changes = None if since is None else self.changes_since(since, wallet)
        if changes is None:
            read = self.snapshot_of_payer if as_payer else self.snapshot_of_payee
            return StreamRead(head, None, tuple(read(wallet)))
        own = (one for one in changes if wallet in (one.pays if as_payer else (one.payee,)))
        return StreamRead(head, tuple(own))

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        """Return what was spent of what was signed for a spending wallet, and what it holds."""
        self._require_recovered()
        balance_qu, tick = await self._balance(payer)
        return SpendGetReply(
            max_qu=spender.max_qu,
            until_ms=spender.until_ms,
            spent_qu=self._machine.spent_qu(spender.terms_id),
            balance_qu=balance_qu,
            held_qu=self._machine.held_qu(payer, as_of_tick=tick),
            tick=tick,
        )

    # Preparing ----------------------------------------------------------------------------------

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        """Return an unsigned transaction for the payer to check and to sign.

        The intent's source may be one of those wallets that the payer's key *spends_from*.
        """
        self._require_open()
        prepared = await self._preparation.prepare(payer, request, spends_from)
        return PrepareReply(
            unsigned_tx=prepared.unsigned_tx,
            tick=prepared.tick,
            quote_id=prepared.quote_id,
            attempt=prepared.attempt,
        )

    # Paying -------------------------------------------------------------------------------------

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        """Accept a signed transaction, durably, or say why not with a RequestError.

        *spender*: the payer is a wallet that this one may spend from. Once accepted a payment is
        followed to its end whatever becomes of this caller.
        """
        self._require_recovered()
        payment_id = payment_id_of(self._ledger.network_id, payer, request.idem)
        known = await self._ledger.find(payment_id)
        if known is not None:
            require_same_owner(known, spender)
            earlier = self._earlier(known, payer, request)
            if earlier is not None:
                return await self._answer(known, earlier)
        order, prepared = self._check(payer, request, known, spender)
        with self._try(payer, spender) as attempt:
            await self._check_signature(order)
            await self._check_trust(order)
            balance_qu, balance_tick = await self._balance(payer)
            # Others ran in the meantime: the same request, a block, the next tick.
            known = self._machine.find(payment_id)
            if known is not None:
                require_same_owner(known, spender)
                earlier = self._earlier(known, payer, request)
                if earlier is not None:
                    return await self._answer(known, earlier)
            if attempt.blocked:
                raise RequestError(ErrorCode.WALLET_BLOCKED, "the payer was blocked just now")
            self._require_open()
            require_in_time(spender, order.payee, self._clock.now_ms())
            require_tick_ahead(order.tick, self._ticks.current_tick)
            payment = self._take(known, payment_id, order, balance_qu, balance_tick)
        self._prepared.remove(prepared)
        return await self._answer(payment, order.attempt)

    @property
    def _floor(self) -> ScoreFloor:
        return self._settings.score_floor

    def _earlier(self, known: Payment, payer: PublicKey, request: PayRequest) -> int | None:
        """Return the attempt that this request repeats; None for the next; RequestError 303.

        Same attempt with other bytes: the first stands, the new ones are never broadcast.
        """
        if request.attempt <= known.attempt.number:
            if not any(one.number == request.attempt for one in known.attempts):
                raise RequestError(
                    ErrorCode.IDEMPOTENCY_CONFLICT, f"there is no attempt {request.attempt}"
                )
            same = (request.attempt, request.signed_tx)
            if not any((one.number, one.signed_tx) == same for one in known.attempts):
                _require_same_intent(known, parse_order(request.signed_tx, payer))
            return request.attempt
        _require_same_intent(known, parse_order(request.signed_tx, payer))
        require_next_attempt(known, request.attempt, now_ms=self._clock.now_ms())
        return None

    def _check(
        self,
        payer: PublicKey,
        request: PayRequest,
        known: Payment | None,
        spender: Spender | None,
    ) -> tuple[Order, Prepared]:
        """Run the checks that need no waiting."""
        transaction = parse_order(request.signed_tx, payer)
        require_in_time(spender, transaction.destination, self._clock.now_ms())
        self._require_open()
        if known is None and request.attempt != FIRST_ATTEMPT:
            raise RequestError(
                ErrorCode.IDEMPOTENCY_CONFLICT,
                f"a new payment begins with attempt {FIRST_ATTEMPT}, not {request.attempt}",
            )
        candidates = [
            prepared
            for prepared in self._prepared.of(payer, request.quote_id, request.attempt)
            if prepared.payment_id == (None if known is None else known.payment_id)
        ]
        if not candidates:
            require_tick_ahead(transaction.tick, self._ticks.current_tick)
            raise self._nothing_prepared(request)
        prepared = require_prepared(transaction, candidates)
        require_tick_ahead(prepared.tick, self._ticks.current_tick)
        order = Order(
            payer=payer,
            payee=transaction.destination,
            amount_qu=transaction.amount_qu,
            tick=transaction.tick,
            signed_tx=request.signed_tx,
            txid=transaction_digest(request.signed_tx),
            idem=request.idem,
            quote_id=request.quote_id,
            attempt=request.attempt,
            settle_within_ms=prepared.settle_within_ms(self._settings.settle_within_ms),
            spender=spender,
        )
        return order, prepared

    def _nothing_prepared(self, request: PayRequest) -> RequestError:
        quoted = self._quotes.find(request.quote_id)
        ended = quoted is None or quoted.valid_until_tick < self._ticks.current_tick
        if ended and request.attempt == FIRST_ATTEMPT:
            return RequestError(ErrorCode.QUOTE_EXPIRED, "the quote is unknown or has expired")
        return RequestError(
            ErrorCode.TX_REJECTED, "no transaction was prepared for this quote; use pay.prepare"
        )

    async def _check_signature(self, order: Order) -> None:
        unsigned, signature = (
            order.signed_tx[:-SIGNATURE_BYTES],
            order.signed_tx[-SIGNATURE_BYTES:],
        )
        if not await self._signatures.verify(order.payer, signing_digest(unsigned), signature):
            raise RequestError(
                ErrorCode.BAD_SIGNATURE, "the signature is not the payer's over this transaction"
            )

    async def _check_trust(self, order: Order) -> None:
        """Let pay whom its trust lets; of a spending wallet that is its owner's, read afresh.

        The spending wallet itself need not be listed, but must not be blocked.
        """
        amount_qu = order.amount_qu
        if order.spender is None:
            trust = await self._read_trust(order.payer, amount_qu)
            require_trust(trust, amount_qu, self._floor)
            return
        require_trust(await self._trust.fresh(order.spender.owner), amount_qu, self._floor)
        require_trust(await self._trust.fresh(order.payer), amount_qu, ())

    async def _read_trust(self, payer: PublicKey, amount_qu: int) -> Trust:
        """Read the payer's trust; RequestError 108 without it for more than may go on memory."""
        try:
            return await self._trust.fresh(payer)
        except RequestError as error:
            if error.code is not ErrorCode.BACKBONE_UNAVAILABLE:
                raise
            under_way_qu = self._machine.held_qu(payer, as_of_tick=0)
            remembered = None
            if under_way_qu + amount_qu <= self._settings.offline_amount_qu_max:
                remembered = self._trust.remembered(payer)
            if remembered is None:
                raise
            return remembered

    async def _balance(self, payer: PublicKey) -> tuple[int, int]:
        """Return the payer's balance and the tick at whose start it stood."""
        try:
            entity = await self._chain.entity(payer)
        except NodeUnavailable as error:
            raise _unavailable(f"the payer's balance can't be read: {error}") from error
        return (0, self._ticks.current_tick) if entity is None else (entity.balance_qu, entity.tick)

    def _take(
        self,
        known: Payment | None,
        payment_id: PaymentId,
        order: Order,
        balance_qu: int,
        balance_tick: int,
    ) -> Payment:
        now_ms = self._clock.now_ms()
        covered = {"now_ms": now_ms, "balance_qu": balance_qu, "balance_tick": balance_tick}
        event = (
            self._machine.accept(order, payment_id, **covered)
            if known is None
            else self._machine.retry(known, order, **covered)
        )
        try:
            return self._ledger.record(event, must=False)
        except JournalFull as error:
            raise RequestError(
                ErrorCode.OVERLOADED, f"the journal: {error}", retry_after_ms=RETRY_AFTER_MS
            ) from error

    async def _answer(self, payment: Payment, attempt: int) -> PayReply:
        """Answer once the attempt is durable: the same for ever, wherever it stands by then."""
        try:
            async with asyncio.timeout(self._settings.journal_timeout_s):
                await self._ledger.until_durable(payment, attempt)
        except TimeoutError as error:
            raise RequestError(
                ErrorCode.OUTCOME_UNKNOWN,
                "the payment isn't on disk yet; nothing is broadcast before",
                retry_after_ms=RETRY_AFTER_MS,
                fields={"payment_id": payment.payment_id.hex()},
            ) from error
        return PayReply(payment.payment_id, PaymentState.ACCEPTED, attempt)

    def _send_accepted(self, change: PaymentChange) -> None:
        if change.status.state is PaymentState.ACCEPTED:
            self.executor.send_soon()

    def _require_recovered(self) -> None:
        if not self._ledger.recovered:
            raise _unavailable(self.trouble or "payments are being recovered")

    def _require_open(self) -> None:
        self._require_recovered()
        trouble = self.trouble
        if trouble is not None:
            raise _unavailable(f"no payment is taken now: {trouble}")

    @contextmanager
    def _try(self, payer: PublicKey, spender: Spender | None) -> Iterator["_Try"]:
        """Watch for a block of the payer, or its owner, while the request waits for something."""
        attempt = _Try()
        wallets = [payer] if spender is None else [payer, spender.owner]
        for wallet in wallets:
            self._trying[wallet].append(attempt)
        try:
            yield attempt
        finally:
            for wallet in wallets:
                self._trying[wallet].remove(attempt)
                if not self._trying[wallet]:
                    del self._trying[wallet]


@dataclass(slots=True, eq=False)
class _Try:
    """A pay request that is being checked."""

    blocked: bool = False


def _require_same_intent(payment: Payment, transaction: Transaction) -> None:
    same = (
        transaction.destination == payment.payee
        and transaction.amount_qu == payment.amount_qu
        and transaction.input_type == 0
        and not transaction.payload
    )
    if not same:
        raise RequestError(
            ErrorCode.IDEMPOTENCY_CONFLICT, "this key belongs to another payment; make a new key"
        )


def _published(payments: Sequence[Payment]) -> list[PaymentStatus]:
    return [payment.published for payment in payments if payment.published is not None]


def _unavailable(reason: str) -> RequestError:
    return RequestError(ErrorCode.BACKBONE_UNAVAILABLE, reason, retry_after_ms=RETRY_AFTER_MS)
