"""How one network is told from another."""

import pytest

from realtime_hub.chain.model import TickInfo
from realtime_hub.chain.network import (
    TICKS_REMEMBERED_MAX,
    KnownTick,
    NetworkGuard,
    NetworkRecord,
    Sameness,
)


def known(tick: int, *, epoch: int = 1) -> KnownTick:
    return KnownTick(tick, epoch, tick.to_bytes(32, "big"))


def info(tick: int, *, epoch: int = 1, initial_tick: int = 100) -> TickInfo:
    return TickInfo(tick, epoch, initial_tick, 0)


def frozen(guard: NetworkGuard) -> str | None:
    return guard.frozen


def record_of(*ticks: int) -> NetworkRecord:
    first, *rest = ticks
    record = NetworkRecord.begin("devnet", known(first))
    for tick in rest:
        record = record.remember(known(tick))
    return record


def test_a_network_is_named_by_its_first_tick_for_ever() -> None:
    record = record_of(*range(100, 150))
    assert record.network_id == known(100).digest
    assert record.anchor == known(100)
    assert len(record.recent) == TICKS_REMEMBERED_MAX
    assert record.newest == known(149)


def test_a_new_epoch_moves_the_anchor_and_keeps_the_name() -> None:
    record = record_of(100, 101).remember(known(200, epoch=2))
    assert record.anchor == known(200, epoch=2)
    assert record.network_id == known(100).digest


@pytest.mark.parametrize(
    ("told", "sameness"),
    [
        (info(121), Sameness.SAME),
        (info(120), Sameness.DOUBTFUL),
        (info(101), Sameness.DOUBTFUL),
        (info(5, epoch=2, initial_tick=1), Sameness.SAME),
        (info(500, epoch=0), Sameness.DOUBTFUL),
        (info(500, initial_tick=121), Sameness.OTHER),
    ],
    ids=["ahead", "at the newest", "below", "new epoch", "old epoch", "began later"],
)
def test_where_a_node_is_can_already_tell(told: TickInfo, sameness: Sameness) -> None:
    assert record_of(100, 120).judge_info(told) is sameness


def test_only_processed_ticks_of_the_epoch_are_compared_the_newest_first() -> None:
    record = record_of(100, 110, 120)
    assert [one.tick for one in record.comparable(info(120))] == [100, 110]
    assert [one.tick for one in record.comparable(info(121))] == [120, 100, 110]
    assert [one.tick for one in record.comparable(info(121, initial_tick=105))] == [120, 110]


def test_other_bytes_for_a_remembered_tick_freeze_for_good() -> None:
    guard = NetworkGuard()
    guard.adopt(record_of(100, 110))
    assert guard.compare(110, known(110).digest) is Sameness.SAME
    assert guard.compare(105, bytes(32)) is Sameness.DOUBTFUL
    assert frozen(guard) is None
    assert guard.compare(100, bytes(32)) is Sameness.OTHER
    guard.clear_doubt()
    assert "tick 100" in str(frozen(guard))


def test_a_doubt_ends_with_its_proof() -> None:
    guard = NetworkGuard()
    guard.doubt("lower tick")
    assert frozen(guard) == "lower tick"
    guard.clear_doubt()
    assert frozen(guard) is None
    assert not guard.foreign


def test_a_running_hub_never_changes_its_network() -> None:
    guard = NetworkGuard()
    guard.adopt(record_of(100))
    with pytest.raises(ValueError, match="never changes"):
        guard.adopt(record_of(101))


def test_ticks_are_remembered_in_rising_order_only() -> None:
    with pytest.raises(ValueError, match="newer"):
        record_of(100, 100)
    guard = NetworkGuard()
    guard.adopt(record_of(100, 110))
    assert guard.remember(known(110)) is None
    assert guard.remember(known(111)) == guard.record
    assert frozen(guard) is None
