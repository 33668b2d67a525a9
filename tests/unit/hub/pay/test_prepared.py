"""Prepared transactions: which tick they aim at, and how many are remembered."""

from payment_fakes import OTHER, PAYER, intent_of
from realtime_hub.pay.prepared import (
    SIGN_LEAD_TICKS,
    SPREAD_CHOICES_MAX,
    TICKS_AHEAD_MAX,
    Prepared,
    PreparedOrders,
    choose_tick,
)
from realtime_protocol.identity import PublicKey


def prepared(number: int, *, payer: PublicKey = PAYER, tick: int = 100) -> Prepared:
    return Prepared(payer, b"q" * 16, 1, None, intent_of(), number.to_bytes(4, "big"), tick)


def test_the_tick_is_never_nearer_than_a_signature_needs() -> None:
    tick = choose_tick(current=10, offset=1, sign_within_ms=0, tick_ms=1_000, taken=())
    assert tick == 10 + SIGN_LEAD_TICKS


def test_the_tick_is_never_farther_than_nodes_keep_transactions() -> None:
    tick = choose_tick(current=10, offset=5, sign_within_ms=300_000, tick_ms=10, taken=())
    assert tick == 10 + TICKS_AHEAD_MAX


def test_a_payers_ticks_keep_their_distance_while_there_is_room() -> None:
    def choose(taken: set[int], tick_ms: int) -> int:
        return choose_tick(current=10, offset=5, sign_within_ms=0, tick_ms=tick_ms, taken=taken)

    assert choose({15}, 1_000) == 16
    assert choose({15}, 200) == 19
    assert choose({17}, 200) == 21
    assert choose({13, 16, 19}, 200) == 23
    taken = set(range(15, 15 + SPREAD_CHOICES_MAX - 1))
    last = choose(taken, 1_000)
    assert last == 15 + SPREAD_CHOICES_MAX - 1
    assert choose(taken | {last}, 1_000) == 15


def test_at_the_bound_the_oldest_goes_first() -> None:
    orders = PreparedOrders(orders_max=3, orders_per_payer_max=2)
    for number in range(3):
        orders.add(prepared(number, tick=100 + number))
    assert orders.ticks_of(PAYER) == {101, 102}
    orders.add(prepared(9, payer=OTHER))
    orders.add(prepared(10, payer=OTHER))
    assert len(orders) == 3
    assert orders.ticks_of(PAYER) == {102}


def test_what_aims_at_a_past_tick_is_dropped() -> None:
    orders = PreparedOrders()
    for number in range(4):
        orders.add(prepared(number, tick=100 + number))
    orders.drop_before(102)
    assert orders.ticks_of(PAYER) == {102, 103}
    assert len(orders.of(PAYER, b"q" * 16, 1)) == 2
    assert orders.of(PAYER, b"q" * 16, 2) == []
    assert orders.of(OTHER, b"q" * 16, 1) == []
