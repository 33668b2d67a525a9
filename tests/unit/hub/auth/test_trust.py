"""The trust book: nearest tier first, never back in time, nothing stale without saying so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest

from realtime_hub.auth.model import LogEntry, TrustRecord
from realtime_hub.auth.ports import CachedRecord, LogUnavailable
from realtime_hub.auth.trust import TrustLimits
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, Trust, TrustReason, TrustStatus, TrustTier
from trust_fakes import ADMIN, ALICE, BOB, TrustBench, block, record
from waiting import eventually


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until *condition* holds; a thousand turns at most."""
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


@pytest.fixture
async def bench() -> AsyncIterator[TrustBench]:
    made = TrustBench()
    task = asyncio.create_task(made.book.run())
    await until(lambda: made.book.backbone_ok)
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def moved(bench: TrustBench) -> None:
    """Let the book look at the contract again."""
    count = len(bench.heard)
    bench.book.on_tick(None)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(bench.heard) >= count


async def test_the_chain_answers_first_and_memory_after(bench: TrustBench) -> None:
    bench.source.write(record())
    [first] = await bench.book.get([ALICE])
    [second] = await bench.book.get([ALICE])
    assert (first.status, first.score, first.tier) == (TrustStatus.ACTIVE, 80, TrustTier.L3)
    assert second.tier is TrustTier.L1
    assert bench.source.reads == [(ALICE,)]


async def test_an_answer_tells_its_age_and_until_when_it_holds(bench: TrustBench) -> None:
    bench.source.write(record())
    await bench.book.get([ALICE])
    bench.clock.advance_ms(1_200)
    [answer] = await bench.book.get([ALICE])
    assert answer.age_ms == 1_200
    assert answer.use_until_ms == bench.clock.now_ms() + 3_800


async def test_a_wallet_that_no_source_lists_is_unknown_not_listed(bench: TrustBench) -> None:
    [answer] = await bench.book.get([BOB])
    assert (answer.status, answer.reason) == (TrustStatus.UNKNOWN, TrustReason.NOT_LISTED)


async def test_not_listed_is_remembered_until_it_runs_out_or_the_log_tells(
    bench: TrustBench,
) -> None:
    carol = PublicKey(b"\xca" * 32)
    await bench.book.get([BOB, carol])
    bench.source.records[BOB] = record(BOB)
    bench.source.write(record(carol))
    await moved(bench)
    bob, carols = await bench.book.get([BOB, carol])
    assert (bob.status, carols.status) == (TrustStatus.UNKNOWN, TrustStatus.ACTIVE)
    bench.clock.advance_ms(5_000)
    [answer] = await bench.book.get([BOB])
    assert answer.status is TrustStatus.ACTIVE


async def test_without_an_answer_a_wallet_is_unknown_unavailable(bench: TrustBench) -> None:
    bench.source.silent = True
    [answer] = await bench.book.get([BOB])
    assert (answer.status, answer.reason) == (TrustStatus.UNKNOWN, TrustReason.UNAVAILABLE)


async def test_a_source_that_hangs_is_given_up_after_its_deadline() -> None:
    bench = TrustBench(TrustLimits(source_timeout_s=0.01))
    bench.source.hangs = True
    task = asyncio.create_task(bench.book.run())
    await until(lambda: bench.book.backbone_ok)
    [answer] = await bench.book.get([BOB])
    assert answer.reason == TrustReason.UNAVAILABLE
    task.cancel()


async def test_many_askers_of_one_wallet_cause_one_read(bench: TrustBench) -> None:
    bench.source.write(record())
    answers = await asyncio.gather(*(bench.book.get([ALICE]) for _ in range(100)))
    assert {answer.status for [answer] in answers} == {TrustStatus.ACTIVE}
    assert bench.source.reads == [(ALICE,)]


async def test_a_block_that_comes_while_another_wallet_is_read_is_in_the_answer(
    bench: TrustBench,
) -> None:
    await bench.cache.put([CachedRecord(record(), bench.clock.now_ms())])
    release = asyncio.Event()

    async def late(wallets: Sequence[PublicKey]) -> dict[PublicKey, TrustRecord | None]:
        await release.wait()
        return dict.fromkeys(wallets)

    bench.source.statuses = late  # type: ignore[method-assign]
    asking = asyncio.create_task(bench.book.get([ALICE, BOB]))
    await until(lambda: bench.book.standing(ALICE) is not None)
    await bench.book.lower(block())
    release.set()
    alice, bob = await asking
    assert (alice.status, bob.reason) == (TrustStatus.BLOCKED, TrustReason.NOT_LISTED)


async def test_wallets_are_read_sixteen_a_call(bench: TrustBench) -> None:
    wallets = [PublicKey(bytes([n]) * 32) for n in range(1, 41)]
    await bench.book.get(wallets)
    assert [len(read) for read in bench.source.reads] == [16, 16, 8]


async def test_the_shared_cache_answers_before_the_chain(bench: TrustBench) -> None:
    await bench.cache.put([CachedRecord(record(), bench.clock.now_ms())])
    [answer] = await bench.book.get([ALICE])
    assert (answer.tier, answer.status) == (TrustTier.L2, TrustStatus.ACTIVE)
    assert bench.source.reads == []


async def test_an_old_cached_record_does_not_count(bench: TrustBench) -> None:
    await bench.cache.put([CachedRecord(record(), bench.clock.now_ms() - 30_000)])
    bench.source.write(record(status=TrustStatus.BLOCKED, sequence=2))
    [answer] = await bench.book.get([ALICE])
    assert (answer.tier, answer.status) == (TrustTier.L3, TrustStatus.BLOCKED)


async def test_an_older_record_never_replaces_a_newer_one(bench: TrustBench) -> None:
    bench.source.write(record(status=TrustStatus.BLOCKED, sequence=5))
    await bench.book.get([ALICE])
    bench.clock.advance_ms(5_000)
    bench.source.records[ALICE] = record(sequence=4)
    [lower] = await bench.book.get([ALICE])
    bench.clock.advance_ms(5_000)
    del bench.source.records[ALICE]
    [gone] = await bench.book.get([ALICE])
    assert lower.status is gone.status is TrustStatus.BLOCKED


async def test_a_block_outlives_age_outage_and_an_emptied_cache(bench: TrustBench) -> None:
    bench.source.write(record(status=TrustStatus.BLOCKED))
    await bench.book.get([ALICE])
    bench.source.silent = True
    bench.cache._records.clear()
    bench.clock.advance_ms(86_400_000)
    [answer] = await bench.book.get([ALICE])
    assert answer.status is TrustStatus.BLOCKED


async def test_an_active_wallet_does_not_outlive_its_age(bench: TrustBench) -> None:
    bench.source.write(record())
    await bench.book.get([ALICE])
    bench.source.silent = True
    bench.cache._records.clear()
    bench.clock.advance_ms(5_000)
    [answer] = await bench.book.get([ALICE])
    assert (answer.status, answer.reason) == (TrustStatus.UNKNOWN, TrustReason.UNAVAILABLE)


async def test_a_chain_change_reaches_listeners_once_in_order(bench: TrustBench) -> None:
    bench.source.write(record())
    bench.source.write(record(status=TrustStatus.BLOCKED, sequence=2))
    await moved(bench)
    await moved(bench)
    told = [(c.log_seq, c.body.status, c.body.pending) for c in bench.heard]
    assert told == [(1, TrustStatus.ACTIVE, False), (2, TrustStatus.BLOCKED, False)]
    assert bench.book.position().offset == 2


async def test_what_changed_before_the_hub_began_is_read_not_pushed() -> None:
    bench = TrustBench()
    bench.source.write(record())
    task = asyncio.create_task(bench.book.run())
    await until(lambda: bench.book.backbone_ok)
    await moved(bench)
    assert bench.heard == []
    task.cancel()


async def test_a_pending_block_counts_at_once_and_says_pending(bench: TrustBench) -> None:
    bench.source.write(record())
    await moved(bench)
    assert await bench.book.lower(block()) == 2
    [answer] = await bench.book.get([ALICE])
    assert (answer.status, answer.seq) == (TrustStatus.BLOCKED, 2)
    assert bench.heard[-1].body.pending is True


async def test_a_pending_change_never_raises_trust(bench: TrustBench) -> None:
    bench.source.write(record(status=TrustStatus.BLOCKED))
    await moved(bench)
    overlay = block()
    for status in (TrustStatus.ACTIVE, TrustStatus.UNKNOWN):
        raised = type(overlay)(ALICE, overlay.digest, overlay.target_tick, status, 100, 0)
        await bench.book.lower(raised)
        [answer] = await bench.book.get([ALICE])
        assert answer.status is TrustStatus.BLOCKED


async def test_a_pending_change_ends_when_it_is_on_chain(bench: TrustBench) -> None:
    await bench.book.lower(block(target_tick=1_000_010))
    bench.source.write(record(status=TrustStatus.BLOCKED, tick=1_000_010))
    await moved(bench)
    assert bench.book.overlays() == []
    assert bench.heard[-1].body.pending is False


async def test_a_chain_change_from_before_leaves_a_pending_one_standing(bench: TrustBench) -> None:
    await bench.book.lower(block(target_tick=1_000_010))
    bench.source.write(record(tick=1_000_009))
    await moved(bench)
    assert len(bench.book.overlays()) == 1
    assert bench.heard[-1].body.status is TrustStatus.BLOCKED
    [answer] = await bench.book.get([ALICE])
    assert answer.status is TrustStatus.BLOCKED


async def test_a_pending_change_ends_when_the_source_is_read_and_has_it(bench: TrustBench) -> None:
    await bench.book.lower(block(target_tick=1_000_010))
    bench.source.records[ALICE] = record(status=TrustStatus.BLOCKED, tick=1_000_009)
    await bench.book.read_again([ALICE])
    assert len(bench.book.overlays()) == 1, "a record of before"
    bench.source.records[ALICE] = record(status=TrustStatus.BLOCKED, tick=1_000_010)
    await bench.book.read_again([ALICE])
    assert bench.book.overlays() == []
    assert (await bench.book.get([ALICE]))[0].status is TrustStatus.BLOCKED


async def test_a_source_that_does_not_answer_is_no_answer(bench: TrustBench) -> None:
    await bench.book.lower(block())
    bench.source.silent = True
    with pytest.raises(RequestError) as raised:
        await bench.book.read_again([ALICE])
    assert raised.value.code is ErrorCode.BACKBONE_UNAVAILABLE
    assert len(bench.book.overlays()) == 1


async def test_a_withdrawn_change_is_corrected(bench: TrustBench) -> None:
    bench.source.write(record())
    await moved(bench)
    await bench.book.lower(block())
    await bench.book.withdraw(block())
    assert bench.heard[-1].body.status is TrustStatus.ACTIVE
    assert bench.heard[-1].body.pending is False
    assert bench.book.overlays() == []


async def test_a_pending_block_outlives_eviction_from_memory() -> None:
    bench = TrustBench(TrustLimits(wallets_max=1))
    task = asyncio.create_task(bench.book.run())
    await until(lambda: bench.book.backbone_ok)
    bench.source.write(record())
    await bench.book.lower(block())
    await bench.book.get([BOB])
    [answer] = await bench.book.get([ALICE])
    assert answer.status is TrustStatus.BLOCKED
    task.cancel()


async def test_a_memory_smaller_than_a_request_answers_it_whole() -> None:
    bench = TrustBench(TrustLimits(wallets_max=2))
    task = asyncio.create_task(bench.book.run())
    await until(lambda: bench.book.backbone_ok)
    wallets = [PublicKey(bytes([n]) * 32) for n in range(1, 41)]
    for number, wallet in enumerate(wallets):
        bench.source.write(record(wallet, sequence=number + 1))
    answers = await bench.book.get(wallets)
    assert {answer.status for answer in answers} == {TrustStatus.ACTIVE}
    task.cancel()


async def test_an_answer_that_is_ready_is_the_answer(bench: TrustBench) -> None:
    bench.source.write(record())
    assert bench.book.peek_ready([ALICE]) is None
    await bench.book.get([ALICE, BOB])
    for age_ms in (0, 1_000):
        ready = bench.book.peek_ready([ALICE, BOB])
        told = msgspec.msgpack.decode(msgspec.msgpack.encode(ready), type=list[Trust])
        assert told == bench.book.peek([ALICE, BOB])
        assert [trust.age_ms for trust in told] == [age_ms, age_ms]
        bench.clock.advance_ms(1_000)


async def test_wallets_in_use_are_read_again_before_they_run_out(bench: TrustBench) -> None:
    bench.source.write(record())
    await bench.book.get([ALICE, BOB])
    await bench.book.get([ALICE])
    bench.clock.advance_ms(4_600)
    await eventually(lambda: len(bench.source.reads) == 2)
    assert bench.source.reads[1] == (ALICE,), "nobody asked for Bob again"
    bench.clock.advance_ms(1_000)
    [answer] = await bench.book.get([ALICE])
    assert (answer.tier, answer.age_ms) == (TrustTier.L1, 1_000)


async def test_a_record_that_another_hub_read_is_as_old_as_it_says(bench: TrustBench) -> None:
    await bench.cache.put([CachedRecord(record(), bench.clock.now_ms() - 3_000)])
    [answer] = await bench.book.get([ALICE])
    assert (answer.tier, answer.age_ms) == (TrustTier.L2, 3_000)
    assert answer.use_until_ms == bench.clock.now_ms() + 2_000


async def test_what_was_shared_before_the_log_began_anew_makes_nobody_active(
    bench: TrustBench,
) -> None:
    await bench.cache.put([CachedRecord(record(), bench.clock.now_ms())])
    blocked = record(BOB, status=TrustStatus.BLOCKED)
    await bench.cache.put([CachedRecord(blocked, bench.clock.now_ms())])
    bench.log.born_ms = bench.clock.now_ms() + 1
    bench.source.silent = True
    alice, bob = await bench.book.get([ALICE, BOB])
    assert (alice.reason, bob.status) == (TrustReason.UNAVAILABLE, TrustStatus.BLOCKED)


async def test_more_changes_than_the_contract_lists_make_everything_be_read_again(
    bench: TrustBench,
) -> None:
    bench.source.write(record())
    await moved(bench)
    bench.source.records[ALICE] = record(status=TrustStatus.BLOCKED, sequence=500)
    bench.source.listed.append(record(BOB, sequence=900))
    bench.source.oldest = 600
    doubts: list[int] = []
    bench.book.doubt_listeners.append(lambda: doubts.append(1))
    bench.book.on_tick(None)
    for _ in range(50):
        await asyncio.sleep(0)
    bench.cache._records.clear()
    [answer] = await bench.book.get([ALICE])
    assert answer.status is TrustStatus.BLOCKED
    assert doubts == [1], "whoever was told something is told to ask again, once"


@pytest.mark.parametrize(
    ("admin", "magic"), [(b"\x66" * 32, None), (ADMIN, 5)], ids=["another admin", "no magic"]
)
async def test_a_contract_that_is_not_ours_does_not_count(admin: bytes, magic: int | None) -> None:
    bench = TrustBench()
    bench.source.admin = admin
    if magic is not None:
        bench.source.magic = magic
    bench.source.write(record())
    task = asyncio.create_task(bench.book.run())
    for _ in range(20):
        await asyncio.sleep(0)
    [answer] = await bench.book.get([ALICE])
    assert answer.reason == TrustReason.UNAVAILABLE
    assert bench.book.contract_admin is None
    task.cancel()


async def test_a_hub_that_cannot_vouch_makes_no_wallet_active(bench: TrustBench) -> None:
    bench.source.write(record())
    bench.source.write(record(BOB, status=TrustStatus.BLOCKED, sequence=2))
    bench.chain_trouble = "no Qubic node has answered for 3.0 s"
    alice, bob = await bench.book.get([ALICE, BOB])
    assert alice.reason == TrustReason.UNAVAILABLE
    assert bob.status is TrustStatus.BLOCKED
    assert bench.book.backbone_ok is False


async def test_money_needs_a_backbone(bench: TrustBench) -> None:
    bench.source.write(record())
    assert (await bench.book.fresh(ALICE)).status is TrustStatus.ACTIVE
    bench.chain_trouble = "cut off"
    with pytest.raises(RequestError) as raised:
        await bench.book.fresh(ALICE)
    assert raised.value.code is ErrorCode.BACKBONE_UNAVAILABLE


async def test_what_was_known_is_remembered_for_minutes_and_a_block_for_ever(
    bench: TrustBench,
) -> None:
    bench.source.write(record())
    bench.source.write(record(BOB, status=TrustStatus.BLOCKED, sequence=2))
    assert bench.book.remembered(ALICE) is None
    await bench.book.get([ALICE, BOB])
    bench.clock.advance_ms(299_999)
    alice, bob = bench.book.remembered(ALICE), bench.book.remembered(BOB)
    assert alice is not None
    assert bob is not None
    assert (alice.status, alice.age_ms) == (TrustStatus.ACTIVE, 299_999)
    bench.clock.advance_ms(1)
    assert bench.book.remembered(ALICE) is None
    assert bob.status is TrustStatus.BLOCKED
    assert bench.book.remembered(BOB) is not None


async def test_a_hub_whose_changes_reach_nobody_does_not_vouch(bench: TrustBench) -> None:
    async def full(_draft: LogEntry) -> int | None:
        raise LogUnavailable("OOM")

    append = bench.log.append
    bench.log.append = full  # type: ignore[assignment]
    bench.source.write(record())
    await moved(bench)
    assert bench.book.trouble == "changes wait for the trust log: OOM"
    bench.log.append = append  # type: ignore[method-assign]
    await moved(bench)
    assert bench.book.backbone_ok
    assert [change.body.wallet for change in bench.heard] == [ALICE]


async def test_money_takes_the_shared_record_over_memory(bench: TrustBench) -> None:
    bench.source.write(record())
    await bench.book.get([ALICE])
    blocked = record(status=TrustStatus.BLOCKED, sequence=2)
    await bench.cache.put([CachedRecord(blocked, bench.clock.now_ms())])
    assert (await bench.book.fresh(ALICE)).status is TrustStatus.BLOCKED


async def test_a_position_gives_what_came_after_it(bench: TrustBench) -> None:
    start = bench.book.position()
    await bench.book.lower(block())
    await bench.book.withdraw(block())
    missed = await bench.book.changes_since(start)
    assert missed is not None
    assert [change.log_seq for change in missed] == [1, 2]
    assert await bench.book.changes_since(bench.book.position()) == []


async def test_a_position_of_another_epoch_or_ahead_cannot_be_recovered(bench: TrustBench) -> None:
    here = bench.book.position()
    assert await bench.book.changes_since(Position(bytes(8), 0)) is None
    assert await bench.book.changes_since(Position(here.epoch, here.offset + 1)) is None


class TurnOfOthers:
    """Another hub has the turn to feed the log."""

    def __init__(self) -> None:
        self.mine = False

    async def __call__(self) -> bool:
        return self.mine


async def test_changes_are_appended_by_the_hub_whose_turn_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = TrustBench()
    turn = TurnOfOthers()
    monkeypatch.setattr(bench.log, "take_turn", turn)
    await bench.book._feed.feed()
    bench.source.write(record())
    await bench.book._feed.feed()
    assert bench.log.position().offset == 0
    turn.mine = True
    await bench.book._feed.feed()
    assert bench.log.position().offset == 1


async def test_a_change_that_the_hub_at_its_turn_leaves_out_is_appended_out_of_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = TrustBench()
    monkeypatch.setattr(bench.log, "take_turn", TurnOfOthers())
    await bench.book._feed.feed()
    bench.source.write(record())
    await bench.book._feed.feed()
    bench.clock.advance_ms(1_001)
    await bench.book._feed.feed()
    assert bench.log.position().offset == 1
