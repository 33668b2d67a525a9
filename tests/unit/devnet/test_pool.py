"""The pool keeps transactions for their ticks within its bounds."""

from realtime_devnet.ledger import Entity
from realtime_devnet.pool import Pool, priority_of
from realtime_protocol.identity import PublicKey
from realtime_protocol.transaction import Transaction

SOURCE = PublicKey(bytes([1]) * 32)


def added(pool: Pool, name: int, *, tick: int = 10, priority: int = 5) -> bool:
    return pool.add(bytes([name]) * 32, b"", Transaction(SOURCE, SOURCE, 0, tick), priority)


def names(pool: Pool, tick: int = 10) -> list[int]:
    return [pending.digest[0] for pending in pool.at(tick)]


def test_transactions_wait_in_order_of_arrival() -> None:
    pool = Pool()
    assert added(pool, 3, priority=1)
    assert added(pool, 1, priority=9)
    assert added(pool, 2, tick=11)
    assert names(pool) == [3, 1]
    assert names(pool, 11) == [2]
    assert names(pool, 12) == []
    assert len(pool) == 3


def test_a_full_tick_gives_up_its_lowest_priority_for_a_higher_only() -> None:
    pool = Pool(tick_transactions_max=2)
    added(pool, 1, priority=5)
    added(pool, 2, priority=6)
    assert not added(pool, 3, priority=5)
    assert added(pool, 4, priority=7)
    assert names(pool) == [2, 4]
    assert len(pool) == 2
    assert pool.take_displaced() == (bytes([1]) * 32,)
    assert pool.take_displaced() == ()


def test_a_full_pool_takes_nothing_more_for_other_ticks() -> None:
    pool = Pool(transactions_max=2)
    added(pool, 1)
    added(pool, 2)
    assert not added(pool, 3, tick=11, priority=100)
    pool.drop(10)
    assert len(pool) == 0
    assert added(pool, 3, tick=11)


def test_arrivals_are_told_once_and_displaced_ones_not_at_all() -> None:
    pool = Pool(tick_transactions_max=1)
    added(pool, 1, priority=1)
    added(pool, 2, priority=2)
    assert [pending.digest[0] for pending in pool.take_arrived()] == [2]
    assert pool.take_arrived() == ()


def test_a_restored_pool_goes_on_with_the_same_order() -> None:
    pool = Pool()
    for name in (5, 4, 9):
        added(pool, name)
    restored = Pool(reversed(pool.at(10)))
    assert names(restored) == [5, 4, 9]
    added(restored, 1)
    assert restored.at(10)[-1].arrival == 3


def test_priority_is_balance_times_rest_and_zero_without_balance() -> None:
    rested = Entity(SOURCE, 0, incoming_qu=100, latest_incoming_tick=3)
    assert priority_of(rested, 10) == 100 * 8 - 1
    active = Entity(SOURCE, 0, incoming_qu=100, latest_incoming_tick=3, latest_outgoing_tick=9)
    assert priority_of(active, 10) == 100 * 2 - 1
    assert priority_of(Entity(SOURCE, 0), 10) <= 0
    assert priority_of(Entity(SOURCE, 0, incoming_qu=2**62), 10) == 2**63 - 1
