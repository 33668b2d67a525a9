"""The store of resumable sessions: one suite, in memory and on a real Redis."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from fakes import FakeClock
from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.adapters.redis_resumes import RedisResumes
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.system import SystemEntropy
from realtime_hub.session.resume import Family, left, reused
from realtime_hub.session.resume_store import Move, ResumeStore, StoreUnavailable
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position
from redis_fixture import running_redis
from trust_fakes import ALICE, BOB
from waiting import eventually

NETWORK = b"\x17" * 32
FLEET_KEY = b"k" * 32
KEY = b"f" * 16
OTHER_KEY = b"g" * 16
SEEN = Position(b"epoch--1", 7)
KEEP_MS = 135_000


def redis_store(client: Redis, *, keep_ms: int = KEEP_MS, key: bytes = FLEET_KEY) -> RedisResumes:
    """Another hub's way to the same store."""

    async def ready() -> None:
        return

    return RedisResumes(
        client,
        network_id=lambda: NETWORK,
        fleet_key=key,
        entropy=SystemEntropy(),
        wait_ready=ready,
        keep_ms=keep_ms,
        session_ms_max=60_000,
    )


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, redis: Redis) -> ResumeStore:
    if request.param == "memory":
        return MemoryResumes(FakeClock(), keep_ms=KEEP_MS)
    return redis_store(redis)


PassTime = Callable[[int], Awaitable[None]]


@pytest.fixture(params=["memory", "redis"])
async def short_store(
    request: pytest.FixtureRequest, redis: Redis
) -> AsyncIterator[tuple[ResumeStore, PassTime]]:
    """A store that keeps things for 300 ms, and how time passes there."""
    clock = FakeClock()

    async def pass_time(milliseconds: int) -> None:
        clock.advance_ms(milliseconds)
        if request.param == "redis":
            await asyncio.sleep(milliseconds / 1_000)

    if request.param == "memory":
        yield MemoryResumes(clock, keep_ms=300), pass_time
    else:
        yield redis_store(redis, keep_ms=300), pass_time


def family(holder: bytes = b"h" * 16, wallet: PublicKey = ALICE) -> Family:
    return Family(
        sid="s-1",
        wallet=wallet,
        scopes=("trust", "pay"),
        session_key=b"s" * 32,
        domain="app.example",
        session_exp_ms=1_764_000_000_000,
        opened_ms=1_763_000_000_000,
        seen=SEEN,
        holder=holder,
        token_hash=b"t" * 32,
    )


async def test_a_family_comes_back_as_it_was_written(store: ResumeStore) -> None:
    for after in (family(), left(family(), seen=SEEN, now_ms=5), reused(family())):
        before = await store.load(KEY)
        assert await store.swap([Move(KEY, before, after)]) == [True]
        assert await store.load(KEY) == after
    assert await store.load(OTHER_KEY) is None


async def test_a_move_is_made_only_from_what_was_read(store: ResumeStore) -> None:
    mine, other = family(), family(b"o" * 16)
    assert await store.swap([Move(KEY, mine, other)]) == [False]
    assert await store.swap([Move(KEY, None, mine)]) == [True]
    assert await store.swap([Move(KEY, None, other)]) == [False]
    assert await store.swap([Move(KEY, other, None)]) == [False]
    assert await store.load(KEY) == mine
    assert await store.swap([Move(KEY, mine, None)]) == [True]
    assert await store.load(KEY) is None


async def test_many_moves_go_in_one_call_and_each_counts_for_itself(store: ResumeStore) -> None:
    mine = family()
    moves = [Move(KEY, None, mine), Move(OTHER_KEY, mine, None), Move(b"x" * 16, None, mine)]
    assert await store.swap(moves) == [True, False, True]
    assert await store.swap([]) == []


async def test_of_two_that_take_a_session_at_once_one_gets_it(store: ResumeStore) -> None:
    mine = family()
    await store.swap([Move(KEY, None, mine)])
    takers = [replace(mine, holder=bytes([n]) * 16) for n in range(8)]
    made = await asyncio.gather(*(store.swap([Move(KEY, mine, taker)]) for taker in takers))
    assert sorted(made) == [[False]] * 7 + [[True]]


async def test_a_family_runs_out_unless_it_is_renewed(
    short_store: tuple[ResumeStore, PassTime],
) -> None:
    store, pass_time = short_store
    await store.swap([Move(KEY, None, family()), Move(OTHER_KEY, None, family())])
    await pass_time(200)
    [standing] = await store.renew([(KEY, ALICE)])
    assert standing.family == family()
    await pass_time(200)
    assert await store.load(KEY) == family()
    assert await store.load(OTHER_KEY) is None
    [gone] = await store.renew([(OTHER_KEY, ALICE)])
    assert gone.family is None


async def test_a_logout_everywhere_is_later_than_each_login_before_it(store: ResumeStore) -> None:
    opened_ms = await store.now_ms()
    await store.swap([Move(KEY, None, replace(family(), opened_ms=opened_ms))])
    await store.swap([Move(OTHER_KEY, None, family(wallet=BOB))])
    ended_ms = await store.end_all(ALICE)
    assert ended_ms >= opened_ms
    found = await store.load(KEY)
    assert found is None or found.opened_ms <= await store.ended_ms(ALICE)
    assert await store.load(OTHER_KEY) == family(wallet=BOB)
    assert await store.ended_ms(BOB) == 0
    assert await store.renew([]) == []


async def test_memory_forgets_at_its_bound_what_was_written_longest_ago() -> None:
    store = MemoryResumes(FakeClock(), keep_ms=KEEP_MS, families_max=2)
    keys = [bytes([n]) * 16 for n in range(3)]
    for key in keys:
        await store.swap([Move(key, None, family())])
    assert len(store) == 2
    assert await store.load(keys[0]) is None
    await store.renew([(keys[1], ALICE)])
    await store.swap([Move(keys[0], None, family())])
    assert await store.load(keys[1]) == family()
    assert await store.load(keys[2]) is None


# On Redis ---------------------------------------------------------------------------------------


@asynccontextmanager
async def followed(store: RedisResumes) -> AsyncIterator[list[tuple[object, object]]]:
    """Collect what a hub is told."""
    told: list[tuple[object, object]] = []
    following = asyncio.create_task(
        store.follow(
            lambda key, found: told.append((key, found)),
            lambda wallet, ended_ms: told.append((wallet, ended_ms)),
        )
    )
    channel = store._hub(store.hub_id)
    await eventually_subscribed(store, channel)
    try:
        yield told
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def eventually_subscribed(store: RedisResumes, channel: str) -> None:
    async with asyncio.timeout(5):
        while True:
            numbers = dict(await store._redis.pubsub_numsub(channel))
            if numbers.get(channel.encode()):
                return
            await asyncio.sleep(0.001)


async def test_the_hub_that_loses_a_session_is_told_and_no_other(redis: Redis) -> None:
    loser, taker, third = (redis_store(redis) for _ in range(3))
    held = family(loser.hub_id + b"c" * 8)
    async with followed(loser) as told, followed(third) as nothing, followed(taker) as own:
        await loser.swap([Move(KEY, None, held)])
        taken = replace(held, holder=taker.hub_id + b"c" * 8)
        await taker.swap([Move(KEY, held, taken)])
        await eventually(lambda: told)
        assert told == [(KEY, taken)]
        await taker.swap([Move(KEY, taken, replace(taken, holder=taker.hub_id + b"d" * 8))])
        await third.end_all(ALICE)
        await eventually(lambda: len(told) == 2 and nothing and own)
        assert [len(each) for each in (told, nothing, own)] == [2, 1, 1]


async def test_a_hub_is_told_that_its_session_was_revoked_but_not_of_one_that_was_away(
    redis: Redis,
) -> None:
    loser, other = redis_store(redis), redis_store(redis)
    held = family(loser.hub_id + b"c" * 8)
    away = left(held, seen=SEEN, now_ms=1)
    async with followed(loser) as told:
        await loser.swap([Move(KEY, None, away), Move(OTHER_KEY, None, held)])
        await other.swap([Move(KEY, away, replace(away, holder=other.hub_id + b"e" * 8))])
        await other.swap([Move(OTHER_KEY, held, reused(held))])
        await eventually(lambda: told)
        assert told == [(OTHER_KEY, reused(held))]


async def test_what_another_wrote_into_redis_opens_nothing(redis: Redis) -> None:
    store = redis_store(redis)
    await store.swap([Move(KEY, None, family())])
    name = store._family(KEY)
    sealed = await redis.get(name)
    assert isinstance(sealed, bytes)
    await redis.set(store._family(OTHER_KEY), sealed)
    assert await store.load(OTHER_KEY) is None
    await redis.set(name, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert await store.load(KEY) is None
    assert await redis_store(redis, key=b"x" * 32).load(OTHER_KEY) is None


async def test_a_forged_logout_ends_nothing(redis: Redis) -> None:
    store = redis_store(redis)
    async with followed(store) as told:
        await redis.publish(store._everybody(), ALICE + bytes(8) + os.urandom(16))
        await store.end_all(BOB)
        await eventually(lambda: told)
        assert [wallet for wallet, _ in told] == [BOB]


async def test_no_token_and_no_wallet_key_stands_in_a_name(redis: Redis) -> None:
    store = redis_store(redis)
    await store.swap([Move(KEY, None, family())])
    [name] = await redis.keys("*")
    assert name == b"{realtime}:" + NETWORK.hex()[:16].encode() + b":resume:family:" + (
        KEY.hex().encode()
    )
    assert 0 < await redis.pttl(name) <= KEEP_MS


@pytest.mark.slow
async def test_without_redis_every_call_says_so_and_news_come_again_after_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        client = connect(server.url)
        store = redis_store(client)
        async with followed(store) as told:
            server.stop()
            calls: list[Awaitable[object]] = [
                store.load(KEY), store.swap([Move(KEY, None, family())]),
                store.renew([(KEY, ALICE)]), store.now_ms(), store.ended_ms(ALICE),
                store.end_all(ALICE),
            ]  # fmt: skip
            for call in calls:
                with pytest.raises(StoreUnavailable):
                    await call
            server.start()
            await eventually_subscribed_again(store)
            await store.end_all(BOB)
            await eventually(lambda: told)
        await client.aclose()


async def eventually_subscribed_again(store: RedisResumes) -> None:
    async with asyncio.timeout(5):
        while True:
            with suppress(Exception):
                await eventually_subscribed(store, store._hub(store.hub_id))
                return
            await asyncio.sleep(0.01)
