"""Fixtures that tests of several folders share."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from realtime_hub.adapters.redis_servers import connect
from redis_fixture import RedisServer, running_redis


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a real Redis for the tests of one file."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """Connect to it, emptied, as the hub does."""
    client = connect(redis_server.url)
    await client.flushall()
    yield client
    with suppress(Exception):
        await client.aclose()
