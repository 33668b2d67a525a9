"""Several sources as one: what enough of them say counts, and nothing else."""

import asyncio

import pytest

from realtime_hub.auth.agreement import AgreeingSources
from realtime_hub.auth.ports import SourceUnavailable
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustStatus
from trust_fakes import ALICE, BOB, FakeSource, record

BLOCKED = record(status=TrustStatus.BLOCKED, score=0, sequence=2)


def three(*, need: int = 2) -> tuple[list[FakeSource], AgreeingSources]:
    """Three sources that list ALICE as active."""
    sources = [FakeSource() for _ in range(3)]
    for source in sources:
        source.write(record())
    return sources, AgreeingSources(sources, need=need)


async def test_two_alike_answers_make_a_wallet_active() -> None:
    [_, _, silent], agreeing = three()
    silent.silent = True
    assert await agreeing.statuses([ALICE, BOB]) == {ALICE: record(), BOB: None}


async def test_one_source_alone_makes_nobody_active() -> None:
    [_, second, third], agreeing = three()
    second.silent = third.silent = True
    with pytest.raises(SourceUnavailable, match="fewer than 2 of 3 sources agree on wallets"):
        await agreeing.statuses([ALICE])


async def test_a_liar_alone_blocks_nobody_for_ever() -> None:
    [liar, _, _], agreeing = three()
    liar.write(record(status=TrustStatus.BLOCKED, score=0, sequence=2**60))
    assert await agreeing.statuses([ALICE]) == {ALICE: record()}


async def test_a_wallet_that_two_sources_dispute_is_left_out_and_others_are_answered() -> None:
    first, second = FakeSource(), FakeSource()
    for source in (first, second):
        source.write(record(BOB))
    first.write(record())
    agreeing = AgreeingSources([first, second], need=2)
    assert await agreeing.statuses([ALICE, BOB]) == {BOB: record(BOB)}


async def test_the_slowest_source_is_not_waited_for() -> None:
    [_, _, slow], agreeing = three()
    slow.hangs = True
    async with asyncio.timeout(1):
        assert await agreeing.statuses([ALICE]) == {ALICE: record()}


async def test_changes_count_as_far_as_two_sources_list_them() -> None:
    [ahead, also_ahead, behind], agreeing = three()
    ahead.write(BLOCKED)
    also_ahead.write(BLOCKED)
    found = await agreeing.changes(0)
    assert (found.last_sequence, found.changes) == (2, (record(), BLOCKED))
    behind.silent = also_ahead.silent = True
    with pytest.raises(SourceUnavailable):
        await agreeing.changes(0)


async def test_a_source_that_is_a_tick_ahead_is_no_quarrel() -> None:
    first, second = FakeSource(), FakeSource()
    first.write(record())
    found = await AgreeingSources([first, second], need=2).changes(0)
    assert (found.last_sequence, found.changes) == (0, ())


async def test_sources_that_list_different_changes_for_one_sequence_are_not_believed() -> None:
    first, second = FakeSource(), FakeSource()
    first.write(record())
    second.write(record(score=99))
    with pytest.raises(SourceUnavailable, match="agree on changes"):
        await AgreeingSources([first, second], need=2).changes(0)


async def test_an_overrun_counts_when_two_sources_tell_of_it() -> None:
    [first, second, _], agreeing = three()
    first.oldest = 7
    assert not (await agreeing.changes(0)).overrun
    second.oldest = 7
    assert (await agreeing.changes(0)).overrun


async def test_the_contracts_admin_is_whom_two_sources_name() -> None:
    [liar, ahead, _], agreeing = three()
    liar.admin = PublicKey(b"\xee" * 32)
    ahead.write(BLOCKED)
    info = await agreeing.info()
    assert info.admin == FakeSource().admin
    assert info.last_sequence == 1
