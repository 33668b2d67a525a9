"""The lease of the owner, on a real Redis: one holder, a growing fence, an end by silence."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from fakes import FakeClock
from realtime_hub.adapters.redis_lease import LEASE_MS, MARGIN_MS, RedisLease
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.pay.ports import LeaseUnavailable
from redis_fixture import RedisServer, running_redis

JOURNAL = b"journal1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(Path(tmp_path_factory.mktemp("redis"))) as running:
        yield running


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(server.url)
    await client.flushall()
    yield client
    await client.aclose()


def lease(redis: Redis, holder: str, clock: FakeClock, journal_id: bytes = JOURNAL) -> RedisLease:
    return RedisLease(
        redis, network_id=lambda: b"n" * 32, journal_id=journal_id, holder=holder, clock=clock
    )


def holds(lease: RedisLease) -> bool:
    return lease.held


async def test_one_holds_it_and_who_comes_after_has_a_higher_fence(redis: Redis) -> None:
    clock = FakeClock()
    one, two = lease(redis, "one", clock), lease(redis, "two", clock)
    first = await one.acquire(floor=0)
    assert first == 1
    assert holds(one)
    assert await two.acquire(floor=0) is None
    assert not holds(two)
    await one.release()
    assert not holds(one)
    assert await two.acquire(floor=0) == 2
    assert not await one.renew()


async def test_the_fence_is_above_the_journals_also_in_a_redis_that_forgot(redis: Redis) -> None:
    one = lease(redis, "one", FakeClock())
    assert await one.acquire(floor=41) == 42
    await redis.flushall()
    assert not await one.renew()
    assert await one.acquire(floor=42) == 43


async def test_by_its_holders_clock_it_ends_before_redis_grants_it_to_another(
    redis: Redis,
) -> None:
    clock = FakeClock()
    one = lease(redis, "one", clock)
    await one.acquire(floor=0)
    clock.advance_ms(LEASE_MS - MARGIN_MS - 1)
    assert holds(one)
    clock.advance_ms(1)
    assert not holds(one)
    assert await redis.pttl(next(iter(await redis.keys("*owner")))) > MARGIN_MS
    assert await one.renew()
    assert holds(one)


@pytest.mark.slow
async def test_it_ends_by_silence(redis: Redis) -> None:
    clock = FakeClock()
    await lease(redis, "one", clock).acquire(floor=0)
    two = lease(redis, "two", clock)
    async with asyncio.timeout(2 * LEASE_MS / 1_000):
        while await two.acquire(floor=0) is None:  # noqa: ASYNC110  (Redis tells nobody)
            await asyncio.sleep(0.02)
    assert holds(two)


async def test_another_journal_never_gets_it(redis: Redis) -> None:
    clock = FakeClock()
    one = lease(redis, "one", clock)
    await one.acquire(floor=0)
    await one.release()
    stranger = lease(redis, "two", clock, b"journal2")
    with pytest.raises(LeaseUnavailable, match="another hub's journal"):
        await stranger.acquire(floor=9)


async def test_a_holder_that_was_replaced_does_not_release_what_is_anothers(redis: Redis) -> None:
    clock = FakeClock()
    one, two = lease(redis, "one", clock), lease(redis, "two", clock)
    await one.acquire(floor=0)
    await redis.delete(*await redis.keys("*owner"))
    await two.acquire(floor=0)
    await one.release()
    assert await two.renew()


async def test_without_redis_nothing_is_granted(redis: Redis, server: RedisServer) -> None:
    one = lease(redis, "one", FakeClock())
    server.stop()
    try:
        with pytest.raises(LeaseUnavailable, match="Redis"):
            await one.acquire(floor=0)
        assert not holds(one)
    finally:
        server.start()
