"""What a fake hub knows: trust, quotes, payments and their logs, without a connection."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import Decision, key_id_of, sign_decision
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Body,
    Initiator,
    Intent,
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PayReply,
    PayRequest,
    PrepareKind,
    PrepareReply,
    PrepareRequest,
    PushType,
    Quote,
    Route,
    Trust,
    TrustChanged,
    TrustReason,
    TrustStatus,
    TrustTier,
)
from realtime_protocol.session_key import session_public_key
from realtime_protocol.transaction import build_unsigned, parse_transaction, transaction_digest

FIRST_TICK: Final = 1_000_000
TICKS_AHEAD: Final = 5
TRUST_USE_MS: Final = 5_000
SETTLES: Final = (PaymentState.BROADCAST, PaymentState.INCLUDED, PaymentState.SETTLED)


@dataclass(slots=True)
class FakePayment:
    """A payment that the fake hub has taken."""

    payer: PublicKey
    idem: bytes
    status: PaymentStatus
    signed: list[bytes]
    """The signed transaction of each attempt."""
    intent: Intent


class FakeWorld:
    """Everything that a test may want to turn is a plain attribute."""

    def __init__(self) -> None:
        self.tick = FIRST_TICK
        self.fee_qu = 0
        self.executable = True
        self.outcome: Sequence[PaymentState] = SETTLES
        """The states that follow *accepted* by themselves."""
        self.payments: dict[bytes, FakePayment] = {}
        self.tamper: Callable[[PrepareReply], PrepareReply] | None = None
        """What a lying hub makes of the transaction it was asked to prepare."""
        self._trust: dict[bytes, Trust] = {}
        self._trust_log: list[tuple[int, TrustChanged]] = []
        self._trust_seq = 0
        self._pay_log: list[tuple[int, PublicKey, PushType, Body]] = []
        self._pay_seq = 0
        self._epoch = secrets.token_bytes(8)
        self._decision_seed = secrets.token_bytes(32)
        self._quoted: dict[bytes, Intent] = {}

    def forget_positions(self) -> None:
        """Make every position of the past unrecoverable."""
        self._epoch = secrets.token_bytes(8)
        self._trust_log.clear()
        self._pay_log.clear()

    # Trust ------------------------------------------------------------------------------------

    def _record_trust(
        self, wallet: bytes, status: TrustStatus, score: int, *, reason: int, pending: bool
    ) -> TrustChanged:
        """Take a change into records and log."""
        self._trust_seq += 1
        now_ms = now_epoch_ms()
        use_until_ms = now_ms + TRUST_USE_MS
        self._trust[wallet] = Trust(
            status, score, self._trust_seq, reason, TrustTier.L1, 0, use_until_ms
        )
        change = TrustChanged(
            wallet, status, score, reason, Initiator.ADMIN, now_ms, use_until_ms, pending
        )
        self._trust_log.append((self._trust_seq, change))
        return change

    def _trust_of(self, wallet: bytes) -> Trust:
        unknown = Trust(
            TrustStatus.UNKNOWN, 0, 0, TrustReason.NOT_LISTED, TrustTier.L3, 0, now_epoch_ms()
        )
        return self._trust.get(wallet, unknown)

    def _state_of(self, wallet: bytes) -> TrustChanged:
        trust = self._trust_of(wallet)
        return TrustChanged(
            wallet,
            trust.status,
            trust.score,
            trust.reason,
            Initiator.SYSTEM,
            now_epoch_ms(),
            trust.use_until_ms,
            pending=False,
        )

    # Quotes and payments ----------------------------------------------------------------------

    @property
    def decision_keys(self) -> dict[bytes, bytes]:
        """The public keys that decisions are signed with, by key id."""
        key = session_public_key(self._decision_seed)
        return {key_id_of(key): key}

    def _decide(
        self, wallet: bytes, audience: str, nonce: str | None, session_key: bytes | None
    ) -> bytes:
        trust, now_ms = self._trust_of(wallet), now_epoch_ms()
        decision = Decision(
            wallet=wallet,
            status=trust.status,
            score=trust.score,
            seq=self._trust_seq,
            epoch=self._epoch,
            issued_ms=now_ms,
            fresh_until_ms=now_ms + 300_000,
            stale_until_ms=now_ms + 3_600_000,
            audience=audience,
            session_key=session_key,
            key_id=next(iter(self.decision_keys)),
            nonce=nonce,
        )
        try:
            return sign_decision(self._decision_seed, decision)
        except ValueError as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, str(error)) from error

    def _quote(self, intent: Intent) -> Quote:
        quote_id = secrets.token_bytes(16)
        self._quoted[quote_id] = intent
        route = Route("direct", "direct", [intent.source, intent.destination])
        return Quote(
            quote_id,
            1,
            route,
            [],
            self.fee_qu,
            TICKS_AHEAD * 1_000,
            self.tick + 10,
            self.executable,
            False,
            None,
        )

    def _prepare(self, request: PrepareRequest) -> PrepareReply:
        quote_id, attempt = request.quote_id or secrets.token_bytes(16), 1
        if request.kind is PrepareKind.AGAIN and isinstance(request.of, bytes):
            payment = self._payment(request.of)
            intent, attempt = payment.intent, len(payment.signed) + 1
            self.tick = max(self.tick, payment.status.tick + 1)
        elif request.kind is PrepareKind.INTENT and isinstance(request.of, Intent):
            intent = request.of
        elif quote_id in self._quoted:
            intent = self._quoted[quote_id]
        else:
            raise RequestError(ErrorCode.QUOTE_EXPIRED, "the quote is unknown")
        self._quoted[quote_id] = intent
        tick = self.tick + TICKS_AHEAD + -(-request.sign_within_ms // 1_000)
        unsigned = build_unsigned(
            PublicKey(intent.source), PublicKey(intent.destination), intent.amount_qu, tick
        )
        reply = PrepareReply(unsigned, tick, quote_id, attempt)
        return reply if self.tamper is None else self.tamper(reply)

    def _pay(self, payer: PublicKey, request: PayRequest) -> PayReply:
        known = next((one for one in self.payments.values() if one.idem == request.idem), None)
        txid = transaction_digest(request.signed_tx)
        tick = parse_transaction(request.signed_tx).tick
        if known is None:
            status = PaymentStatus(
                secrets.token_bytes(16), 1, PaymentState.ACCEPTED, tick, txid, PaymentLevel.NONE
            )
            known = FakePayment(
                payer, request.idem, status, [request.signed_tx], self._quoted[request.quote_id]
            )
            self.payments[status.payment_id] = known
        elif request.attempt == len(known.signed) + 1:
            if known.status.state is not PaymentState.MISSED:
                raise RequestError(ErrorCode.IDEMPOTENCY_CONFLICT, "the last attempt isn't missed")
            known.signed.append(request.signed_tx)
            known.status = replace(
                known.status,
                state=PaymentState.ACCEPTED,
                state_seq=known.status.state_seq + 1,
                txid=txid,
                tick=tick,
            )
        return PayReply(known.status.payment_id, PaymentState.ACCEPTED, request.attempt)

    def _payment(self, payment_id: bytes) -> FakePayment:
        if payment_id not in self.payments:
            raise RequestError(ErrorCode.BAD_MESSAGE, "no such payment")
        return self.payments[payment_id]


def now_epoch_ms() -> int:
    """Return this machine's clock."""
    return time.time_ns() // 1_000_000
