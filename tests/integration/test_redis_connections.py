"""Connections of the pool follow the primary, and none is closed under a command."""

import asyncio
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from realtime_hub.adapters.redis_servers import connect, open_connection, primary_of
from redis_fixture import RedisServer, running_redis
from redis_topologies import ask, running_topology


async def port_of(redis: Redis) -> int:
    return int((await redis.config_get("port"))["port"] or 0)


class MovedPrimary:
    """Names one server, then, once told so, another."""

    sharded = False

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    async def find(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    async def confirm(self) -> bool:
        return True

    def forget(self) -> None:
        return


async def test_a_command_under_way_ends_where_it_began_and_the_next_goes_to_the_new_primary(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with running_redis(tmp_path / "one") as one, running_redis(tmp_path / "two") as two:
        redis = connect(one.url)
        primary = MovedPrimary(one)
        redis.connection_pool.connection_kwargs["primary"] = primary
        under_way = asyncio.ensure_future(redis.blpop(["list"], timeout=0.2))
        await asyncio.sleep(0.05)
        assert ask(one, "INFO", "clients")["blocked_clients"] == 1
        primary.server = two
        assert await port_of(redis) == two.port
        assert await under_way is None
        assert await port_of(redis) == two.port
        await redis.aclose()


def test_a_socket_that_is_closed_already_is_a_lost_connection_on_uvloop_too(tmp_path: Path) -> None:
    async def send_into_it(url: str) -> None:
        redis = connect(url)
        connection = open_connection(redis)
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
        assert connection._writer is not None
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(RedisConnectionError, match="the connection is closed"):
            await connection.send_command("PING")
        await connection.disconnect()
        await redis.aclose()

    with (
        running_redis(tmp_path) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(send_into_it(server.url))


async def test_the_first_look_at_the_sentinels_finds_no_other_primary(tmp_path: Path) -> None:
    with running_topology("sentinel", tmp_path) as topology:
        redis = connect(topology.url)
        primary = primary_of(redis)
        assert await primary.confirm()
        assert await primary.confirm()
        assert await port_of(redis) == topology.primary.port
        await asyncio.to_thread(topology.fail_over)
        assert not await primary.confirm()
        assert await port_of(redis) == topology.primary.port
        await redis.aclose()
