import asyncio
import socket
import time

import pytest

from realtime_hub.patience import patience


async def test_an_answer_that_came_while_this_process_was_busy_counts() -> None:
    asked, answering = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=asked)
    with answering:
        async with patience(0.04):
            answering.send(b"!")
            time.sleep(0.06)  # noqa: ASYNC251  # the loop runs late
            assert await reader.read(1) == b"!"
    writer.close()


async def test_who_gives_no_answer_is_not_waited_for() -> None:
    with pytest.raises(TimeoutError):
        async with patience(0.01):
            await asyncio.get_running_loop().create_future()


async def test_nothing_is_left_behind_by_an_answer_or_a_cancelled_wait() -> None:
    async with patience(0.01):
        pass

    async def wait() -> None:
        async with patience(10):
            await asyncio.get_running_loop().create_future()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0.02)  # The first one's time is over, and nobody minds.
