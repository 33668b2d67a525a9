"""Paying: what a hub may have signed, what happens to lost answers, and that nothing pays twice."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from realtime_client import (
    ErrorCode,
    HubError,
    HubMistrustedError,
    Intent,
    OutcomeUnknownError,
    Payment,
    PaymentFailedError,
    PaymentState,
    QuoteUnusableError,
    RealtimeError,
    Reconnect,
    TransactionToSign,
    TrustStatus,
    Wallet,
    connect,
)
from realtime_client.fake_hub import FakeHub
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import PrepareReply, RequestType
from realtime_protocol.schnorrq import keypair, sign
from realtime_protocol.transaction import Transaction, parse_unsigned, verify_transaction
from waiting import eventually

PAYEE = PublicKey(bytes(range(32)))
KEYS = keypair("c" * 55)
INTENT = Intent(PAYEE, 1_000)


class CountingWallet(Wallet):
    """A wallet that remembers what it signed."""

    def __init__(self) -> None:
        self.signed: list[Transaction] = []
        super().__init__(KEYS.public_key, self._sign_and_note)

    def _sign_and_note(self, to_sign: Any) -> bytes:
        if isinstance(to_sign, TransactionToSign):
            self.signed.append(to_sign.transaction)
        return sign(KEYS.subseed, KEYS.public_key, to_sign.message)


@pytest.fixture
def payer() -> CountingWallet:
    return CountingWallet()


async def states_of(payment: Payment) -> list[PaymentState]:
    async with asyncio.timeout(5):
        return [status.state async for status in payment]


async def test_a_payment_is_awaited_until_it_has_settled(
    hub: FakeHub, payer: CountingWallet
) -> None:
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        status = await payment
        assert status.state is PaymentState.SETTLED
        assert status == payment.status
        assert await payment.accepted()
    taken = hub.payments[status.payment_id]
    assert verify_transaction(taken.signed[0])
    assert [(one.destination, one.amount_qu) for one in payer.signed] == [(PAYEE, 1_000)]
    assert list(payment.moments_s) == [
        "start", "quote", "prepared", "signed", "accepted", "broadcast", "included", "settled",
    ]  # fmt: skip


async def test_a_payment_tells_every_state_on_the_way(hub: FakeHub, payer: CountingWallet) -> None:
    async with connect(hub.url, payer) as session:
        names = [state.name for state in await states_of(session.pay(INTENT))]
        assert names == ["ACCEPTED", "BROADCAST", "INCLUDED", "SETTLED"]


async def test_a_quote_that_was_shown_is_the_one_that_is_paid(
    hub: FakeHub, payer: CountingWallet
) -> None:
    async with connect(hub.url, payer) as session:
        async with session.quotes(INTENT) as quotes:
            quote = await anext(quotes)
            assert quote.route is not None
            assert quote.route.kind == "direct"
            payment = session.pay(INTENT, quote=quote)
            await payment
            assert payment.quote == quote
        assert hub.requests.count(RequestType.QUOTE_OPEN) == 1


async def test_a_slow_reader_of_quotes_gets_the_newest(hub: FakeHub, payer: CountingWallet) -> None:
    async with connect(hub.url, payer) as session, session.quotes(INTENT) as quotes:
        await eventually(lambda: quotes.latest)
        await hub.set_route(fee_qu=1)
        await hub.set_route(fee_qu=2)
        await eventually(lambda: quotes.latest and quotes.latest.fee_qu == 2)
        assert (await anext(quotes)).fee_qu == 2


async def test_quotes_go_on_after_a_reconnect(
    hub: FakeHub, payer: CountingWallet, quick: Reconnect
) -> None:
    async with (
        connect(hub.url, payer, reconnect=quick) as session,
        session.quotes(INTENT) as quotes,
    ):
        first = await anext(quotes)
        await hub.drop()
        assert (await anext(quotes)).quote_id != first.quote_id


async def test_a_quote_stream_that_is_refused_says_why_each_time(
    hub: FakeHub, payer: CountingWallet
) -> None:
    async with connect(hub.url, payer) as session:
        hub.refuse_next(RequestType.QUOTE_OPEN, RequestError(ErrorCode.NO_ROUTE, "none"))
        quotes = session.quotes(INTENT)
        for _ in range(2):
            with pytest.raises(HubError, match="none"):
                await anext(quotes)


# A hostile hub: each field of the transaction is another than the intent's ---------------------


def retold(**fields: Any) -> Callable[[PrepareReply], PrepareReply]:
    """Return a hub's lie: other fields in the transaction, the reply to fit."""

    def lie(reply: PrepareReply) -> PrepareReply:
        asked = parse_unsigned(reply.unsigned_tx)
        values = {name: getattr(asked, name) for name in Transaction.__dataclass_fields__}
        told = Transaction(**{**values, **fields})
        return replace(reply, unsigned_tx=told.unsigned_bytes(), tick=told.tick)

    return lie


@pytest.mark.parametrize(
    ("lie", "names"),
    [
        (retold(source=PAYEE), "source"),
        (retold(destination=PublicKey(bytes(31) + b"\x01")), "destination"),
        (retold(amount_qu=1_001), "amount"),
        (retold(amount_qu=0), "amount"),
        (retold(input_type=1), "input type"),
        (retold(payload=b"x" * 40), "120"),
        (retold(tick=1), "target tick"),
        (retold(tick=1_000_611), "target tick"),
        (retold(tick=2**32 - 1), "target tick"),
        (lambda reply: replace(reply, tick=reply.tick + 1), "tick"),
        (lambda reply: replace(reply, quote_id=bytes(16)), "quote"),
        (lambda reply: replace(reply, unsigned_tx=reply.unsigned_tx + bytes(64)), "144"),
        (lambda reply: replace(reply, unsigned_tx=reply.unsigned_tx[:78] + b"\x01\x00"), "no tran"),
    ],
)
async def test_a_transaction_that_is_not_the_intents_is_never_signed(
    hub: FakeHub,
    payer: CountingWallet,
    lie: Callable[[PrepareReply], PrepareReply],
    names: str,
) -> None:
    hub.tamper = lie
    async with connect(hub.url, payer) as session:
        with pytest.raises(HubMistrustedError, match=names):
            await session.pay(INTENT)
    assert payer.signed == []
    assert RequestType.PAY not in hub.requests


async def test_a_tick_within_reach_is_signed(hub: FakeHub, payer: CountingWallet) -> None:
    hub.tamper = retold(tick=1_000_610)
    async with connect(hub.url, payer) as session:
        await session.pay(INTENT)
    assert payer.signed[0].tick == 1_000_610


async def test_a_status_about_another_transaction_is_not_believed(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        accepted = await payment.accepted()
        taken = hub.payments[accepted.payment_id]
        taken.status = replace(taken.status, txid=bytes(32))
        await hub.advance(accepted.payment_id, PaymentState.SETTLED)
        with pytest.raises(HubMistrustedError, match="did not sign"):
            await payment


@pytest.mark.parametrize(
    ("route", "names"),
    [({"executable": False}, "can't be paid"), ({"fee_qu": 7}, "above the 0 QU")],
)
async def test_a_quote_that_breaks_the_intent_is_not_paid(
    hub: FakeHub, payer: CountingWallet, route: dict[str, Any], names: str
) -> None:
    await hub.set_route(**route)
    async with connect(hub.url, payer) as session:
        with pytest.raises(QuoteUnusableError, match=names):
            await session.pay(INTENT)
    assert payer.signed == []


# Answers that are lost -------------------------------------------------------------------------


@pytest.mark.parametrize("done", [True, False])
async def test_a_lost_answer_to_pay_is_asked_for_with_the_same_bytes(
    hub: FakeHub, payer: CountingWallet, quick: Reconnect, done: bool
) -> None:
    hub.mute_next(RequestType.PAY, done=done)
    async with connect(hub.url, payer, reconnect=quick) as session:
        status = await session.pay(INTENT)
    assert status.state is PaymentState.SETTLED
    assert len(payer.signed) == 1
    assert len(hub.payments) == 1


async def test_an_unknown_outcome_is_asked_for_and_never_signed_again(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer) as session:
        first = session.pay(INTENT)
        accepted = await first.accepted()
        # The same payment once more, but the hub can't vouch for it yet.
        unknown = RequestError(
            ErrorCode.OUTCOME_UNKNOWN,
            "not on disk",
            retry_after_ms=1,
            fields={"payment_id": accepted.payment_id.hex()},
        )
        hub.refuse_next(RequestType.PAY, unknown)
        second = session.pay(INTENT, idem=first.idem)
        await eventually(lambda: RequestType.PAYMENT_GET in hub.requests)
        await hub.advance(accepted.payment_id, PaymentState.SETTLED)
        assert (await second).payment_id == accepted.payment_id
    assert hub.requests.count(RequestType.PAY) == 2


async def test_an_outcome_that_stays_unknown_is_an_error_with_the_transactions_id(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.refuse_next(
        RequestType.PAY, RequestError(ErrorCode.OUTCOME_UNKNOWN, "lost", retry_after_ms=1)
    )
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        with pytest.raises(OutcomeUnknownError, match="before you pay again") as caught:
            await payment
    assert caught.value.idem == payment.idem
    assert len(payer.signed) == 1
    assert hub.requests.count(RequestType.PAY) == 1


async def test_a_refusal_that_may_pass_is_tried_again_with_the_same_bytes(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.refuse_next(RequestType.PAY, RequestError(ErrorCode.OVERLOADED, "busy", retry_after_ms=5))
    async with connect(hub.url, payer) as session:
        await session.pay(INTENT)
    assert len(payer.signed) == 1


async def test_a_refusal_that_stays_is_told_with_its_code(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.refuse_next(RequestType.PAY, RequestError(ErrorCode.INSUFFICIENT_BALANCE, "too poor"))
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        with pytest.raises(HubError, match="too poor") as caught:
            await payment
        assert caught.value.code is ErrorCode.INSUFFICIENT_BALANCE
        with pytest.raises(HubError):
            await states_of(payment)


async def test_a_payment_goes_on_over_a_reconnect(
    hub: FakeHub, payer: CountingWallet, quick: Reconnect
) -> None:
    hub.outcome = (PaymentState.BROADCAST,)
    async with connect(hub.url, payer, reconnect=quick) as session:
        payment = session.pay(INTENT)
        accepted = await payment.accepted()
        await hub.drop()
        await hub.advance(accepted.payment_id, PaymentState.INCLUDED)
        await hub.advance(accepted.payment_id, PaymentState.SETTLED)
        assert await states_of(payment) == [0, 1, 2, 3]


async def test_after_a_lost_position_the_snapshot_tells_how_the_payment_ended(
    hub: FakeHub, payer: CountingWallet, quick: Reconnect
) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer, reconnect=quick) as session:
        payment = session.pay(INTENT)
        accepted = await payment.accepted()
        await hub.drop()
        await hub.advance(accepted.payment_id, PaymentState.SETTLED)
        hub.forget_positions()
        assert (await payment).state is PaymentState.SETTLED


async def test_a_session_that_ends_ends_its_payments(hub: FakeHub, payer: CountingWallet) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        await payment.accepted()
        await hub.set_trust(payer.public_key, TrustStatus.BLOCKED)
        with pytest.raises(RealtimeError, match="4503"):
            await payment


async def test_leaving_the_block_ends_the_waiting_too(hub: FakeHub, payer: CountingWallet) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        await payment.accepted()
    with pytest.raises(RealtimeError, match="closed"):
        await payment


# Endings that are not settled, and further attempts ---------------------------------------------


@pytest.mark.parametrize(
    "ending", [PaymentState.NOT_MOVED, PaymentState.REJECTED, PaymentState.EXPIRED]
)
async def test_any_other_end_is_an_error_with_the_last_status(
    hub: FakeHub, payer: CountingWallet, ending: PaymentState
) -> None:
    hub.outcome = (ending,)
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        with pytest.raises(PaymentFailedError) as caught:
            await payment
        assert caught.value.status.state is ending
        assert (await states_of(payment))[-1] is ending


async def test_a_missed_attempt_is_signed_again_for_a_later_tick(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.outcome = (PaymentState.BROADCAST, PaymentState.MISSED)
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        accepted = await payment.accepted()
        hub.outcome = (PaymentState.SETTLED,)
        assert (await payment).state is PaymentState.SETTLED
    first, second = payer.signed
    assert second.tick > first.tick
    assert payment.attempt == 2
    assert len(hub.payments[accepted.payment_id].signed) == 2


async def test_one_miss_is_answered_by_one_signature_however_often_it_is_told(
    hub: FakeHub, payer: CountingWallet, quick: Reconnect
) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer, reconnect=quick) as session:
        payment = session.pay(INTENT)
        accepted = await payment.accepted()
        missed = hub.payments[accepted.payment_id]
        await hub.advance(accepted.payment_id, PaymentState.MISSED)
        await eventually(lambda: len(missed.signed) == 2)
        # The wish for a signature comes late and twice; the status says that it has been met.
        for _ in range(2):
            await hub._tell_payment(missed, *resign_of(hub))
        await eventually(lambda: RequestType.PAYMENT_GET in hub.requests)
        await hub.advance(accepted.payment_id, PaymentState.SETTLED)
        await payment
    assert len(payer.signed) == 2


def resign_of(hub: FakeHub) -> Any:
    return next((kind, body) for _, _, kind, body in hub._pay_log if kind.name == "PAY_RESIGN")


async def test_no_further_attempt_where_the_caller_forbids_it(
    hub: FakeHub, payer: CountingWallet
) -> None:
    hub.outcome = (PaymentState.MISSED,)
    async with connect(hub.url, payer) as session:
        with pytest.raises(PaymentFailedError, match="its tick passed") as caught:
            await session.pay(INTENT, attempts_max=1)
    assert caught.value.status.state is PaymentState.MISSED
    assert len(payer.signed) == 1


@pytest.mark.parametrize(
    "lie",
    [
        retold(amount_qu=999),
        retold(tick=1_000_005),  # The tick of the first attempt: both could run.
        lambda reply: replace(reply, attempt=1),
        lambda reply: replace(reply, attempt=3),
    ],
)
async def test_a_further_attempt_is_looked_at_like_the_first(
    hub: FakeHub, payer: CountingWallet, lie: Callable[[PrepareReply], PrepareReply]
) -> None:
    hub.outcome = ()
    async with connect(hub.url, payer) as session:
        payment = session.pay(INTENT)
        accepted = await payment.accepted()
        hub.tamper = lie
        await hub.advance(accepted.payment_id, PaymentState.MISSED)
        with pytest.raises(HubMistrustedError):
            await payment
    assert len(payer.signed) == 1


async def test_what_a_wallet_refuses_to_sign_is_not_paid(hub: FakeHub) -> None:
    class NoError(Exception):
        pass

    def signer(to_sign: Any) -> bytes:
        if isinstance(to_sign, TransactionToSign):
            raise NoError
        return sign(KEYS.subseed, KEYS.public_key, to_sign.message)

    async with connect(hub.url, Wallet(KEYS.public_key, signer)) as session:
        with pytest.raises(NoError):
            await session.pay(INTENT)
        await session.ping()
    assert RequestType.PAY not in hub.requests


@pytest.mark.parametrize("amount", [0, -1, 200_000_000_000_001])
def test_an_amount_out_of_bounds_is_no_intent(amount: int) -> None:
    with pytest.raises(ValueError, match="amount_qu"):
        Intent(PAYEE, amount)


@pytest.mark.parametrize("amount", [1.5, True, "1000", None])
def test_an_amount_that_is_no_whole_number_is_no_intent(amount: Any) -> None:
    with pytest.raises(TypeError, match="amount_qu"):
        Intent(PAYEE, amount)


def test_a_mistyped_destination_is_no_intent() -> None:
    with pytest.raises(ValueError, match="mistyped"):
        Intent("A" * 60, 1)
