"""The store of challenges outside a connection: one suite, in memory and on a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime_hub.adapters.memory_challenges import MemoryChallenges
from realtime_hub.adapters.redis_challenges import RedisChallenges
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.system import SystemClock
from realtime_hub.auth.challenges import ChallengeStore, IssuedChallenge
from realtime_protocol.login_resources import encode_key
from realtime_protocol.login_text import LoginChallenge
from redis_fixture import RedisServer

CHALLENGE = LoginChallenge(
    "A" * 22, 1_000, 11_000, "app.example", "wss://hub.example/v1", "devnet", "r1"
)
BARE = IssuedChallenge(b"\xa1" * 32, CHALLENGE)
WITH_KEY = IssuedChallenge(b"\xa1" * 32, CHALLENGE, (encode_key(b"\x5e" * 32),))


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ChallengeStore]:
    if request.param == "memory":
        yield MemoryChallenges(SystemClock())
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    redis = connect(server.url)
    await redis.flushall()
    yield RedisChallenges(redis)
    await redis.aclose()


@pytest.mark.parametrize("issued", [BARE, WITH_KEY])
async def test_a_challenge_comes_back_whole_and_once(
    store: ChallengeStore, issued: IssuedChallenge
) -> None:
    await store.put("id-1", issued, ttl_ms=60_000)
    assert await store.take("id-2") is None
    found = await asyncio.gather(*(store.take("id-1") for _ in range(8)))
    assert [one for one in found if one is not None] == [issued]
