"""The checks between a pay request and its acceptance, each with its code. Pure."""

from collections.abc import Sequence

from realtime_hub.pay.model import Payment, Spender
from realtime_hub.pay.prepared import SIGN_LEAD_TICKS, Prepared
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import NULL_PUBLIC_KEY, PublicKey, encode_identity, is_contract_key
from realtime_protocol.messages import Intent, Trust, TrustReason, TrustStatus
from realtime_protocol.transaction import Transaction, parse_transaction

ScoreFloor = Sequence[tuple[int, int]]
"""(from so many QU on, least score) in rising order of amounts."""


def parse_order(signed_tx: bytes, payer: PublicKey) -> Transaction:
    """Take the signed bytes apart; RequestError 307 unless they are this payer's transaction."""
    try:
        transaction = parse_transaction(signed_tx)
    except ValueError as error:
        raise RequestError(ErrorCode.TX_REJECTED, f"not a transaction: {error}") from error
    if transaction.source != payer:
        raise RequestError(
            ErrorCode.TX_REJECTED,
            f"the transaction is from {encode_identity(transaction.source)}, "
            "not from the wallet that is logged in",
        )
    return transaction


def require_prepared(transaction: Transaction, prepared: Sequence[Prepared]) -> Prepared:
    """Return the order that this transaction signs, byte for byte; RequestError 307."""
    unsigned = transaction.unsigned_bytes()
    for order in prepared:
        if order.unsigned_tx == unsigned:
            return order
    raise RequestError(
        ErrorCode.TX_REJECTED,
        "destination, amount, tick, input type or payload is not what was prepared",
    )


def require_tick_ahead(tick: int, current_tick: int) -> None:
    """Raise RequestError 306 when *tick* can't be reached any more."""
    if tick < current_tick + SIGN_LEAD_TICKS:
        raise RequestError(
            ErrorCode.TARGET_TICK_PASSED,
            f"tick {tick} is too near: the network is at {current_tick} and needs "
            f"{SIGN_LEAD_TICKS} ticks; prepare again",
            fields={"tick": tick, "current_tick": current_tick},
        )


def require_payable(intent: Intent, payers: Sequence[PublicKey]) -> None:
    """Raise RequestError 103 for an intent that is none of these payers' or pays nobody."""
    if intent.source not in payers:
        raise RequestError(ErrorCode.BAD_MESSAGE, "the intent's source is another wallet")
    if intent.destination == intent.source:
        raise RequestError(ErrorCode.BAD_MESSAGE, "source and destination are the same wallet")
    if intent.destination == NULL_PUBLIC_KEY or is_contract_key(intent.destination):
        raise RequestError(ErrorCode.BAD_MESSAGE, "the destination is nobody's wallet")


def require_trust(trust: Trust, amount_qu: int, floor: ScoreFloor) -> None:
    """Raise RequestError 206, 108 or 304 unless this trust lets its wallet pay *amount_qu*."""
    if trust.status is TrustStatus.BLOCKED:
        raise RequestError(ErrorCode.WALLET_BLOCKED, "the payer is blocked")
    if trust.status is TrustStatus.UNKNOWN and trust.reason == TrustReason.UNAVAILABLE:
        raise RequestError(
            ErrorCode.BACKBONE_UNAVAILABLE,
            "no source could tell the payer's trust",
            retry_after_ms=1_000,
        )
    needed = max((score for from_qu, score in floor if amount_qu >= from_qu), default=0)
    if trust.score < needed:
        raise RequestError(
            ErrorCode.TRUST_TOO_LOW,
            f"a score of {needed} is needed to pay {amount_qu} QU; it is {trust.score}",
            fields={"score": trust.score, "score_needed": needed},
        )


def require_same_owner(payment: Payment, spender: Spender | None) -> None:
    """Raise RequestError 303 when a payment was begun for another than it is paid for now."""
    if payment.owner != (None if spender is None else spender.owner):
        raise RequestError(
            ErrorCode.IDEMPOTENCY_CONFLICT, "this key belongs to another payment; make a new key"
        )


def require_in_time(spender: Spender | None, payee: PublicKey, now_ms: int) -> None:
    """Raise RequestError 311 when a spending wallet may pay no longer, unless money goes home."""
    if spender is not None and payee != spender.owner and now_ms >= spender.until_ms:
        raise RequestError(
            ErrorCode.SPEND_LIMIT,
            f"the wallet could be spent from until {now_ms - spender.until_ms} ms ago",
            fields={"until_ms": spender.until_ms},
        )
