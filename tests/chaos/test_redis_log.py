"""The trust log under faults of Redis: nothing is lost, nothing is out of order."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from chaos.log_bench import (
    NETWORK,
    FollowerProcess,
    append_surely,
    change,
    following,
    open_log,
    order,
    wallet_of,
    write,
)
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import TrustKeys, TrustLogLimits
from realtime_hub.auth.ports import LogUnavailable
from redis_fixture import RedisServer, running_redis
from redis_topologies import ask
from waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as running:
        yield running


async def test_r1_a_killed_redis_that_is_back_after_a_second_loses_no_change(
    server: RedisServer,
) -> None:
    async with following(server.url) as writer, following(server.url) as hub:
        writing = asyncio.create_task(write(writer.log, range(1, 2_001), pause_s=0.0005))
        await hub.heard_all(500)
        server.stop(signal.SIGKILL)
        await asyncio.sleep(1)
        server.start()
        await writing
        await hub.heard_all(2_000)
        assert hub.heard == writer.heard == list(range(1, 2_001))
        assert hub.begun == 1, "no change was lost, so the log's epoch goes on"


async def test_r2_a_frozen_redis_is_noticed_and_its_return_as_well(server: RedisServer) -> None:
    async with following(server.url) as writer, following(server.url) as hub:
        await write(writer.log, range(1, 11))
        server.send(signal.SIGSTOP)
        await eventually(lambda: hub.log.trouble and writer.log.trouble, within_s=3)
        server.send(signal.SIGCONT)
        await write(writer.log, range(11, 21))
        await hub.heard_all(20)
        await eventually(lambda: hub.log.trouble is None)
        assert (hub.heard, hub.begun) == (list(range(1, 21)), 1)


async def test_r3_a_hundred_killed_subscriptions_lose_no_change(server: RedisServer) -> None:
    rng = random.Random(3)
    killer = connect(server.url)
    async with following(server.url) as writer, following(server.url) as hub:
        kills = 0
        number = 1
        while kills < 100:
            count = rng.randrange(1, 20)
            await write(writer.log, range(number, number + count))
            number += count
            kills += await killer.client_kill_filter(_type="pubsub")
        await hub.heard_all(number - 1)
        assert hub.heard == list(range(1, number))
        assert hub.begun == 1
    await killer.aclose()


def subscribers(server: RedisServer, channel: bytes) -> int:
    """Return how many listen to publications."""
    return int(ask(server, "PUBSUB", "NUMSUB", channel)[1])


async def test_r4_a_hub_cut_off_for_reading_too_slowly_misses_nothing(
    server: RedisServer, tmp_path: Path
) -> None:
    ask(server, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 2mb 1")
    follower = FollowerProcess(server.url, tmp_path / "heard")
    try:
        await eventually(lambda: follower.lines() == ["begin"], within_s=15)
        follower.send(signal.SIGSTOP)
        async with following(server.url) as writer:
            [channel] = ask(server, "PUBSUB", "CHANNELS")
            for number in range(1, 201):
                await write(writer.log, range(number, number + 1))
                ask(server, "PUBLISH", channel, bytes(100_000))  # More than sockets hold back.
            assert subscribers(server, channel) == 1, "Redis has cut the frozen one off"
            follower.send(signal.SIGCONT)
            await eventually(lambda: len(follower.heard()) >= 200, within_s=15)
        assert follower.heard() == list(range(1, 201))
    finally:
        follower.end()


async def test_r5_ten_thousand_changes_through_everything_at_once(
    server: RedisServer, tmp_path: Path
) -> None:
    """50 times all connections killed, one hub killed and restarted, Redis killed once."""
    last = 10_000
    # A killed process leaves what it wrote to the kernel; only a lost machine needs more.
    ask(server, "CONFIG", "SET", "appendfsync", "everysec")
    steady = FollowerProcess(server.url, tmp_path / "steady")
    killed = FollowerProcess(server.url, tmp_path / "killed")
    killer = connect(server.url)
    again = None
    kills = 0
    try:
        async with following(server.url) as writer, following(server.url) as hub:
            await eventually(lambda: steady.lines() and killed.lines(), within_s=15)
            for step in range(50):
                first = step * 200 + 1
                await write(writer.log, range(first, first + 200))
                if step == 20:
                    server.stop(signal.SIGKILL)
                    server.start("--appendfsync", "everysec")
                if step == 30:
                    killed.end()
                    again = FollowerProcess(server.url, tmp_path / "again")
                with contextlib.suppress(RedisError):  # Its own connection went with the server.
                    kills += await killer.client_kill_filter(_type="pubsub")
                    kills += await killer.client_kill_filter(_type="normal", skipme=True)
            await hub.heard_all(last)
            assert again is not None
            await eventually(lambda: steady.heard()[-1:] == [last], within_s=15)
            await eventually(lambda: again.heard()[-1:] == [last], within_s=15)
            assert kills >= 50
            everything = list(range(1, last + 1))
            assert hub.heard == writer.heard == steady.heard() == everything
            assert hub.begun == 1
        # The restarted hub begins with what the log kept, then hears each change once.
        begun = again.heard()
        assert begun == list(range(begun[0], last + 1))
        assert len({wallet_of(number) for number in begun}) == 100
        assert killed.heard() == list(range(1, len(killed.heard()) + 1))
    finally:
        for follower in (steady, killed, again):
            if follower is not None:
                follower.end()
        await killer.aclose()


async def test_r8_a_redis_that_a_full_disk_ends_loses_no_change(server: RedisServer) -> None:
    """With `appendfsync always` a write that the disk doesn't take ends the server."""
    async with following(server.url) as writer, following(server.url) as hub:
        writing = asyncio.create_task(write(writer.log, range(1, 1_001), pause_s=0.0005))
        await hub.heard_all(300)
        server.fill_disk()
        await eventually(lambda: server.has_ended)
        await eventually(lambda: not writer.log.answers and not hub.log.answers)
        await asyncio.sleep(1)
        server.stop()
        server.start()
        await writing
        await hub.heard_all(1_000)
        assert hub.heard == writer.heard == list(range(1, 1_001))
        assert hub.begun == 1, "no change was lost, so the log's epoch goes on"


async def test_r8_an_ended_redis_is_told_of_at_once_not_when_the_lease_is_over(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    patient = TrustLogLimits(lease_s=600, look_every_s=600, idle_s=600)
    async with following(server.url, patient) as hub:
        assert hub.log.answers
        server.fill_disk()
        with pytest.raises(LogUnavailable):
            await hub.log.append(change(1))
        await eventually(lambda: not hub.log.answers)
        assert "trust publications:" in caplog.text
        server.stop()
        server.start()
        await eventually(lambda: hub.log.answers)


async def entries_in(server: RedisServer) -> int:
    """Return how many entries the log has."""
    return int(await asyncio.to_thread(ask, server, "XLEN", TrustKeys(NETWORK).log))


@pytest.mark.parametrize("tries", [1, 3])
async def test_r12_a_write_that_timed_out_though_it_was_made_counts_once(
    server: RedisServer, tries: int
) -> None:
    async with following(server.url) as writer, following(server.url) as hub:
        await write(writer.log, range(1, 2))  # From here on Redis knows the script.
        server.send(signal.SIGSTOP)
        for _ in range(tries):
            with pytest.raises(LogUnavailable):
                await writer.log.append(order(2))
        server.send(signal.SIGCONT)
        async with asyncio.timeout(15):
            while await entries_in(server) < 2:  # noqa: ASYNC110  (asked)
                await asyncio.sleep(0.01)
        for _ in range(3):
            assert await append_surely(writer.log, order(2)) == 2
        assert await append_surely(hub.log, order(2)) == 2, "another hub's word counts as well"
        assert await append_surely(writer.log, order(3)) == 3
        await hub.heard_all(3)
        assert await entries_in(server) == 3
        assert hub.heard == writer.heard == [1, 2, 3]


async def test_r11_a_server_that_may_not_serve_is_trouble_and_no_answer(
    server: RedisServer,
) -> None:
    async with following(server.url) as hub:
        await write(hub.log, range(1, 6))
        ask(server, "REPLICAOF", "127.0.0.1", 1)
        await eventually(lambda: hub.log.trouble, within_s=5)
        ask(server, "REPLICAOF", "NO", "ONE")
        await write(hub.log, range(6, 11))
        await eventually(lambda: hub.log.trouble is None)
        assert (hub.heard, hub.begun) == (list(range(1, 11)), 1)


@pytest.mark.parametrize(
    "error",
    [
        "-LOADING Redis is loading the dataset in memory",
        "-MOVED 1234 127.0.0.1:1",
        "-NOAUTH Authentication required.",
        "-CLUSTERDOWN The cluster is down",
        "-MISCONF Errors writing to the AOF file",
        "-NOREPLICAS Not enough good replicas to write.",
        "-READONLY You can't write against a read only replica.",
        "-OOM command not allowed when used memory > 'maxmemory'.",
        "-BUSY Redis is busy running a script.",
        "-WRONGPASS invalid username-password pair or user is disabled.",
        "-ERR max number of clients reached",
        "+surprise",
        ":1",
        "*-1",
        "*3\r\n:1\r\n:2\r\n:3",
    ],
)
async def test_r11_whatever_redis_answers_the_hub_goes_on_asking(error: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4_096):
            writer.write(f"{error}\r\n".encode() * max(1, data.count(b"\r\n*")))
        writer.close()

    fake = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = fake.sockets[0].getsockname()[1]
    client = connect(f"redis://127.0.0.1:{port}")
    log = open_log(client)
    task = asyncio.create_task(log.follow(lambda _entry: None, lambda _entries: None))
    await asyncio.sleep(0.3)
    assert not task.done()
    assert log.trouble is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await client.aclose()
    fake.close()
