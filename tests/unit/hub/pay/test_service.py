"""What a pay request is answered, in which order the checks run, and what is never done twice."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from payment_fakes import (
    BALANCE_QU,
    OTHER,
    OTHER_KEYS,
    PAYEE,
    PAYER,
    PAYER_KEYS,
    GateJournal,
    PaymentBench,
    intent_of,
    signed,
    trust_of,
    unavailable,
    until,
)
from realtime_hub.pay.model import PaymentChange, PaymentLimits
from realtime_hub.pay.service import PaymentSettings
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.messages import (
    DeadlineOf,
    Intent,
    PaymentState,
    PayRequest,
    PrepareKind,
    PrepareRequest,
    ResignReason,
    TrustReason,
    TrustStatus,
)
from realtime_protocol.transaction import build_unsigned, parse_unsigned, sign_transaction


@pytest.fixture
async def bench() -> PaymentBench:
    return await PaymentBench().start()


async def refusal_of(bench: PaymentBench, request: PayRequest, payer: PublicKey = PAYER) -> int:
    with pytest.raises(RequestError) as caught:
        await bench.service.pay(payer, request)
    return caught.value.code


async def states_of(bench: PaymentBench) -> list[PaymentState]:
    return [status.state for status in bench.service.snapshot_of_payer(PAYER)]


def order(
    bench: PaymentBench,
    request: PayRequest,
    *,
    destination: bytes = PAYEE,
    amount_qu: int = 1_000,
    ticks_ahead: int = 5,
    input_type: int = 0,
    payload: bytes = b"",
) -> PayRequest:
    """Return *request* with another signed transaction in it."""
    unsigned = build_unsigned(
        PAYER,
        PublicKey(destination),
        amount_qu,
        bench.chain.current_tick + ticks_ahead,
        input_type=input_type,
        payload=payload,
    )
    signed_tx = sign_transaction(unsigned, PAYER_KEYS.subseed, PAYER_KEYS.public_key)
    return msgspec.structs.replace(request, signed_tx=signed_tx)


async def test_a_payment_goes_from_prepared_to_settled(bench: PaymentBench) -> None:
    changes: list[PaymentChange] = []
    bench.service.listeners.append(changes.append)
    prepared = await bench.prepare()
    transaction = parse_unsigned(prepared.unsigned_tx)
    assert (transaction.source, transaction.destination) == (PAYER, PAYEE)
    assert (transaction.amount_qu, transaction.input_type, transaction.payload) == (1_000, 0, b"")
    assert prepared.tick == bench.chain.current_tick + 5
    assert prepared.attempt == 1

    reply = await bench.service.pay(PAYER, signed(prepared))
    assert reply.state is PaymentState.ACCEPTED
    await bench.step(6)

    assert [change.status.state for change in changes] == [
        PaymentState.ACCEPTED,
        PaymentState.BROADCAST,
        PaymentState.INCLUDED,
        PaymentState.SETTLED,
    ]
    assert [change.status.state_seq for change in changes] == [1, 2, 3, 4]
    assert [change.offset for change in changes] == [1, 2, 3, 4]
    assert bench.chain.balances[PAYEE] == 1_000
    assert len(bench.chain.executed) == 1


async def test_the_same_request_gets_the_same_answer_for_ever_and_runs_once(
    bench: PaymentBench,
) -> None:
    request = await bench.request()
    first = await bench.service.pay(PAYER, request)
    assert await bench.service.pay(PAYER, request) == first
    await bench.step(8)
    bench.trust.trust = trust_of(TrustStatus.BLOCKED)
    bench.chain.trouble = "no node"
    assert await bench.service.pay(PAYER, request) == first
    assert len(bench.chain.executed) == 1


async def test_a_hundred_equal_requests_at_once_make_one_payment(bench: PaymentBench) -> None:
    request = await bench.request()
    replies = await asyncio.gather(*(bench.service.pay(PAYER, request) for _ in range(100)))
    assert len(set(replies)) == 1
    assert len(await states_of(bench)) == 1
    await bench.step(6)
    assert len(bench.chain.executed) == 1


async def test_one_key_is_for_one_payment_of_one_payer(bench: PaymentBench) -> None:
    request = await bench.request()
    await bench.service.pay(PAYER, request)
    other_amount = await bench.request(intent_of(1_001))
    assert await refusal_of(bench, other_amount) == ErrorCode.IDEMPOTENCY_CONFLICT
    other_payee = await bench.request(intent_of(destination=OTHER))
    assert await refusal_of(bench, other_payee) == ErrorCode.IDEMPOTENCY_CONFLICT
    someone_elses = await bench.request(intent_of(source=OTHER), keys=OTHER_KEYS)
    reply = await bench.service.pay(OTHER, someone_elses)
    assert reply.payment_id != (await bench.service.pay(PAYER, request)).payment_id


async def test_other_bytes_for_the_same_attempt_are_never_broadcast(bench: PaymentBench) -> None:
    first = await bench.request()
    reply = await bench.service.pay(PAYER, first)
    second = await bench.request()
    assert second.signed_tx != first.signed_tx
    assert await bench.service.pay(PAYER, second) == reply
    await bench.step(10)
    assert set(bench.chain.broadcasts) == {first.signed_tx}


async def test_two_payments_never_rest_on_one_transaction(bench: PaymentBench) -> None:
    request = await bench.request()
    twin = msgspec.structs.replace(request, idem=b"j" * 16)
    outcomes = await asyncio.gather(
        bench.service.pay(PAYER, request), bench.service.pay(PAYER, twin), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, RequestError)]
    assert [one.code for one in refused] == [ErrorCode.IDEMPOTENCY_CONFLICT]


async def test_nothing_is_answered_told_or_broadcast_before_the_journal_has_it(
    bench: PaymentBench,
) -> None:
    bench.journal.automatic = False
    bench.chain.on_broadcast = lambda _: pytest.fail("broadcast before it is durable")
    changes: list[PaymentChange] = []
    bench.service.listeners.append(changes.append)
    paying = asyncio.create_task(bench.service.pay(PAYER, await bench.request()))
    for _ in range(5):
        await bench.work()
    assert not paying.done()
    assert not changes
    assert bench.service.snapshot_of_payer(PAYER) == []

    bench.chain.on_broadcast = lambda _: None
    bench.journal.commit()
    assert (await paying).state is PaymentState.ACCEPTED
    await bench.work()
    assert len(bench.chain.broadcasts) == 1


async def test_a_caller_who_leaves_does_not_stop_the_payment(bench: PaymentBench) -> None:
    bench.journal.automatic = False
    paying = asyncio.create_task(bench.service.pay(PAYER, await bench.request()))
    await until(lambda: bench.journal.waiting > 0)
    paying.cancel()
    await asyncio.wait([paying])
    bench.journal.automatic = True
    bench.journal.commit()
    await bench.step(6)
    assert await states_of(bench) == [PaymentState.SETTLED]


async def test_a_disk_that_hangs_makes_the_outcome_unknown_and_names_the_payment() -> None:
    bench = await PaymentBench(
        settings=PaymentSettings(tick_offset=5, journal_timeout_s=0.01)
    ).start()
    bench.journal.automatic = False
    request = await bench.request()
    with pytest.raises(RequestError) as caught:
        await bench.service.pay(PAYER, request)
    assert caught.value.code is ErrorCode.OUTCOME_UNKNOWN
    bench.journal.commit()
    reply = await bench.service.pay(PAYER, request)
    assert caught.value.fields["payment_id"] == reply.payment_id.hex()


async def test_a_full_journal_queue_is_overload_and_leaves_nothing_behind() -> None:
    bench = await PaymentBench(journal=GateJournal(queue_max=0)).start()
    request = await bench.request()
    assert await refusal_of(bench, request) == ErrorCode.OVERLOADED
    bench.journal.queue_max = 10
    assert (await bench.service.pay(PAYER, request)).state is PaymentState.ACCEPTED


async def test_a_failing_journal_takes_no_payment(bench: PaymentBench) -> None:
    request = await bench.request()
    bench.journal.failing = "disk full"
    assert await refusal_of(bench, request) == ErrorCode.BACKBONE_UNAVAILABLE


@pytest.mark.parametrize(
    "altered",
    [
        lambda bench, request: order(bench, request, destination=OTHER),
        lambda bench, request: order(bench, request, amount_qu=1_001),
        lambda bench, request: order(bench, request, ticks_ahead=6),
        lambda bench, request: order(bench, request, input_type=1),
        lambda bench, request: order(bench, request, payload=b"x"),
        lambda _, request: msgspec.structs.replace(request, signed_tx=request.signed_tx[:-1]),
        lambda _, request: msgspec.structs.replace(request, signed_tx=request.signed_tx + b"\0"),
        lambda _, request: msgspec.structs.replace(request, signed_tx=bytes(144)),
    ],
    ids=["destination", "amount", "tick", "type", "payload", "cut", "longer", "zeros"],
)
async def test_a_transaction_that_was_not_prepared_is_rejected(
    bench: PaymentBench, altered: Callable[[PaymentBench, PayRequest], PayRequest]
) -> None:
    request = altered(bench, await bench.request())
    assert await refusal_of(bench, request) == ErrorCode.TX_REJECTED
    assert bench.trust.asked == 0


async def test_a_session_pays_with_its_own_wallet_only(bench: PaymentBench) -> None:
    request = await bench.request()
    assert await refusal_of(bench, request, payer=OTHER) == ErrorCode.TX_REJECTED


async def test_a_wrong_signature_is_refused_before_trust_is_read(bench: PaymentBench) -> None:
    bench.genuine = False
    assert await refusal_of(bench, await bench.request()) == ErrorCode.BAD_SIGNATURE
    assert bench.trust.asked == 0


async def test_an_unknown_quote_is_expired(bench: PaymentBench) -> None:
    request = msgspec.structs.replace(await bench.request(), quote_id=b"?" * 16)
    assert await refusal_of(bench, request) == ErrorCode.QUOTE_EXPIRED


async def test_a_quote_that_ended_unprepared_is_expired(bench: PaymentBench) -> None:
    quote = bench.quotes.quote(intent_of())
    bench.chain.step(31)
    request = PayRequest(b"i" * 16, quote.quote_id, (await bench.request()).signed_tx, 1)
    assert await refusal_of(bench, request) == ErrorCode.QUOTE_EXPIRED


async def test_a_quote_alone_is_not_enough_to_pay(bench: PaymentBench) -> None:
    quote = bench.quotes.quote(intent_of())
    request = PayRequest(b"i" * 16, quote.quote_id, (await bench.request()).signed_tx, 1)
    assert await refusal_of(bench, request) == ErrorCode.TX_REJECTED


@pytest.mark.parametrize(("ticks_later", "in_time"), [(2, True), (3, False), (20, False)])
async def test_a_signature_must_come_three_ticks_before_its_own(
    bench: PaymentBench, ticks_later: int, in_time: bool
) -> None:
    request = await bench.request()
    await bench.step(ticks_later)
    await bench.prepare(intent_of(source=OTHER), payer=OTHER)  # Clears away what is past.
    if in_time:
        assert (await bench.service.pay(PAYER, request)).state is PaymentState.ACCEPTED
    else:
        assert await refusal_of(bench, request) == ErrorCode.TARGET_TICK_PASSED


async def test_a_tick_that_passes_while_trust_is_read_is_too_late(bench: PaymentBench) -> None:
    bench.trust.gate = asyncio.Event()
    paying = asyncio.create_task(bench.service.pay(PAYER, await bench.request()))
    await until(lambda: bench.trust.asked > 0)
    bench.chain.step(3)
    bench.trust.gate.set()
    with pytest.raises(RequestError) as caught:
        await paying
    assert caught.value.code is ErrorCode.TARGET_TICK_PASSED


@pytest.mark.parametrize(
    ("status", "score", "reason", "code"),
    [
        (TrustStatus.BLOCKED, 100, 0, ErrorCode.WALLET_BLOCKED),
        (TrustStatus.UNKNOWN, 0, TrustReason.UNAVAILABLE, ErrorCode.BACKBONE_UNAVAILABLE),
        (TrustStatus.ACTIVE, 49, 0, ErrorCode.TRUST_TOO_LOW),
        (TrustStatus.UNKNOWN, 0, TrustReason.NOT_LISTED, ErrorCode.TRUST_TOO_LOW),
    ],
)
async def test_the_payers_trust_decides(
    status: TrustStatus, score: int, reason: int, code: ErrorCode
) -> None:
    floor = ((0, 0), (1_000, 50), (100_000, 90))
    bench = await PaymentBench(settings=PaymentSettings(tick_offset=5, score_floor=floor)).start()
    bench.trust.trust = trust_of(status, score=score, reason=reason)
    assert await refusal_of(bench, await bench.request()) == code
    assert not bench.journal.records


async def test_trust_that_cannot_be_read_freshly_stops_the_payment(bench: PaymentBench) -> None:
    bench.trust.error = unavailable()
    assert await refusal_of(bench, await bench.request()) == ErrorCode.BACKBONE_UNAVAILABLE


async def test_without_the_backbone_small_sums_go_on_what_is_remembered() -> None:
    settings = PaymentSettings(tick_offset=5, offline_amount_qu_max=100)
    bench = await PaymentBench(settings=settings).start()
    bench.trust.error = unavailable()
    small = await bench.request(intent_of(60), idem=b"a" * 16)
    assert await refusal_of(bench, small) == ErrorCode.BACKBONE_UNAVAILABLE
    bench.trust.memory = trust_of()
    assert (await bench.service.pay(PAYER, small)).state is PaymentState.ACCEPTED
    second = await bench.request(intent_of(41), idem=b"b" * 16)
    assert await refusal_of(bench, second) == ErrorCode.BACKBONE_UNAVAILABLE
    third = await bench.request(intent_of(40), idem=b"c" * 16)
    assert (await bench.service.pay(PAYER, third)).state is PaymentState.ACCEPTED


async def test_without_the_backbone_a_block_that_is_remembered_still_stands() -> None:
    settings = PaymentSettings(tick_offset=5, offline_amount_qu_max=100)
    bench = await PaymentBench(settings=settings).start()
    bench.trust.error = unavailable()
    bench.trust.memory = trust_of(TrustStatus.BLOCKED)
    assert await refusal_of(bench, await bench.request(intent_of(1))) == ErrorCode.WALLET_BLOCKED


async def test_a_block_between_the_trust_check_and_the_journal_stops_the_payment(
    bench: PaymentBench,
) -> None:
    bench.trust.gate = asyncio.Event()
    paying = asyncio.create_task(bench.service.pay(PAYER, await bench.request()))
    await until(lambda: bench.trust.asked > 0)
    bench.service.block(PAYER)
    bench.trust.gate.set()
    with pytest.raises(RequestError) as caught:
        await paying
    assert caught.value.code is ErrorCode.WALLET_BLOCKED
    assert not bench.journal.records


async def test_what_is_held_for_other_payments_cannot_be_spent_twice(bench: PaymentBench) -> None:
    first = await bench.request(intent_of(BALANCE_QU - 10), idem=b"a" * 16)
    await bench.service.pay(PAYER, first)
    second = await bench.request(intent_of(11), idem=b"b" * 16)
    assert await refusal_of(bench, second) == ErrorCode.INSUFFICIENT_BALANCE
    third = await bench.request(intent_of(10), idem=b"c" * 16)
    assert (await bench.service.pay(PAYER, third)).state is PaymentState.ACCEPTED
    await bench.step(8)
    assert await states_of(bench) == [PaymentState.SETTLED] * 2


async def test_two_payments_at_once_over_one_balance_leave_one(bench: PaymentBench) -> None:
    requests = [
        await bench.request(intent_of(BALANCE_QU - number), idem=bytes([number]) * 16)
        for number in range(2)
    ]
    outcomes = await asyncio.gather(
        *(bench.service.pay(PAYER, request) for request in requests), return_exceptions=True
    )
    assert sum(isinstance(one, RequestError) for one in outcomes) == 1


async def test_a_wallet_that_the_chain_never_saw_has_no_balance(bench: PaymentBench) -> None:
    del bench.chain.balances[PAYER]
    assert await refusal_of(bench, await bench.request()) == ErrorCode.INSUFFICIENT_BALANCE


async def test_without_a_node_no_payment_is_taken_and_the_reason_is_said(
    bench: PaymentBench,
) -> None:
    request = await bench.request()
    bench.chain.reachable = False
    assert await refusal_of(bench, request) == ErrorCode.BACKBONE_UNAVAILABLE
    bench.chain.trouble = "tick 7 has other TickData: this is another network"
    with pytest.raises(RequestError, match="another network"):
        await bench.service.pay(PAYER, request)
    with pytest.raises(RequestError, match="another network"):
        await bench.prepare()


async def test_one_payer_cannot_have_more_open_payments_than_allowed() -> None:
    limits = PaymentLimits(open_per_payer_max=2)
    bench = await PaymentBench(settings=PaymentSettings(tick_offset=5, limits=limits)).start()
    for number in range(2):
        await bench.service.pay(PAYER, await bench.request(idem=bytes([number]) * 16))
    third = await bench.request(idem=b"c" * 16)
    assert await refusal_of(bench, third) == ErrorCode.OVERLOADED
    await bench.step(8)
    again = await bench.request(idem=b"c" * 16)
    assert (await bench.service.pay(PAYER, again)).state is PaymentState.ACCEPTED


async def test_a_payers_transactions_aim_at_different_ticks(bench: PaymentBench) -> None:
    ticks = [(await bench.prepare()).tick for _ in range(3)]
    assert ticks == [bench.chain.current_tick + 5 + more for more in range(3)]


async def test_time_to_sign_moves_the_tick(bench: PaymentBench) -> None:
    prepared = await bench.prepare(sign_within_ms=59_001)
    assert prepared.tick == bench.chain.current_tick + 5 + 60


@pytest.mark.parametrize(
    "intent",
    [
        intent_of(source=OTHER),
        intent_of(destination=PAYER),
        intent_of(destination=PublicKey(bytes(32))),
        intent_of(destination=contract_public_key(1)),
    ],
    ids=["other's", "to oneself", "zero key", "contract"],
)
async def test_an_intent_that_pays_nobody_is_not_prepared(
    bench: PaymentBench, intent: Intent
) -> None:
    with pytest.raises(RequestError) as caught:
        await bench.service.prepare(PAYER, PrepareRequest(PrepareKind.INTENT, None, intent, 0))
    assert caught.value.code is ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize("kind", list(PrepareKind))
async def test_a_prepare_without_what_its_kind_needs_is_a_bad_message(
    bench: PaymentBench, kind: PrepareKind
) -> None:
    with pytest.raises(RequestError) as caught:
        await bench.service.prepare(PAYER, PrepareRequest(kind, None, None, 0))
    assert caught.value.code is ErrorCode.BAD_MESSAGE


async def test_a_route_without_an_executor_is_not_prepared(bench: PaymentBench) -> None:
    bench.quotes.executable = False
    with pytest.raises(RequestError) as caught:
        await bench.prepare()
    assert caught.value.code is ErrorCode.ROUTE_NOT_EXECUTABLE


async def test_a_quote_is_prepared_by_its_payer_while_it_holds(bench: PaymentBench) -> None:
    quote = bench.quotes.quote(intent_of())
    request = PrepareRequest(PrepareKind.QUOTE, quote.quote_id, None, 0)
    assert (await bench.service.prepare(PAYER, request)).quote_id == quote.quote_id
    with pytest.raises(RequestError, match="another wallet"):
        await bench.service.prepare(OTHER, request)
    bench.chain.step(31)
    with pytest.raises(RequestError) as caught:
        await bench.service.prepare(PAYER, request)
    assert caught.value.code is ErrorCode.QUOTE_EXPIRED


async def test_only_payer_and_payee_see_a_payment(bench: PaymentBench) -> None:
    reply = await bench.service.pay(PAYER, await bench.request())
    for wallet in (PAYER, PAYEE):
        assert (await bench.service.get(wallet, reply.payment_id)).payment_id == reply.payment_id
    for wallet, payment_id in ((OTHER, reply.payment_id), (PAYER, b"?" * 16)):
        with pytest.raises(RequestError) as caught:
            await bench.service.get(wallet, payment_id)
        assert caught.value.code is ErrorCode.BAD_MESSAGE
    assert [one.payment_id for one in bench.service.snapshot_of_payee(PAYEE)] == [reply.payment_id]


async def missed(bench: PaymentBench) -> tuple[bytes, PayRequest]:
    """Pay so that the transaction misses its tick."""
    request = await bench.request()
    reply = await bench.service.pay(PAYER, request)
    bench.chain.lost.add((await bench.service.get(PAYER, reply.payment_id)).txid)
    await bench.step(6)
    assert await states_of(bench) == [PaymentState.MISSED]
    return reply.payment_id, request


async def test_a_missed_payment_asks_to_be_signed_again_and_then_settles(
    bench: PaymentBench,
) -> None:
    changes: list[PaymentChange] = []
    bench.service.listeners.append(changes.append)
    payment_id, first = await missed(bench)
    resign = changes[-1].resign
    assert resign is not None
    assert resign.reason is ResignReason.TICK_EMPTY
    status = changes[-1].status
    assert status.detail == {"reason": 1, "deadline_ms": resign.deadline_ms}

    prepared = await bench.prepare_again(payment_id)
    assert prepared.attempt == 2
    reply = await bench.service.pay(PAYER, signed(prepared))
    assert (reply.payment_id, reply.attempt) == (payment_id, 2)
    assert await bench.service.pay(PAYER, first) == msgspec.structs.replace(reply, attempt=1)
    await bench.step(6)
    assert await states_of(bench) == [PaymentState.SETTLED]
    assert len(bench.chain.executed) == 1


async def test_a_further_attempt_is_taken_only_after_proof_that_the_last_is_dead(
    bench: PaymentBench,
) -> None:
    payment_id, _ = await missed(bench)
    second = signed(await bench.prepare_again(payment_id))
    await bench.service.pay(PAYER, second)
    third = msgspec.structs.replace(second, attempt=3)
    assert await refusal_of(bench, third) == ErrorCode.IDEMPOTENCY_CONFLICT
    with pytest.raises(RequestError) as caught:
        await bench.prepare_again(payment_id)
    assert caught.value.code is ErrorCode.IDEMPOTENCY_CONFLICT


async def test_an_unknown_payment_is_never_signed_again(bench: PaymentBench) -> None:
    reply = await bench.service.pay(PAYER, await bench.request())
    bench.chain.lost.add((await bench.service.get(PAYER, reply.payment_id)).txid)
    bench.chain.unproven.add(bench.chain.current_tick + 5)
    await bench.step(12)
    assert await states_of(bench) == [PaymentState.UNKNOWN]
    with pytest.raises(RequestError) as caught:
        await bench.prepare_again(reply.payment_id)
    assert caught.value.code is ErrorCode.IDEMPOTENCY_CONFLICT

    bench.chain.unproven.clear()
    await bench.step()
    assert await states_of(bench) == [PaymentState.MISSED]


async def test_a_missed_payment_expires_with_its_deadline() -> None:
    bench = await PaymentBench().start()
    intent = intent_of(timeout_ms=10_000, deadline_of=DeadlineOf.SETTLED)
    request = await bench.request(intent)
    reply = await bench.service.pay(PAYER, request)
    bench.chain.lost.add((await bench.service.get(PAYER, reply.payment_id)).txid)
    await bench.step(6)
    with pytest.raises(RequestError, match="after the payment's time"):
        await bench.prepare_again(reply.payment_id)
    await bench.step(5)
    assert await states_of(bench) == [PaymentState.EXPIRED]
    late = msgspec.structs.replace(request, attempt=2)
    assert await refusal_of(bench, late) == ErrorCode.IDEMPOTENCY_CONFLICT


async def test_nobody_prepares_for_another_wallets_payment(bench: PaymentBench) -> None:
    payment_id, _ = await missed(bench)
    with pytest.raises(RequestError) as caught:
        await bench.prepare_again(payment_id, payer=OTHER)
    assert caught.value.code is ErrorCode.BAD_MESSAGE


async def test_before_recovery_nothing_is_answered() -> None:
    bench = PaymentBench()
    with pytest.raises(RequestError) as caught:
        await bench.service.get(PAYER, b"p" * 16)
    assert caught.value.code is ErrorCode.BACKBONE_UNAVAILABLE
    with pytest.raises(RequestError):
        bench.service.position()
    with pytest.raises(RequestError):
        await bench.prepare()


async def test_a_restart_knows_the_same_payments_answers_and_positions(
    bench: PaymentBench,
) -> None:
    request = await bench.request()
    reply = await bench.service.pay(PAYER, request)
    await bench.step(2)
    before = bench.service.position(), bench.service.snapshot_of_payer(PAYER)

    journal = GateJournal(bench.journal.records)
    restarted = await replace(bench, journal=journal).start()
    assert (restarted.service.position(), restarted.service.snapshot_of_payer(PAYER)) == before
    assert await restarted.service.pay(PAYER, request) == reply
    await restarted.step(5)
    assert await states_of(restarted) == [PaymentState.SETTLED]
    assert len(bench.chain.executed) == 1


async def test_payments_of_another_network_are_not_met(bench: PaymentBench) -> None:
    reply = await bench.service.pay(PAYER, await bench.request())
    before = bench.service.position()
    restarted = replace(bench, journal=GateJournal(bench.journal.records))
    restarted.chain.network_id = b"n" * 32
    restarted.chain.broadcasts.clear()
    await restarted.start()
    with pytest.raises(RequestError):
        await restarted.service.get(PAYER, reply.payment_id)
    assert restarted.service.changes_since(before, PAYER) is None
    await restarted.step(2)
    assert not restarted.chain.broadcasts


async def test_changes_since_a_position_are_those_of_the_wallet(bench: PaymentBench) -> None:
    begin = bench.service.position()
    await bench.service.pay(PAYER, await bench.request())
    after_accepted = bench.service.position()
    await bench.service.pay(OTHER, await bench.request(intent_of(source=OTHER), keys=OTHER_KEYS))
    await bench.step(8)

    own = bench.service.changes_since(begin, PAYER)
    assert own is not None
    assert [change.status.state_seq for change in own] == [1, 2, 3, 4]
    assert bench.service.changes_since(after_accepted, PAYER) == own[1:]
    everything = bench.service.changes_since(begin, PAYEE)
    assert everything is not None
    assert len(everything) == 8
    ahead = msgspec.structs.replace(begin, offset=99)
    assert bench.service.changes_since(ahead, PAYER) is None


async def test_a_forgotten_payment_is_read_back_from_the_journal() -> None:
    limits = PaymentLimits(finished_remembered_max=0)
    bench = await PaymentBench(settings=PaymentSettings(tick_offset=5, limits=limits)).start()
    request = await bench.request()
    reply = await bench.service.pay(PAYER, request)
    await bench.step(6)
    assert bench.service.snapshot_of_payer(PAYER) == []
    status = await bench.service.get(PAYER, reply.payment_id)
    assert status.state is PaymentState.SETTLED
    assert await bench.service.pay(PAYER, request) == reply
    other = await bench.request(intent_of(5))
    assert await refusal_of(bench, other) == ErrorCode.IDEMPOTENCY_CONFLICT
