"""The store of granted keys: one suite, in memory, in a file and on a real Redis."""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.adapters.redis_grants import RedisGrants
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.sqlite_grants import SqliteGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grant_store import GrantStore, GrantsUnavailable
from realtime_hub.auth.grants import Grant, GrantTerms, Spending
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import Position
from redis_fixture import running_redis
from trust_fakes import ALICE, BOB
from waiting import eventually

NETWORK = b"\x17" * 32
FLEET_KEY = b"k" * 32
SEEN = Position(b"epoch--1", 7)
UNTIL_MS = 4_102_444_800_000
KEY = b"\x5e" * 32


def redis_store(client: Redis, *, key: bytes = FLEET_KEY) -> RedisGrants:
    """Another hub's way to the same store."""

    async def ready() -> None:
        return

    return RedisGrants(client, network_id=lambda: NETWORK, fleet_key=key, wait_ready=ready)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, redis: Redis, tmp_path: Path) -> Iterator[GrantStore]:
    if request.param == "memory":
        yield MemoryGrants()
    elif request.param == "redis":
        yield redis_store(redis)
    else:
        file = SqliteGrants(tmp_path / "grants.sqlite3", lambda: NETWORK)
        yield file
        file.close_file()


def grant(number: int = 1, *, until_ms: int = UNTIL_MS) -> Grant:
    return Grant(
        grant_id=bytes([number]) * 16,
        terms_id=bytes([number + 100]) * 16,
        terms=GrantTerms(
            key=bytes([number]) * 32,
            scopes=("trust", "pay"),
            until_ms=until_ms,
            domain="app.example",
            spends=(Spending(BOB, 1_000, until_ms),),
        ),
        created_ms=1_763_000_000_000,
        last_used_ms=1_763_000_000_001,
        seen=SEEN,
    )


async def test_grants_come_back_as_they_were_written_each_with_its_wallet(
    store: GrantStore,
) -> None:
    both = (grant(1), grant(2))
    assert await store.load([ALICE, BOB]) == [(), ()]
    assert await store.swap(ALICE, (), both)
    assert await store.load([BOB, ALICE]) == [(), both]
    assert await store.load([]) == []
    assert await store.swap(ALICE, both, both[1:])
    assert await store.swap(ALICE, both[1:], ())
    assert await store.load([ALICE]) == [()]


async def test_grants_change_only_from_what_was_read(store: GrantStore) -> None:
    one, other = (grant(1),), (grant(2),)
    assert not await store.swap(ALICE, one, other)
    assert await store.swap(ALICE, (), one)
    assert not await store.swap(ALICE, (), other)
    assert not await store.swap(ALICE, (replace(one[0], last_used_ms=1),), ())
    assert await store.load([ALICE]) == [one]


async def test_of_many_that_change_a_wallets_grants_at_once_one_does(store: GrantStore) -> None:
    tries = [store.swap(ALICE, (), (grant(number),)) for number in range(1, 9)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 7 + [True]


# In a file --------------------------------------------------------------------------------------


async def test_a_grant_outlives_the_hub_that_wrote_it_and_belongs_to_its_network(
    tmp_path: Path,
) -> None:
    path = tmp_path / "grants.sqlite3"
    before = SqliteGrants(path, lambda: NETWORK)
    await before.swap(ALICE, (), (grant(),))
    before.close_file()
    again, other = SqliteGrants(path, lambda: NETWORK), SqliteGrants(path, lambda: b"o" * 32)
    assert await again.load([ALICE]) == [(grant(),)]
    assert await other.load([ALICE]) == [()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again.close_file()
    other.close_file()


async def test_a_hub_that_knows_no_network_yet_says_that_grants_cant_be_read(
    tmp_path: Path,
) -> None:
    def unknown() -> bytes:
        raise GrantsUnavailable("the network isn't known yet")

    file = SqliteGrants(tmp_path / "grants.sqlite3", unknown)
    with pytest.raises(GrantsUnavailable):
        await file.load([ALICE])
    file.close_file()


# On Redis ---------------------------------------------------------------------------------------


async def test_what_another_wrote_into_redis_lets_nobody_in(redis: Redis) -> None:
    store = redis_store(redis)
    await store.swap(ALICE, (), (grant(),))
    sealed = await redis.get(store._name(ALICE))
    assert isinstance(sealed, bytes)
    await redis.set(store._name(BOB), sealed)
    assert await store.load([BOB]) == [()]
    await redis.set(store._name(ALICE), sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert await store.load([ALICE]) == [()]
    assert await redis_store(redis, key=b"x" * 32).load([ALICE]) == [()]


async def test_grants_leave_redis_when_the_last_has_run_out(redis: Redis) -> None:
    store = redis_store(redis)
    await store.swap(ALICE, (), (grant(1, until_ms=UNTIL_MS - 5_000), grant(2)))
    assert await redis.pexpiretime(store._name(ALICE)) == UNTIL_MS


@asynccontextmanager
async def hub(client: Redis) -> AsyncIterator[tuple[Delegation, list[bytes]]]:
    """A hub's delegation on the shared store, and what its sessions are told."""
    store = redis_store(client)
    delegation = Delegation(store, clock=FakeClock(), entropy=SeededEntropy())
    told: list[bytes] = []
    delegation.listeners.append(told.append)
    running = asyncio.create_task(delegation.run())
    channel = store._channel()
    async with asyncio.timeout(5):
        while not dict(await client.pubsub_numsub(channel)).get(channel.encode()):  # noqa: ASYNC110  (Redis tells no event)
            await asyncio.sleep(0.001)
    try:
        yield delegation, told
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def terms(key: bytes = KEY) -> GrantTerms:
    return GrantTerms(key=key, scopes=("trust",), until_ms=UNTIL_MS, domain="app.example")


async def test_a_key_granted_at_one_hub_logs_in_at_another_until_it_is_revoked_there(
    redis: Redis,
) -> None:
    async with hub(redis) as (here, told_here), hub(redis) as (there, told_there):
        made = await here.open(ALICE, terms(), seen=SEEN)
        found = await there.find(ALICE, KEY, domain="app.example")
        assert found == made
        await there.use(ALICE, found)
        assert await there.revoke(ALICE, KEY) == 1
        await eventually(lambda: told_here)
        assert told_here[0] == told_there[0] == made.grant_id
        for each in (here, there):
            with pytest.raises(RequestError) as refused:
                await each.find(ALICE, KEY, domain="app.example")
            assert refused.value.code is ErrorCode.BAD_SIGNATURE
            assert await each.resume(ALICE, made.grant_id) is None
            assert list(await each.standing([(ALICE, made.grant_id)])) == [False]


async def test_a_revoked_key_stays_dead_when_redis_forgets_that_it_was_revoked(
    redis: Redis,
) -> None:
    async with hub(redis) as (here, _):
        made = await here.open(ALICE, terms(), seen=SEEN)
        await here.revoke(ALICE, KEY)
        assert await redis_store(redis).swap(ALICE, (), (made,))
        with pytest.raises(RequestError):
            await here.find(ALICE, KEY, domain="app.example")
        assert await here.grants_of(ALICE) == ()


async def test_a_block_takes_the_grants_out_of_the_store_for_all_hubs(redis: Redis) -> None:
    async with hub(redis) as (here, told), hub(redis) as (there, _):
        made = await here.open(ALICE, terms(), seen=SEEN)
        other = await here.open(BOB, terms(), seen=SEEN)
        here.block(ALICE, Position(SEEN.epoch, SEEN.offset + 1))
        assert await here.grants_of(ALICE) == ()
        await eventually(lambda: told)
        assert told == [made.grant_id]
        assert await there.grants_of(ALICE) == ()
        assert await there.grants_of(BOB) == (other,)


async def test_a_forged_revocation_ends_nothing(redis: Redis) -> None:
    async with hub(redis) as (here, told):
        made = await here.open(ALICE, terms(), seen=SEEN)
        await redis.publish(redis_store(redis)._channel(), made.grant_id + bytes(16))
        await redis_store(redis).tell([b"o" * 16])
        await eventually(lambda: told)
        assert told == [b"o" * 16]


@pytest.mark.slow
async def test_without_redis_every_call_says_so_and_a_block_is_written_after_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        client = connect(server.url)
        async with hub(client) as (here, told):
            made = await here.open(ALICE, terms(), seen=SEEN)
            server.stop()
            store = redis_store(client)
            for call in (store.load([ALICE]), store.swap(ALICE, (), ()), store.tell([b"i" * 16])):
                with pytest.raises(GrantsUnavailable):
                    await call
            with pytest.raises(RequestError) as refused:
                await here.find(ALICE, KEY, domain="app.example")
            assert refused.value.code is ErrorCode.BACKBONE_UNAVAILABLE
            here.block(ALICE, Position(SEEN.epoch, SEEN.offset + 1))
            await asyncio.sleep(0.1)
            server.start()
            await eventually(lambda: told, within_s=10)
            assert told == [made.grant_id]
            assert await redis_store(client).load([ALICE]) == [()]
        await client.aclose()
