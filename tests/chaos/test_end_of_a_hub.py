"""Faults P3, P4, P5 and S1: a hub that is told to end, at any moment, or runs out of files.

What a hub promises at its end: everybody gets a goodbye, it is gone within seconds whether clients
answer or not, and what it had written can be read.
"""

import asyncio
import contextlib
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import Fleet, HubProcess, fleet, wait_for
from raw_socket import raw_socket
from realtime_client import ConnectionClosedError, Intent, Reconnect, connect
from realtime_protocol.codes import CloseCode

pytestmark = pytest.mark.slow

SESSIONS = 300
NEVER = Reconnect(tries_max=0)
EXIT_S_MAX = 10.0
"""Far above the 3 s that are promised: this machine may be busy with other tests."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as started:
        yield started


@pytest.fixture
def hub(running: Fleet) -> HubProcess:
    started = running.start()
    wait_for(lambda: started.ready)
    return started


async def ended(hub: HubProcess) -> int:
    return await asyncio.to_thread(hub.process.wait, EXIT_S_MAX)


def journal_is_whole(state: Path) -> bool:
    with contextlib.closing(sqlite3.connect(state / "payments.sqlite3")) as connection:
        found: tuple[str] = connection.execute("PRAGMA integrity_check").fetchone()
        return found == ("ok",)


async def test_p3_every_live_session_is_sent_elsewhere_with_4000(
    running: Fleet, hub: HubProcess
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        gate = asyncio.Semaphore(16)

        async def open_one(number: int) -> asyncio.Task[Exception]:
            async with gate:
                wallet = running.wallets[number % len(running.wallets)]
                session = await connect(hub.url, wallet, reconnect=NEVER).__aenter__()
                return asyncio.create_task(session.wait_closed())

        closing = await asyncio.gather(*map(open_one, range(SESSIONS)))
        del stack
        hub.send(signal.SIGTERM)
        ends = await asyncio.wait_for(asyncio.gather(*closing), EXIT_S_MAX)
    assert {type(end) for end in ends} == {ConnectionClosedError}
    assert {end.code for end in ends if isinstance(end, ConnectionClosedError)} == {
        CloseCode.DRAINING
    }
    assert await ended(hub) == 0


async def test_p4_sessions_that_answer_nothing_do_not_hold_the_end_up(
    running: Fleet, hub: HubProcess
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(raw_socket(hub.url, receive_bytes=4_096))
            for _ in range(SESSIONS)
        ]
        hub.send(signal.SIGTERM)
        assert await ended(hub) == 0
        await silent[0].message()  # The challenge, which nobody had read.


async def test_p5_a_second_sigterm_does_not_cut_the_goodbyes_short(
    running: Fleet, hub: HubProcess, tmp_path: Path
) -> None:
    payee = running.wallets[-1].identity
    async with contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(raw_socket(hub.url)) for _ in range(SESSIONS)]
        session = await connect(hub.url, running.wallets[0], reconnect=NEVER).__aenter__()
        await session.pay(Intent(payee, 1)).accepted()
        for _ in range(4):
            hub.send(signal.SIGTERM)
            await asyncio.sleep(0.01)
        for each in silent:
            await each.message()
            assert (await each.closed())[0] == CloseCode.DRAINING
    assert await ended(hub) == 0
    assert journal_is_whole(tmp_path / "hub")


@pytest.mark.parametrize("after_s", [0.2, 0.6, 1.0])
def test_p5_a_sigterm_while_it_starts_leaves_what_the_next_start_can_use(
    running: Fleet, tmp_path: Path, after_s: float
) -> None:
    options = ["--port", "0", "--admin-port", "0", "--state", str(tmp_path / "hub")]
    options += ["--node", f"127.0.0.1:{running.devnet.addresses.node_port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime_cli", "serve", *options, "--redis-url", running.redis.url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after_s)
    for _ in range(2):
        process.terminate()
    process.wait(EXIT_S_MAX)
    again = running.start()
    wait_for(lambda: again.ready)
    assert journal_is_whole(tmp_path / "hub")


async def test_s1_clients_cannot_take_the_files_that_a_hub_needs_itself(running: Fleet) -> None:
    files_max, reserved = 192, 128

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))

    hub = await asyncio.to_thread(running.start, "--workers", "1", before=few_files)
    await asyncio.to_thread(wait_for, lambda: hub.ready)
    room = files_max - reserved
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(raw_socket(hub.url)) for _ in range(room)]
        for _ in range(20):
            with pytest.raises(AssertionError, match="503"):
                await stack.enter_async_context(raw_socket(hub.url))
        # Who is in is served, and the hub can still be looked at.
        await opened[0].message()
        assert await asyncio.to_thread(hub.metric, "realtime_connections") == room
        assert await asyncio.to_thread(lambda: hub.ready)
    async with connect(hub.url, running.wallets[0]) as session:
        await session.ping()
