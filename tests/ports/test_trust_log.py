"""The trust log and the shared records: one suite, in memory and on every kind of Redis."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from chaos.log_bench import FLEET_KEY, NETWORK, open_log
from fakes import SeededEntropy
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.adapters.redis_seal import Seal
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import TrustKeys, TrustLogLimits
from realtime_hub.adapters.redis_trust_cache import RedisTrustCache
from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.ports import CachedRecord, LogUnavailable, TrustCache, TrustLog
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, TrustStatus
from redis_topologies import SentinelSet, Topology, flush, running_topology
from trust_fakes import ALICE, BOB, record
from waiting import eventually

KEYS = TrustKeys(NETWORK)
REDIS_KINDS = [
    "single",
    pytest.param("sentinel", marks=pytest.mark.slow),
    pytest.param("cluster", marks=pytest.mark.slow),
]

Topologies = Callable[[str], Topology]


@pytest.fixture(scope="module")
def topologies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topologies]:
    """Start each kind of Redis when it is first asked for."""
    running: dict[str, Topology] = {}
    with ExitStack() as stack:

        def get(kind: str) -> Topology:
            if kind not in running:
                folder = tmp_path_factory.mktemp(kind)
                running[kind] = stack.enter_context(running_topology(kind, folder))
            return running[kind]

        yield get


@pytest.fixture(params=REDIS_KINDS)
def topology(request: pytest.FixtureRequest, topologies: Topologies) -> Topology:
    found = topologies(request.param)
    flush(found)
    return found


@pytest.fixture
async def redis(topology: Topology) -> AsyncIterator[Redis]:
    async with client_of(topology) as client:
        yield client


@asynccontextmanager
async def client_of(topology: Topology) -> AsyncIterator[Redis]:
    client = connect(topology.url)
    yield client
    with suppress(Exception):
        await client.aclose()


@pytest.fixture(params=["memory", *REDIS_KINDS])
async def shared(
    request: pytest.FixtureRequest, topologies: Topologies
) -> AsyncIterator[tuple[TrustLog, TrustCache]]:
    if request.param == "memory":
        cache = MemoryTrustCache()
        yield MemoryTrustLog(SeededEntropy(), cache), cache
        return
    topology = topologies(request.param)
    flush(topology)
    async with client_of(topology) as client:
        yield open_log(client), RedisTrustCache(client, lambda: NETWORK, FLEET_KEY)


@pytest.fixture
def log(shared: tuple[TrustLog, TrustCache]) -> TrustLog:
    return shared[0]


@pytest.fixture
def cache(shared: tuple[TrustLog, TrustCache]) -> TrustCache:
    return shared[1]


def entry(
    number: int = 1, wallet: PublicKey = ALICE, kind: EntryKind = EntryKind.CHAIN
) -> LogEntry:
    """A draft."""
    return LogEntry(
        0, kind, wallet, TrustStatus.BLOCKED, 0, 7, Initiator.CHAIN, 1_764_000_000_000, number,
        1_000_000 + number, b"", b"", b"",
    )  # fmt: skip


class Follower:
    """Follows a log and notes what it was given: what it began with, what came after."""

    def __init__(self, log: TrustLog) -> None:
        self.log = log
        self.heard: list[LogEntry] = []
        self.begun: list[list[LogEntry]] = []

    @property
    def resets(self) -> int:
        """How often positions lost their meaning."""
        return len(self.begun) - 1

    @property
    def sequences(self) -> list[int]:
        return [heard.chain_sequence for heard in self.heard]

    async def until(self, count: int) -> None:
        """Wait until so many different entries were delivered."""
        await eventually(lambda: len(set(self.sequences)) >= count, within_s=15)

    def begin(self, entries: list[LogEntry]) -> None:
        self.begun.append(entries)
        if len(self.begun) > 1:
            self.heard.extend(entries)


@asynccontextmanager
async def following(log: TrustLog) -> AsyncIterator[Follower]:
    follower = Follower(log)
    task = asyncio.create_task(log.follow(follower.heard.append, follower.begin))
    await eventually(lambda: follower.begun and log.trouble is None)
    yield follower
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_entries_are_delivered_in_order_once(log: TrustLog) -> None:
    async with following(log) as follower:
        for number in range(1, 51):
            assert await log.append(entry(number)) == number
        await follower.until(50)
        assert follower.sequences == list(range(1, 51))
        assert [heard.log_seq for heard in follower.heard] == list(range(1, 51))
        assert log.position().offset == 50


async def test_a_chain_record_that_is_not_newer_is_left_out(log: TrustLog) -> None:
    async with following(log):
        assert await log.append(entry(5)) == 1
        assert await log.append(entry(5)) is None
        assert await log.append(entry(4)) is None
        assert await log.append(entry(4, BOB)) == 2
        assert await log.chain_sequence() == 5


async def test_a_record_that_is_shared_first_does_not_keep_its_change_out(
    shared: tuple[TrustLog, TrustCache],
) -> None:
    """A hub that reads the newest record shares it, maybe before the change is in the log."""
    log, cache = shared
    async with following(log) as follower:
        await cache.put([CachedRecord(entry(5).record, 5)])
        assert await log.append(entry(4)) == 1
        assert await log.append(entry(5)) == 2
        await follower.until(2)
        [kept] = await cache.get([ALICE])
        assert kept is not None
        assert kept.record.chain_sequence == 5


async def test_a_pending_entry_needs_no_newer_sequence(log: TrustLog) -> None:
    async with following(log):
        assert await log.append(entry(5)) == 1
        assert await log.append(entry(0, kind=EntryKind.PENDING)) == 2


async def test_what_an_order_says_stands_in_the_log_once(log: TrustLog) -> None:
    async with following(log) as follower:
        block = replace(entry(0, kind=EntryKind.PENDING), digest=b"d" * 32)
        assert await log.append(block) == 1
        assert await log.append(replace(block, event_ms=5)) == 1
        assert await log.append(replace(block, wallet=BOB)) == 2
        assert await log.append(replace(block, kind=EntryKind.WITHDRAWN)) == 3
        assert await log.append(replace(block, digest=b"e" * 32)) == 4
        assert [heard.log_seq for heard in follower.heard] == [1, 2, 3, 4]


async def test_what_came_after_a_position_can_be_read_again(log: TrustLog) -> None:
    async with following(log):
        for number in range(1, 11):
            await log.append(entry(number))
        found = await log.read_since(7)
        assert found is not None
        assert [e.chain_sequence for e in found] == [8, 9, 10]
        assert await log.read_since(10) == []


async def test_a_newer_record_is_never_replaced_by_an_older_one(cache: TrustCache) -> None:
    await cache.put([CachedRecord(record(sequence=2), 5)])
    await cache.put([CachedRecord(record(sequence=1), 6)])
    assert await cache.get([ALICE, BOB]) == [CachedRecord(record(sequence=2), 5), None]


async def test_nothing_kept_is_nothing_answered(cache: TrustCache) -> None:
    await cache.put([])
    assert await cache.get([ALICE]) == [None]


async def test_changes_that_cannot_be_had_make_the_log_begin_anew(log: TrustLog) -> None:
    async with following(log) as follower:
        await log.append(entry(1))
        before = log.position()
        await log.skip_to(500)
        await eventually(lambda: follower.resets == 1)
        assert log.position().epoch != before.epoch
        assert [e.chain_sequence for e in follower.begun[1]] == [1]
        assert await log.chain_sequence() == 500
        assert await log.append(entry(501, BOB)) == 2


# Redis only ------------------------------------------------------------------------------------


async def test_two_hubs_get_each_others_entries(topology: Topology, redis: Redis) -> None:
    async with client_of(topology) as other:
        one, two = open_log(redis), open_log(other)
        async with following(one) as first, following(two) as second:
            places = await asyncio.gather(
                *(one.append(entry(n)) for n in range(1, 41, 2)),
                *(two.append(entry(n, BOB)) for n in range(2, 41, 2)),
            )
            total = max(place or 0 for place in places)
            await eventually(lambda: len(first.heard) == len(second.heard) == total)
            assert [e.log_seq for e in first.heard] == list(range(1, total + 1))
            assert first.sequences == second.sequences
            assert first.sequences[-1] >= 39


async def test_of_two_hubs_one_has_the_turn_to_feed_the_log_until_it_falls_silent(
    topology: Topology, redis: Redis
) -> None:
    limits = TrustLogLimits(turn_ms=200)
    async with client_of(topology) as other:
        one, two = open_log(redis, limits), open_log(other, limits)
        assert await one.take_turn()
        assert not await two.take_turn()
        assert await one.take_turn()
        for _ in range(100):
            if await two.take_turn():
                break
            await asyncio.sleep(0.02)
        assert await two.take_turn()
        assert not await one.take_turn()


async def test_a_hub_that_begins_later_begins_with_the_newest_entries(
    topology: Topology, redis: Redis
) -> None:
    one = open_log(redis)
    async with following(one):
        for number in range(1, 10):
            await one.append(entry(number))
        await one.append(entry(0, BOB, EntryKind.PENDING))
    async with client_of(topology) as other:
        log = open_log(other, TrustLogLimits(replay_entries_max=4))
        async with following(log) as late:
            assert [e.log_seq for e in late.begun[0]] == [7, 8, 9, 10]
            assert late.begun[0][-1].kind is EntryKind.PENDING
            assert (late.heard, log.position().offset) == ([], 10)


@pytest.mark.slow
async def test_killed_connections_lose_no_entry(topology: Topology, redis: Redis) -> None:
    async with client_of(topology) as other, client_of(topology) as killer:
        writer = open_log(redis)
        async with following(writer), following(open_log(other)) as follower:
            for number in range(1, 301):
                await append_surely(writer, entry(number))
                if number % 30 == 0:
                    await killer.client_kill_filter(_type="pubsub")
                if number % 50 == 0:
                    await killer.client_kill_filter(_type="normal", skipme=True)
            await follower.until(300)
            assert follower.sequences == list(range(1, 301))
            assert follower.resets == 0


async def append_surely(log: TrustLog, draft: LogEntry) -> None:
    """Append until the log says so; a repeated chain record is left out by the log itself."""
    for _ in range(400):
        try:
            await log.append(draft)
            return
        except LogUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("the log never came back")


@pytest.mark.slow
async def test_a_killed_primary_loses_no_entry_that_is_written_again(
    topology: Topology, redis: Redis
) -> None:
    """A replica that takes over may lack the last entries: whoever wrote them writes them again."""
    async with client_of(topology) as other:
        writer = open_log(redis)
        async with following(writer), following(open_log(other)) as follower:
            for number in range(1, 101):
                await append_surely(writer, entry(number))
            failing_over = asyncio.create_task(asyncio.to_thread(topology.fail_over))
            for number in range(101, 151):
                await append_surely(writer, entry(number))
                await asyncio.sleep(0.01)
            await failing_over
            for number in range(101, 201):
                await append_surely(writer, entry(number))
            await follower.until(200)
            assert list(dict.fromkeys(follower.sequences)) == list(range(1, 201))


async def test_a_silent_redis_is_noticed_within_the_lease(topology: Topology, redis: Redis) -> None:
    limits = TrustLogLimits(lease_s=0.4, look_every_s=0.1, idle_s=0.1)
    log = open_log(redis, limits)
    primary = topology.primary
    async with following(log) as follower:
        primary.send(signal.SIGSTOP)
        try:
            await eventually(lambda: log.trouble, within_s=5)
            with pytest.raises(LogUnavailable):
                await log.append(entry())
        finally:
            primary.send(signal.SIGCONT)
        await append_surely(log, entry(2))
        await eventually(lambda: log.trouble is None and 2 in follower.sequences, within_s=15)


@pytest.mark.slow
async def test_a_minority_of_sentinels_is_not_believed(tmp_path: Path) -> None:
    with running_topology("sentinel", tmp_path) as topology:
        async with client_of(topology) as client:
            log = open_log(client)
            async with following(log):
                assert isinstance(topology, SentinelSet)
                for sentinel in topology.sentinels[:2]:
                    sentinel.stop()
                await eventually(lambda: log.trouble, within_s=5)


async def test_an_emptied_redis_starts_the_log_over(topology: Topology, redis: Redis) -> None:
    log = open_log(redis)
    async with following(log) as follower:
        await log.append(entry(1))
        before = log.position().epoch
        flush(topology)
        await log.append(entry(2))
        await follower.until(2)
        assert follower.resets == 1
        assert log.position().epoch != before
        assert log.position().offset == 1


async def test_a_log_that_went_back_ends_its_epoch(redis: Redis) -> None:
    """As after a fail-over to a server that had not got the last entries."""
    log, other = open_log(redis), open_log(redis)
    async with following(log) as follower:
        for number in range(1, 11):
            await log.append(entry(number))
        before = log.position().epoch
        for place in range(8, 11):
            await redis.xdel(KEYS.log, f"{place}-0")
        async with following(other):
            await eventually(lambda: follower.resets == 1)
            assert log.position().epoch != before
            assert log.position().offset == 7
            await eventually(lambda: other.position() == log.position())
            assert await other.append(entry(11)) == 8


async def test_a_replaced_entry_ends_the_epoch(redis: Redis) -> None:
    log = open_log(redis)
    async with following(log) as follower:
        await log.append(entry(1))
        await redis.delete(KEYS.log)
        await redis.xadd(KEYS.log, {"e": b"another history"}, id="1-0")
        await eventually(lambda: follower.resets == 1)
        assert follower.begun[1] == []


async def test_a_hole_in_the_log_ends_the_epoch(redis: Redis) -> None:
    writer, log = open_log(redis), open_log(redis)
    async with following(writer), following(log) as follower:
        await writer.append(entry(1))
        async with log._filling:  # It hears nothing meanwhile.
            for number in range(2, 5):
                await writer.append(entry(number))
            await redis.xdel(KEYS.log, "3-0")
        await eventually(lambda: follower.resets == 1)


async def eventually_trimmed(redis: Redis) -> None:
    """Wait until one entry is left: the head stays."""
    for _ in range(250):
        if await redis.xlen(KEYS.log) == 1:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not trimmed in 5 s")


async def test_entries_are_trimmed_once_they_are_old(redis: Redis) -> None:
    limits = TrustLogLimits(look_every_s=0.02, trim_every_ms=50, kept_ms=150)
    log, other = open_log(redis, limits), open_log(redis, limits)
    async with following(log), following(other) as follower:
        for number in range(1, 21):
            await log.append(entry(number))
        await eventually_trimmed(redis)
        assert await redis.llen(KEYS.notes) <= 5
        assert await log.read_since(3) is None
        assert await log.append(entry(21)) == 21
        await eventually(lambda: follower.sequences == list(range(1, 22)))
        assert follower.resets == 0


async def test_a_hub_that_was_away_past_the_trim_begins_anew(redis: Redis) -> None:
    log, other = open_log(redis), open_log(redis)
    async with following(log), following(other) as follower:
        await log.append(entry(1))
        async with other._filling:  # It hears nothing meanwhile.
            for number in range(2, 6):
                await log.append(entry(number))
            await redis.xtrim(KEYS.log, minid="4-0", approximate=False)
        await eventually(lambda: follower.resets == 1)
        assert [e.log_seq for e in follower.begun[1]] == [4, 5]
        assert other.position() == log.position()


async def test_a_forged_record_cannot_keep_a_change_out(redis: Redis) -> None:
    log = open_log(redis)
    await redis.hset(KEYS.logged, mapping={ALICE: b"\xff" * 60})
    async with following(log) as follower:
        assert await log.append(entry(5)) == 1
        assert follower.sequences == [5]


@pytest.mark.slow
def test_no_mutation_of_a_shared_record_counts() -> None:
    seal = Seal(FLEET_KEY)
    good = seal.record(CachedRecord(record(status=TrustStatus.BLOCKED), 5))
    rng = random.Random(1)
    for _ in range(100_000):
        bad = bytearray(good)
        if rng.random() < 0.2:
            del bad[rng.randrange(len(bad)) :]
        else:
            bad[rng.randrange(len(bad))] ^= rng.randrange(1, 256)
        if rng.random() < 0.2:
            bad += rng.randbytes(rng.randrange(1, 20))
        assert seal.read_record(ALICE, bytes(bad)) is None


async def read_field(redis: Redis, name: str, field: bytes) -> bytes:
    """Read one field of a hash as the bytes that it is."""
    found = (await redis.hmget(name, [field]))[0]
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("at", [0, 9, -1])
async def test_a_record_that_the_fleet_did_not_write_does_not_count(redis: Redis, at: int) -> None:
    cache = RedisTrustCache(redis, lambda: NETWORK, FLEET_KEY)
    await cache.put([CachedRecord(record(), 5)])
    name = KEYS.records
    kept = bytearray(await read_field(redis, name, ALICE))
    kept[at] ^= 1
    await redis.hset(name, mapping={ALICE: bytes(kept)})
    assert await cache.get([ALICE]) == [None]


async def test_another_wallets_record_does_not_count(redis: Redis) -> None:
    cache = RedisTrustCache(redis, lambda: NETWORK, FLEET_KEY)
    await cache.put([CachedRecord(record(), 5)])
    name = KEYS.records
    await redis.hset(name, mapping={BOB: await read_field(redis, name, ALICE)})
    assert await cache.get([BOB]) == [None]


async def test_an_entry_that_the_fleet_did_not_write_is_left_out(redis: Redis) -> None:
    log, forger = open_log(redis), open_log(redis)
    forger._seal = type(forger._seal)(b"f" * 32)
    async with following(log) as follower, following(forger):
        await forger.append(replace(entry(1), status=TrustStatus.ACTIVE, score=100))
        await log.append(entry(2, BOB))
        await follower.until(1)
        assert follower.sequences == [2]


async def test_hubs_of_another_network_share_nothing(redis: Redis) -> None:
    ours = RedisTrustCache(redis, lambda: NETWORK, FLEET_KEY)
    theirs = RedisTrustCache(redis, lambda: b"\x18" * 32, FLEET_KEY)
    await ours.put([CachedRecord(record(), 5)])
    assert await theirs.get([ALICE]) == [None]
