"""A wallet that is spent from for another: only so much, only so long, only for a welcome owner."""

import asyncio
from collections.abc import Awaitable

import msgspec
import pytest

from payment_fakes import (
    OTHER,
    OTHER_KEYS,
    PAYEE,
    PAYER,
    PAYER_KEYS,
    PaymentBench,
    intent_of,
    signed,
    trust_of,
    unavailable,
)
from realtime_hub.pay.events import Accepted, decode_event
from realtime_hub.pay.model import PaymentChange, Spender
from realtime_hub.pay.service import PaymentSettings
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    PaymentState,
    PayReply,
    PrepareKind,
    PrepareRequest,
    TrustReason,
    TrustStatus,
)

OWNER, SPENDING = PAYER, OTHER
MAX_QU = 2_500
NOT_LISTED = trust_of(TrustStatus.UNKNOWN, score=0, reason=TrustReason.NOT_LISTED)


@pytest.fixture
async def bench() -> PaymentBench:
    settings = PaymentSettings(tick_offset=5, score_floor=((0, 10),))
    bench = await PaymentBench(settings=settings).start()
    bench.chain.balances[SPENDING] = 10_000
    bench.trust.of[SPENDING] = NOT_LISTED
    return bench


def spender_of(
    bench: PaymentBench, *, terms_id: bytes = b"t" * 48, owner: PublicKey = OWNER
) -> Spender:
    return Spender(owner, terms_id, MAX_QU, bench.clock.epoch_ms + 60_000)


async def spend(
    bench: PaymentBench,
    spender: Spender,
    amount_qu: int = 1_000,
    *,
    idem: int = 1,
    to: PublicKey = PAYEE,
) -> PayReply:
    """Pay from the spending wallet, as its owner's session does."""
    intent = intent_of(amount_qu, source=SPENDING, destination=to)
    request = PrepareRequest(PrepareKind.INTENT, None, intent, 0)
    prepared = await bench.service.prepare(OWNER, request, spends_from=[SPENDING])
    pay = signed(prepared, idem=bytes([idem]) * 16, keys=OTHER_KEYS)
    return await bench.service.pay(SPENDING, pay, spender=spender)


async def refusal(work: Awaitable[object]) -> ErrorCode:
    with pytest.raises(RequestError) as refused:
        await work
    return refused.value.code


async def test_what_is_spent_settles_and_its_owner_sees_it_as_its_own(
    bench: PaymentBench,
) -> None:
    changes: list[PaymentChange] = []
    bench.service.listeners.append(changes.append)
    before = bench.service.position()
    reply = await spend(bench, spender_of(bench))
    await bench.step(6)
    assert bench.chain.balances[PAYEE] == 1_000
    assert bench.chain.balances[SPENDING] == 9_000
    [last] = changes[-1:]
    assert (last.payer, last.owner, last.status.state) == (SPENDING, OWNER, PaymentState.SETTLED)
    assert (await bench.service.get(OWNER, reply.payment_id)).state is PaymentState.SETTLED
    read = await bench.service.read_stream(OWNER, as_payer=True, since=before)
    assert read.changes is not None
    assert len(read.changes) == len(changes)
    [shown] = bench.service.snapshot_of_payer(OWNER)
    assert shown.payment_id == reply.payment_id
    assert bench.service.snapshot_of_payer(SPENDING) == [shown]


async def test_no_more_is_spent_than_was_signed_for(bench: PaymentBench) -> None:
    spender = spender_of(bench)
    await spend(bench, spender, 1_500, idem=1)
    assert await refusal(spend(bench, spender, 1_001, idem=2)) is ErrorCode.SPEND_LIMIT
    await spend(bench, spender, 1_000, idem=3)
    assert await refusal(spend(bench, spender, 1, idem=4)) is ErrorCode.SPEND_LIMIT
    # Another signature of the owner's wallet is another allowance.
    await spend(bench, spender_of(bench, terms_id=b"u" * 48), 1_000, idem=5)


async def test_of_two_that_spend_the_rest_at_once_one_does(bench: PaymentBench) -> None:
    spender = spender_of(bench)
    tries = [spend(bench, spender, 1_500, idem=idem) for idem in (1, 2)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(isinstance(one, RequestError) for one in done) == [False, True]


async def test_the_count_comes_back_with_the_journal(bench: PaymentBench) -> None:
    await spend(bench, spender_of(bench), 2_000)
    await bench.step(6)
    again = await PaymentBench(chain=bench.chain, journal=bench.journal, clock=bench.clock).start()
    state = await again.service.spent(SPENDING, spender_of(bench))
    assert (state.max_qu, state.spent_qu, state.balance_qu) == (MAX_QU, 2_000, 8_000)
    assert await refusal(spend(again, spender_of(bench), 501, idem=2)) is ErrorCode.SPEND_LIMIT


async def test_what_moved_no_money_is_not_spent(bench: PaymentBench) -> None:
    spender = spender_of(bench)
    await spend(bench, spender, 2_000)
    assert (await bench.service.spent(SPENDING, spender)).spent_qu == 2_000
    bench.service.block(OWNER)  # Nothing was broadcast yet.
    await bench.work()
    assert (await bench.service.spent(SPENDING, spender)).spent_qu == 0


async def test_what_goes_home_to_its_owner_is_not_spent_whatever_the_most_is(
    bench: PaymentBench,
) -> None:
    spender = spender_of(bench)
    await spend(bench, spender, 2_500, idem=1)
    await spend(bench, spender, 7_500, idem=2, to=OWNER)
    state = await bench.service.spent(SPENDING, spender)
    assert (state.spent_qu, state.held_qu) == (2_500, 10_000)


async def test_nothing_is_spent_after_the_time_is_over(bench: PaymentBench) -> None:
    spender = spender_of(bench)
    bench.clock.advance_ms(60_000)
    assert await refusal(spend(bench, spender)) is ErrorCode.SPEND_LIMIT
    await spend(bench, spender, 10_000, idem=2, to=OWNER)  # Home it may always go.


async def test_nothing_is_spent_when_the_time_ends_while_it_is_checked(
    bench: PaymentBench,
) -> None:
    bench.trust.gate = asyncio.Event()
    paying = asyncio.create_task(spend(bench, spender_of(bench)))
    await bench.work()
    bench.clock.advance_ms(60_000)
    bench.trust.gate.set()
    assert await refusal(paying) is ErrorCode.SPEND_LIMIT


@pytest.mark.parametrize(
    ("wallet", "trust", "code"),
    [
        (OWNER, trust_of(TrustStatus.BLOCKED), ErrorCode.WALLET_BLOCKED),
        (SPENDING, trust_of(TrustStatus.BLOCKED), ErrorCode.WALLET_BLOCKED),
        (OWNER, trust_of(score=9), ErrorCode.TRUST_TOO_LOW),
        (OWNER, NOT_LISTED, ErrorCode.TRUST_TOO_LOW),
        (
            OWNER,
            trust_of(TrustStatus.UNKNOWN, reason=TrustReason.UNAVAILABLE),
            ErrorCode.BACKBONE_UNAVAILABLE,
        ),
        (
            SPENDING,
            trust_of(TrustStatus.UNKNOWN, reason=TrustReason.UNAVAILABLE),
            ErrorCode.BACKBONE_UNAVAILABLE,
        ),
    ],
)
async def test_both_wallets_must_be_trusted_and_the_score_is_the_owners(
    bench: PaymentBench, wallet: PublicKey, trust: object, code: ErrorCode
) -> None:
    bench.trust.of[wallet] = trust  # type: ignore[assignment]
    assert await refusal(spend(bench, spender_of(bench))) is code


async def test_nothing_is_spent_on_trust_from_memory(bench: PaymentBench) -> None:
    bench.trust.error, bench.trust.memory = unavailable(), trust_of()
    assert await refusal(spend(bench, spender_of(bench))) is ErrorCode.BACKBONE_UNAVAILABLE


async def test_an_owner_that_is_blocked_while_it_is_checked_spends_nothing(
    bench: PaymentBench,
) -> None:
    bench.trust.gate = asyncio.Event()
    paying = asyncio.create_task(spend(bench, spender_of(bench)))
    await bench.work()
    bench.service.block(OWNER)
    bench.trust.gate.set()
    assert await refusal(paying) is ErrorCode.WALLET_BLOCKED


async def test_a_block_of_the_owner_rejects_what_is_not_broadcast(bench: PaymentBench) -> None:
    reply = await spend(bench, spender_of(bench))
    bench.service.block(OWNER)
    await bench.work()
    status = await bench.service.get(OWNER, reply.payment_id)
    assert status.state is PaymentState.REJECTED


async def test_from_a_wallet_that_was_not_signed_for_nothing_is_prepared_or_paid(
    bench: PaymentBench,
) -> None:
    intent = intent_of(source=SPENDING)
    request = PrepareRequest(PrepareKind.INTENT, None, intent, 0)
    assert await refusal(bench.service.prepare(OWNER, request)) is ErrorCode.BAD_MESSAGE
    prepared = await bench.service.prepare(OWNER, request, spends_from=[SPENDING])
    pay = signed(prepared, keys=OTHER_KEYS)
    assert await refusal(bench.service.pay(OWNER, pay)) is ErrorCode.TX_REJECTED


async def test_the_same_request_again_is_the_same_payment_and_for_another_owner_none(
    bench: PaymentBench,
) -> None:
    spender = spender_of(bench)
    intent = intent_of(2_000, source=SPENDING)
    request = PrepareRequest(PrepareKind.INTENT, None, intent, 0)
    prepared = await bench.service.prepare(OWNER, request, spends_from=[SPENDING])
    pay = signed(prepared, keys=OTHER_KEYS)
    first = await bench.service.pay(SPENDING, pay, spender=spender)
    assert await bench.service.pay(SPENDING, pay, spender=spender) == first
    assert (await bench.service.spent(SPENDING, spender)).spent_qu == 2_000
    for other in (None, spender_of(bench, owner=PAYEE)):
        code = await refusal(bench.service.pay(SPENDING, pay, spender=other))
        assert code is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_a_wallet_that_pays_for_itself_counts_against_nothing(bench: PaymentBench) -> None:
    await bench.service.pay(PAYER, signed(await bench.prepare(), keys=PAYER_KEYS))
    assert (await bench.service.spent(SPENDING, spender_of(bench))).spent_qu == 0


def test_a_journal_from_before_spending_wallets_is_read() -> None:
    kept = {
        "type": "accepted", "payment_id": b"p" * 16, "payer": PAYER, "payee": PAYEE,
        "amount_qu": 5, "idem": b"i" * 16, "quote_id": b"q" * 16, "signed_tx": b"", "txid": b"",
        "tick": 7, "at_ms": 1, "settle_by_ms": 2,
    }  # fmt: skip
    event = decode_event(msgspec.msgpack.encode(kept))
    assert isinstance(event, Accepted)
    assert (event.owner, event.terms_id) == (None, b"")
