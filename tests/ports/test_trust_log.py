"""The trust log and the shared records: one suite, in memory and on a real Redis."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from fakes import SeededEntropy
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.adapters.redis_trust import RedisTrustCache, RedisTrustLog, connect
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.ports import CachedRecord, LogUnavailable, TrustCache, TrustLog
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, TrustStatus
from redis_fixture import RedisServer, running_redis
from trust_fakes import ALICE, BOB, record

NETWORK = b"\x17" * 32
FLEET_KEY = b"k" * 32


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(redis_server.url)
    await client.flushall()
    yield client
    with suppress(Exception):
        await client.aclose()


def redis_log(client: Redis) -> RedisTrustLog:
    """Another hub's view of the same log."""

    async def ready() -> None:
        return

    return RedisTrustLog(
        client,
        network_id=lambda: NETWORK,
        fleet_key=FLEET_KEY,
        clock=SystemClock(),
        entropy=SystemEntropy(),
        wait_ready=ready,
    )


@pytest.fixture(params=["memory", "redis"])
def log(request: pytest.FixtureRequest, redis: Redis) -> TrustLog:
    if request.param == "memory":
        return MemoryTrustLog(SeededEntropy(), MemoryTrustCache())
    return redis_log(redis)


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, redis: Redis) -> TrustCache:
    if request.param == "memory":
        return MemoryTrustCache()
    return RedisTrustCache(redis, lambda: NETWORK, FLEET_KEY)


def entry(
    number: int = 1, wallet: PublicKey = ALICE, kind: EntryKind = EntryKind.CHAIN
) -> LogEntry:
    """A draft."""
    return LogEntry(
        0, kind, wallet, TrustStatus.BLOCKED, 0, 7, Initiator.CHAIN, 1_764_000_000_000, number,
        1_000_000 + number, b"", b"", b"",
    )  # fmt: skip


class Follower:
    """Follows a log and notes what it was given."""

    def __init__(self, log: TrustLog) -> None:
        self.log = log
        self.heard: list[LogEntry] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    @property
    def sequences(self) -> list[int]:
        return [heard.chain_sequence for heard in self.heard]

    async def until(self, count: int) -> None:
        """Wait until so many entries were delivered."""
        for _ in range(2_500):
            if len(self.heard) >= count:
                return
            await asyncio.sleep(0.002)
        raise AssertionError(f"{len(self.heard)} of {count} entries in 5 s")


@asynccontextmanager
async def following(log: TrustLog) -> AsyncIterator[Follower]:
    follower = Follower(log)
    task = asyncio.create_task(log.follow(follower.heard.append, follower.reset))
    for _ in range(100):
        await asyncio.sleep(0.002)
        if log.trouble is None:
            break
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


async def test_a_pending_entry_needs_no_newer_sequence(log: TrustLog) -> None:
    async with following(log):
        assert await log.append(entry(5)) == 1
        assert await log.append(entry(0, kind=EntryKind.PENDING)) == 2


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


# Redis only ------------------------------------------------------------------------------------


async def test_two_hubs_get_each_others_entries(redis_server: RedisServer, redis: Redis) -> None:
    other_redis = connect(redis_server.url)
    one, two = redis_log(redis), redis_log(other_redis)
    async with following(one) as first, following(two) as second:
        await asyncio.gather(
            *(one.append(entry(n)) for n in range(1, 41, 2)),
            *(two.append(entry(n, BOB)) for n in range(2, 41, 2)),
        )
        total = one.position().offset
        await first.until(total)
        await second.until(total)
        assert [e.log_seq for e in first.heard] == list(range(1, total + 1))
        assert first.sequences == second.sequences
        assert first.sequences[-1] >= 39
    await other_redis.aclose()


async def test_a_hub_that_begins_later_hears_what_is_pending(
    redis_server: RedisServer, redis: Redis
) -> None:
    one = redis_log(redis)
    async with following(one):
        await one.append(entry(3))
        await one.append(entry(0, BOB, EntryKind.PENDING))
    other_redis = connect(redis_server.url)
    async with following(redis_log(other_redis)) as late:
        await late.until(2)
        assert [e.kind for e in late.heard] == [EntryKind.CHAIN, EntryKind.PENDING]
    await other_redis.aclose()


@pytest.mark.slow
async def test_killed_connections_lose_no_entry(redis_server: RedisServer, redis: Redis) -> None:
    other_redis, killer = connect(redis_server.url), connect(redis_server.url)
    writer = redis_log(redis)
    async with following(writer), following(redis_log(other_redis)) as follower:
        for number in range(1, 301):
            await append_surely(writer, entry(number))
            if number % 30 == 0:
                await killer.client_kill_filter(_type="pubsub")
        await follower.until(300)
        assert follower.sequences == list(range(1, 301))
        assert follower.resets == 0
    await other_redis.aclose()
    await killer.aclose()


async def append_surely(log: TrustLog, draft: LogEntry) -> None:
    """Append until the log says so; a repeated chain record is left out by the log itself."""
    for _ in range(200):
        try:
            await log.append(draft)
            return
        except LogUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("the log never came back")


@pytest.mark.slow
async def test_a_killed_and_restarted_redis_loses_no_entry(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        one, two = connect(server.url), connect(server.url)
        writer = redis_log(one)
        async with following(writer), following(redis_log(two)) as follower:
            for number in range(1, 201):
                if number == 100:
                    server.stop(signal.SIGKILL)
                    server.start()
                await append_surely(writer, entry(number))
            await follower.until(200)
            assert follower.sequences == list(range(1, 201))
            assert follower.resets == 0
        await one.aclose()
        await two.aclose()


@pytest.mark.slow
async def test_a_silent_redis_is_noticed_within_the_lease(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        client = connect(server.url)
        log = redis_log(client)
        async with following(log):
            before = log.trouble
            server.stop()
            await asyncio.sleep(2.2)
            assert (before, log.trouble is None) == (None, False)
            with pytest.raises(LogUnavailable):
                await log.append(entry())
        await client.aclose()


async def test_an_emptied_redis_starts_the_log_over(redis: Redis) -> None:
    log = redis_log(redis)
    async with following(log) as follower:
        await log.append(entry(1))
        await follower.until(1)
        epoch = log.position().epoch
        await redis.flushall()
        await log.append(entry(2))
        await follower.until(2)
        assert follower.resets == 1
        assert log.position().epoch != epoch


async def read_field(redis: Redis, name: str, field: bytes) -> bytes:
    """Read one field of a hash as the bytes that it is."""
    found = (await redis.hmget(name, [field]))[0]
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("at", [0, 9, -1])
async def test_a_record_that_the_fleet_did_not_write_does_not_count(redis: Redis, at: int) -> None:
    cache = RedisTrustCache(redis, lambda: NETWORK, FLEET_KEY)
    await cache.put([CachedRecord(record(), 5)])
    name = f"{{realtime:{NETWORK.hex()[:16]}}}:trust:records"
    kept = bytearray(await read_field(redis, name, ALICE))
    kept[at] ^= 1
    await redis.hset(name, mapping={ALICE: bytes(kept)})
    assert await cache.get([ALICE]) == [None]


async def test_another_wallets_record_does_not_count(redis: Redis) -> None:
    cache = RedisTrustCache(redis, lambda: NETWORK, FLEET_KEY)
    await cache.put([CachedRecord(record(), 5)])
    name = f"{{realtime:{NETWORK.hex()[:16]}}}:trust:records"
    await redis.hset(name, mapping={BOB: await read_field(redis, name, ALICE)})
    assert await cache.get([BOB]) == [None]


async def test_an_entry_that_the_fleet_did_not_write_is_left_out(redis: Redis) -> None:
    log, forger = redis_log(redis), redis_log(redis)
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
