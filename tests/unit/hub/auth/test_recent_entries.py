"""The newest entries of the log: all after a place, or the word that it is too long ago."""

import asyncio

from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.recent_entries import RecentEntries
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, TrustStatus
from trust_fakes import ALICE, TrustBench, block
from waiting import eventually


def entry(log_seq: int, wallet: PublicKey = ALICE) -> LogEntry:
    return LogEntry(
        log_seq, EntryKind.CHAIN, wallet, TrustStatus.ACTIVE, 1, 0, Initiator.CHAIN, 0, log_seq, 0,
        b"", b"", b"",
    )  # fmt: skip


def places(found: list[LogEntry] | None) -> list[int] | None:
    return None if found is None else [each.log_seq for each in found]


def test_what_came_after_a_place_comes_in_order() -> None:
    recent = RecentEntries(entries_max=3)
    assert recent.since(0) is None
    for log_seq in range(1, 6):
        recent.add(entry(log_seq))
    assert [places(recent.since(offset)) for offset in (1, 2, 4, 5)] == [
        None, [3, 4, 5], [5], []
    ]  # fmt: skip


def test_a_log_that_begins_anew_forgets_what_was() -> None:
    recent = RecentEntries()
    recent.add(entry(9))
    recent.begin([entry(1), entry(2)])
    assert places(recent.since(0)) == [1, 2]
    recent.begin([])
    assert recent.since(0) is None


async def test_the_book_replays_what_is_recent_without_reading_the_log() -> None:
    bench = TrustBench()
    running = asyncio.create_task(bench.book.run())
    await eventually(lambda: bench.book.backbone_ok)
    begin = bench.book.position()
    for number in (10, 11, 12):
        await bench.book.lower(block(target_tick=1_000_000 + number))
    bench.log._entries.clear()
    changes = await bench.book.changes_since(begin)
    assert changes is not None
    assert [change.log_seq for change in changes] == [1, 2, 3]
    running.cancel()
    await asyncio.wait([running])
