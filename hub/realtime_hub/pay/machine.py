"""Payments as their events make them: pure, synchronous, the same live and in a replay.

Decisions (:meth:`accept`, :meth:`retry`, :meth:`move`) return an event or raise; nothing changes
until that event is applied.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from msgspec.structs import replace

from realtime_hub.pay.events import Accepted, JournalCorrupt, Moved, PaymentEvent, Retried
from realtime_hub.pay.model import Attempt, Order, Payment, PaymentId, PaymentLimits
from realtime_hub.pay.states import LIVE, Move, after
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PayResign,
    ResignReason,
)
from realtime_protocol.schnorrq import k12

PAYMENT_ID_BYTES = 16
_DEAD = frozenset({PaymentState.NOT_MOVED, PaymentState.REJECTED, PaymentState.EXPIRED})
"""Ends in which no money moved."""
SNAPSHOT_PAYMENTS_MAX = 128


def payment_id_of(network_id: bytes, payer: PublicKey, idem: bytes) -> PaymentId:
    """Return the one id that a payer's idempotency key has on a network.

    It follows from the key, so that no crash and no race can give one key two payments.
    """
    return PaymentId(k12(b"realtime/payment/v1\n" + network_id + payer + idem, PAYMENT_ID_BYTES))


@dataclass(frozen=True, slots=True)
class Applied:
    """What an event did."""

    payment: Payment
    status: PaymentStatus
    resign: PayResign | None


class PaymentMachine:
    """All payments that are open, and the latest of those that are finished."""

    def __init__(self, limits: PaymentLimits | None = None) -> None:
        self._limits = limits or PaymentLimits()
        self._payments: dict[PaymentId, Payment] = {}
        self._open: dict[PaymentId, Payment] = {}
        self._finished: OrderedDict[PaymentId, None] = OrderedDict()
        self._open_of_payer: defaultdict[PublicKey, dict[PaymentId, Payment]] = defaultdict(dict)
        self._of_payer: defaultdict[PublicKey, dict[PaymentId, Payment]] = defaultdict(dict)
        self._of_payee: defaultdict[PublicKey, dict[PaymentId, Payment]] = defaultdict(dict)
        self._open_of_owner: defaultdict[PublicKey, dict[PaymentId, Payment]] = defaultdict(dict)
        self._by_txid: dict[bytes, PaymentId] = {}
        self._spent_qu: defaultdict[bytes, int] = defaultdict(int)
        """By what was signed for a spending wallet."""
        self.forgotten = 0
        """Finished payments that are in the journal only."""

    # Looking ----------------------------------------------------------------------------------

    def find(self, payment_id: bytes) -> Payment | None:
        """Return a payment, unless it is unknown or finished so long ago that it was forgotten."""
        return self._payments.get(PaymentId(payment_id))

    def open_payments(self) -> Sequence[Payment]:
        """Return the payments that aren't at their end."""
        return tuple(self._open.values())

    def open_of(self, payer: PublicKey) -> Sequence[Payment]:
        """Return a payer's payments that aren't at their end."""
        return tuple(self._open_of_payer.get(payer, {}).values())

    def open_for(self, wallet: PublicKey) -> Sequence[Payment]:
        """Return what a wallet pays, and what is paid for it, and isn't at its end."""
        return (*self.open_of(wallet), *self._open_of_owner.get(wallet, {}).values())

    def spent_qu(self, terms_id: bytes) -> int:
        """Return what was spent of what was signed: all that was accepted and isn't dead."""
        return self._spent_qu.get(terms_id, 0)

    def latest_of_payer(self, payer: PublicKey) -> list[Payment]:
        """Return what a wallet pays, and what is paid for it, the newest first.

        At most SNAPSHOT_PAYMENTS_MAX.
        """
        return _newest(self._of_payer.get(payer, {}))

    def latest_of_payee(self, payee: PublicKey) -> list[Payment]:
        """Return a payee's payments, the newest first, at most SNAPSHOT_PAYMENTS_MAX."""
        return _newest(self._of_payee.get(payee, {}))

    def held_qu(self, payer: PublicKey, *, as_of_tick: int) -> int:
        """Return what a balance as of the start of *as_of_tick* must still keep ready.

        That is the sum of the accepted, not final payments; an included one no longer counts once
        the balance was read after its tick, for that balance knows what became of it.
        """
        return sum(
            payment.amount_qu
            for payment in self.open_of(payer)
            if payment.state is not PaymentState.INCLUDED or payment.attempt.tick >= as_of_tick
        )

    # Deciding ---------------------------------------------------------------------------------

    def accept(
        self,
        order: Order,
        payment_id: PaymentId,
        *,
        now_ms: int,
        balance_qu: int,
        balance_tick: int,
    ) -> Accepted:
        """Decide about a new payment; RequestError when it can't be taken."""
        if payment_id in self._payments:
            raise RequestError(ErrorCode.IDEMPOTENCY_CONFLICT, "this key has its payment already")
        self._require_unused(order)
        self._require_room(order.payer)
        self._require_within(order)
        self._require_covered(order, balance_qu=balance_qu, balance_tick=balance_tick, free_qu=0)
        return Accepted(
            payment_id=payment_id,
            payer=order.payer,
            payee=order.payee,
            amount_qu=order.amount_qu,
            idem=order.idem,
            quote_id=order.quote_id,
            signed_tx=order.signed_tx,
            txid=order.txid,
            tick=order.tick,
            at_ms=now_ms,
            settle_by_ms=now_ms + order.settle_within_ms,
            owner=None if order.spender is None else order.spender.owner,
            terms_id=b"" if order.spender is None else order.spender.terms_id,
        )

    def retry(
        self, payment: Payment, order: Order, *, now_ms: int, balance_qu: int, balance_tick: int
    ) -> Retried:
        """Decide about a further attempt; RequestError when the last isn't proven dead."""
        require_next_attempt(payment, order.attempt, now_ms=now_ms)
        self._require_unused(order)
        # What is held for the payment already is there for this attempt.
        self._require_covered(
            order,
            balance_qu=balance_qu,
            balance_tick=balance_tick,
            free_qu=payment.amount_qu,
        )
        after(payment.state, Move.SIGNED_AGAIN)
        return Retried(
            payment_id=payment.payment_id,
            attempt=order.attempt,
            signed_tx=order.signed_tx,
            txid=order.txid,
            tick=order.tick,
            at_ms=now_ms,
        )

    def move(
        self,
        payment: Payment,
        move: Move,
        *,
        now_ms: int,
        detail: dict[str, int | str] | None = None,
    ) -> Moved:
        """Decide about something learned; ValueError when it can't follow the present state."""
        if move is Move.REFUSED and payment.maybe_broadcast:
            raise ValueError("bytes that may be on their way can't be taken back")
        after(payment.state, move)
        return Moved(payment.payment_id, payment.attempt.number, move, now_ms, detail)

    def _require_unused(self, order: Order) -> None:
        # One transaction runs once: two payments on it would both look settled.
        if order.txid in self._by_txid:
            raise RequestError(
                ErrorCode.IDEMPOTENCY_CONFLICT,
                "another payment consists of this very transaction; prepare a new one",
            )

    def _require_within(self, order: Order) -> None:
        """Raise RequestError 311 when a spending wallet would pay more than was signed for it."""
        spender = order.spender
        if spender is None or order.payee == spender.owner:
            return
        spent_qu = self.spent_qu(spender.terms_id)
        if spent_qu + order.amount_qu > spender.max_qu:
            raise RequestError(
                ErrorCode.SPEND_LIMIT,
                f"{spent_qu} QU of the {spender.max_qu} QU that were signed for are spent; "
                f"{order.amount_qu} QU are too much",
                fields={"spent_qu": spent_qu, "max_qu": spender.max_qu},
            )

    def _require_room(self, payer: PublicKey) -> None:
        limits = self._limits
        if len(self._open) >= limits.open_max:
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{limits.open_max} payments are under way at this hub",
                retry_after_ms=1_000,
            )
        if len(self._open_of_payer.get(payer, ())) >= limits.open_per_payer_max:
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{limits.open_per_payer_max} payments of this payer are under way",
                retry_after_ms=1_000,
            )

    def _require_covered(
        self, order: Order, *, balance_qu: int, balance_tick: int, free_qu: int
    ) -> None:
        held_qu = self.held_qu(order.payer, as_of_tick=balance_tick) - free_qu
        if balance_qu - held_qu < order.amount_qu:
            raise RequestError(
                ErrorCode.INSUFFICIENT_BALANCE,
                f"the balance of {balance_qu} QU less {held_qu} QU held for payments under way "
                f"does not cover {order.amount_qu} QU",
                fields={"balance_qu": balance_qu, "held_qu": held_qu},
            )

    # Changing ---------------------------------------------------------------------------------

    def apply(self, event: PaymentEvent) -> Applied:
        """Take a decided or replayed event; JournalCorrupt when it can't follow what was."""
        if isinstance(event, Accepted):
            payment = _begin(event)
            if payment.payment_id in self._payments:
                raise JournalCorrupt(f"payment {payment.payment_id.hex()} begins twice")
            self._add(payment)
            return Applied(payment, payment.status, None)
        known = self.find(event.payment_id)
        if known is None:
            raise JournalCorrupt(f"payment {event.payment_id.hex()} has no beginning")
        resign = advance(known, event)
        if isinstance(event, Retried):
            self._by_txid[event.txid] = known.payment_id
        if known.state in _DEAD:
            self._give_back(known)
        if known.state.terminal:
            self._finish(known)
        return Applied(known, known.status, resign)

    def durable(self, applied: Applied) -> None:
        """The event that led to *applied* is on disk."""
        payment = applied.payment
        payment.published = applied.status
        if applied.status.state is PaymentState.ACCEPTED:
            payment.durable_attempt = next(
                attempt.number
                for attempt in payment.attempts
                if attempt.txid == applied.status.txid
            )

    def hand_over(self, payment: Payment) -> bool:
        """Note that its bytes are about to leave; tell whether they never did before."""
        first = not payment.maybe_broadcast
        payment.maybe_broadcast = True
        return first

    def keep_back(self, payment: Payment) -> None:
        """Note that its bytes, about to leave for the first time, did not leave after all."""
        payment.maybe_broadcast = False

    def recovered(self) -> None:
        """The replay is over: all that was read is durable, and may have been broadcast."""
        for payment in self._payments.values():
            payment.published = payment.status
            payment.durable_attempt = payment.attempt.number
            payment.maybe_broadcast = True

    def _add(self, payment: Payment) -> None:
        self._payments[payment.payment_id] = payment
        self._open[payment.payment_id] = payment
        self._open_of_payer[payment.payer][payment.payment_id] = payment
        self._of_payer[payment.payer][payment.payment_id] = payment
        if payment.owner is not None:
            self._of_payer[payment.owner][payment.payment_id] = payment
            self._open_of_owner[payment.owner][payment.payment_id] = payment
            self._spent_qu[payment.terms_id] += payment.spent_qu
        self._of_payee[payment.payee][payment.payment_id] = payment
        self._by_txid[payment.attempt.txid] = payment.payment_id

    def _give_back(self, payment: Payment) -> None:
        """No money moved and none will: it doesn't count as spent any more."""
        if payment.owner is not None:
            self._spent_qu[payment.terms_id] -= payment.spent_qu

    def _finish(self, payment: Payment) -> None:
        del self._open[payment.payment_id]
        _drop(self._open_of_payer, payment.payer, payment.payment_id)
        if payment.owner is not None:
            _drop(self._open_of_owner, payment.owner, payment.payment_id)
        self._finished[payment.payment_id] = None
        while len(self._finished) > self._limits.finished_remembered_max:
            oldest, _ = self._finished.popitem(last=False)
            self._forget(self._payments[oldest])

    def _forget(self, payment: Payment) -> None:
        self.forgotten += 1
        del self._payments[payment.payment_id]
        _drop(self._of_payer, payment.payer, payment.payment_id)
        if payment.owner is not None:
            _drop(self._of_payer, payment.owner, payment.payment_id)
        _drop(self._of_payee, payment.payee, payment.payment_id)
        for attempt in payment.attempts:
            self._by_txid.pop(attempt.txid, None)


def rebuild(events: Iterable[PaymentEvent]) -> Payment | None:
    """Return one payment from its own events; None without any."""
    payment: Payment | None = None
    for event in events:
        if isinstance(event, Accepted):
            payment = _begin(event)
        elif payment is None:
            raise JournalCorrupt(f"payment {event.payment_id.hex()} has no beginning")
        else:
            advance(payment, event)
    if payment is not None:
        payment.published = payment.status
    return payment


def require_next_attempt(payment: Payment, attempt: int, *, now_ms: int) -> None:
    """Raise RequestError 303 unless *attempt* is the next, may be signed, and in time."""
    if attempt != payment.attempt.number + 1:
        raise RequestError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            f"attempt {attempt} doesn't follow attempt {payment.attempt.number}",
        )
    if payment.state is not PaymentState.MISSED:
        raise RequestError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            f"attempt {payment.attempt.number} is {payment.state.name.lower()}; a further one is "
            "taken only when it is proven missed",
        )
    if now_ms > payment.settle_by_ms:
        raise RequestError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            f"the time for this payment ended {now_ms - payment.settle_by_ms} ms ago",
        )


def advance(payment: Payment, event: Retried | Moved) -> PayResign | None:
    """Apply an event to its payment; the request to sign again where it asks for one."""
    if isinstance(event, Retried):
        _retry(payment, event)
        return None
    if event.attempt != payment.attempt.number:
        raise JournalCorrupt(
            f"payment {payment.payment_id.hex()}: news of attempt {event.attempt}, "
            f"but the last is {payment.attempt.number}"
        )
    state = _after(payment, event.move)
    resign = None
    detail = event.detail
    if state is PaymentState.MISSED:
        reason = ResignReason(int((event.detail or {}).get("reason", ResignReason.TICK_WITHOUT_IT)))
        detail = {**(event.detail or {}), "deadline_ms": payment.settle_by_ms}
        if event.at_ms <= payment.settle_by_ms:
            resign = PayResign(payment.payment_id, reason, payment.settle_by_ms)
    payment.status = replace(
        payment.status, state_seq=payment.status.state_seq + 1, state=state, detail=detail
    )
    return resign


def _begin(event: Accepted) -> Payment:
    payment_id = PaymentId(event.payment_id)
    status = PaymentStatus(
        payment_id=payment_id,
        state_seq=1,
        state=PaymentState.ACCEPTED,
        tick=event.tick,
        txid=event.txid,
        level=PaymentLevel.NONE,
    )
    return Payment(
        payment_id=payment_id,
        payer=PublicKey(event.payer),
        payee=PublicKey(event.payee),
        amount_qu=event.amount_qu,
        idem=event.idem,
        quote_id=event.quote_id,
        accepted_ms=event.at_ms,
        settle_by_ms=event.settle_by_ms,
        attempts=[Attempt(1, event.signed_tx, event.txid, event.tick)],
        owner=None if event.owner is None else PublicKey(event.owner),
        terms_id=event.terms_id,
        status=status,
    )


def _retry(payment: Payment, event: Retried) -> None:
    if event.attempt != payment.attempt.number + 1:
        raise JournalCorrupt(
            f"payment {payment.payment_id.hex()}: attempt {event.attempt} "
            f"after {payment.attempt.number}"
        )
    state = _after(payment, Move.SIGNED_AGAIN)
    payment.attempts.append(Attempt(event.attempt, event.signed_tx, event.txid, event.tick))
    payment.maybe_broadcast = False
    payment.status = replace(
        payment.status,
        state_seq=payment.status.state_seq + 1,
        state=state,
        tick=event.tick,
        txid=event.txid,
        detail={"attempt": event.attempt},
    )


def _after(payment: Payment, move: Move) -> PaymentState:
    try:
        return after(payment.state, move)
    except ValueError as error:
        raise JournalCorrupt(f"payment {payment.payment_id.hex()}: {error}") from error


def _newest(payments: dict[PaymentId, Payment]) -> list[Payment]:
    return list(islice(reversed(payments.values()), SNAPSHOT_PAYMENTS_MAX))


def _drop(
    index: defaultdict[PublicKey, dict[PaymentId, Payment]], key: PublicKey, payment_id: PaymentId
) -> None:
    index[key].pop(payment_id, None)
    if not index[key]:
        del index[key]


def live(payments: Iterable[Payment]) -> Iterator[Payment]:
    """Return those whose last attempt may still run, or have run unseen."""
    return (payment for payment in payments if payment.state in LIVE)
