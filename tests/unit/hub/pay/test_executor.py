"""From durable to final: what is handed to nodes and when, and what processed ticks decide."""

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
)
from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.pay.model import PaymentChange
from realtime_protocol.messages import PaymentState, PaymentStatus, PayRequest
from realtime_protocol.transaction import build_unsigned, sign_transaction


@pytest.fixture
async def bench() -> PaymentBench:
    return await PaymentBench().start()


async def pay(
    bench: PaymentBench, *, amount_qu: int = 1_000, idem: bytes = b"i" * 16
) -> PayRequest:
    request = await bench.request(intent_of(amount_qu), idem=idem)
    await bench.service.pay(PAYER, request)
    return request


def status_of(bench: PaymentBench) -> PaymentStatus:
    [status] = bench.service.snapshot_of_payer(PAYER)
    return status


async def test_the_same_bytes_go_out_with_each_tick_until_theirs_is_past(
    bench: PaymentBench,
) -> None:
    request = await pay(bench)
    await bench.step(10)
    assert bench.chain.broadcasts == [request.signed_tx] * 6  # In ticks +0 to +5.


async def test_without_a_node_a_payment_stays_accepted_and_goes_out_later(
    bench: PaymentBench,
) -> None:
    await pay(bench)
    bench.chain.reachable = False
    await bench.step(2)
    assert status_of(bench).state is PaymentState.ACCEPTED
    bench.chain.reachable = True
    await bench.work()
    assert status_of(bench).state is PaymentState.BROADCAST


async def pay_without_node(bench: PaymentBench) -> PayRequest:
    """Have a payment accepted whose bytes find no node."""
    request = await bench.request()
    await bench.service.pay(PAYER, request)
    bench.chain.reachable = False
    await bench.work()
    return request


async def test_a_block_rejects_what_was_not_broadcast(bench: PaymentBench) -> None:
    await pay_without_node(bench)
    assert status_of(bench).state is PaymentState.ACCEPTED
    bench.service.block(PAYER)
    bench.chain.reachable = True
    await bench.step(6)
    assert status_of(bench).state is PaymentState.REJECTED
    assert not bench.chain.broadcasts


async def test_a_block_does_not_reject_what_may_be_on_its_way(bench: PaymentBench) -> None:
    request = await bench.request()
    await bench.service.pay(PAYER, request)
    bench.chain.on_broadcast = lambda _: bench.service.block(PAYER)
    await bench.step(6)
    assert status_of(bench).state is PaymentState.SETTLED


async def test_a_block_during_a_hand_over_that_fails_rejects_after_all(
    bench: PaymentBench,
) -> None:
    def block_and_fail(_: bytes) -> None:
        bench.service.block(PAYER)
        raise NodeUnavailable("the connection broke first")

    await bench.service.pay(PAYER, await bench.request())
    bench.chain.on_broadcast = block_and_fail
    await bench.work()
    assert status_of(bench).state is PaymentState.REJECTED


async def test_after_a_restart_nothing_is_rejected_that_may_have_been_broadcast(
    bench: PaymentBench,
) -> None:
    await pay_without_node(bench)
    restarted = PaymentBench(chain=bench.chain, journal=GateJournal(bench.journal.records))
    await restarted.start()
    restarted.service.block(PAYER)
    bench.chain.reachable = True
    await restarted.step(6)
    assert status_of(restarted).state is PaymentState.SETTLED


@pytest.mark.parametrize("broadcast_before", [False, True])
@pytest.mark.parametrize("ticks_away", [0, 3, 20])
async def test_a_restart_before_or_after_the_broadcast_pays_exactly_once(
    bench: PaymentBench, broadcast_before: bool, ticks_away: int
) -> None:
    request = await bench.request()
    await bench.service.pay(PAYER, request)
    if broadcast_before:
        await bench.chain.broadcast(request.signed_tx)  # And killed before it could note that.
    bench.chain.step(ticks_away)

    restarted = PaymentBench(chain=bench.chain, journal=GateJournal(bench.journal.records))
    await restarted.start()
    await restarted.step(7)
    paid = broadcast_before or ticks_away < 5
    assert status_of(restarted).state is (PaymentState.SETTLED if paid else PaymentState.MISSED)
    assert bench.chain.executed == ([request.signed_tx] if paid else [])


async def test_a_tick_without_the_transaction_is_missed_and_says_which_way(
    bench: PaymentBench,
) -> None:
    request = await pay(bench)
    unsigned = build_unsigned(OTHER, PAYEE, 1, bench.chain.current_tick + 5)
    await bench.chain.broadcast(sign_transaction(unsigned, OTHER_KEYS.subseed, OTHER))
    bench.chain.lost.add(status_of(bench).txid)
    changes: list[PaymentChange] = []
    bench.service.listeners.append(changes.append)
    await bench.step(7)
    assert status_of(bench).state is PaymentState.MISSED
    assert changes[-1].resign is not None
    assert changes[-1].resign.reason == 0
    assert request.signed_tx not in bench.chain.executed


async def test_a_tick_that_nobody_can_prove_is_unknown_until_a_node_shows_the_transaction(
    bench: PaymentBench,
) -> None:
    await pay(bench)
    bench.chain.unproven.add(status_of(bench).tick)
    bench.chain.shows_transactions = False
    await bench.step(7)
    assert status_of(bench).state is PaymentState.BROADCAST
    await bench.step(2)
    assert status_of(bench).state is PaymentState.UNKNOWN
    assert "prove" in str((status_of(bench).detail or {})["message"])

    bench.chain.shows_transactions = True
    await bench.step()
    assert status_of(bench).state is PaymentState.INCLUDED
    bench.chain.unproven.clear()
    await bench.step()
    assert status_of(bench).state is PaymentState.SETTLED


async def test_an_included_transfer_that_found_no_balance_is_not_moved(
    bench: PaymentBench,
) -> None:
    await pay(bench)
    await bench.work()
    bench.chain.balances[PAYER] = 999
    await bench.step(6)
    assert status_of(bench).state is PaymentState.NOT_MOVED
    assert bench.chain.executed == []


async def test_a_payer_who_sent_again_leaves_the_payment_included_with_the_reason(
    bench: PaymentBench,
) -> None:
    await pay(bench)
    await bench.step(5)
    bench.chain.step(3)
    bench.chain.latest_outgoing[PAYER] = bench.chain.current_tick - 1
    await bench.step(2)
    assert status_of(bench).state is PaymentState.INCLUDED
    assert "sent again" in str((status_of(bench).detail or {})["message"])
    # Its outcome is in the balance already, so nothing is held for it any more.
    request = await bench.request(intent_of(BALANCE_QU - 1_000), idem=b"n" * 16)
    assert (await bench.service.pay(PAYER, request)).state is PaymentState.ACCEPTED


async def test_two_transactions_of_the_payer_in_one_tick_leave_both_included(
    bench: PaymentBench,
) -> None:
    prepared = await bench.prepare()
    await bench.service.pay(PAYER, signed(prepared))
    unsigned = build_unsigned(PAYER, PAYEE, 77, prepared.tick)
    await bench.chain.broadcast(sign_transaction(unsigned, PAYER_KEYS.subseed, PAYER))
    await bench.step(7)
    assert status_of(bench).state is PaymentState.INCLUDED
    assert "2 transactions" in str((status_of(bench).detail or {})["message"])


async def test_another_network_decides_about_nothing(bench: PaymentBench) -> None:
    await pay(bench)
    await bench.step(1)
    broadcasts = len(bench.chain.broadcasts)
    bench.chain.frozen = bench.chain.trouble = "this is another network"
    await bench.step(8)
    assert status_of(bench).state is PaymentState.BROADCAST
    assert len(bench.chain.broadcasts) == broadcasts
