"""A hub with several workers: one port, one administration, no worker lost for good."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import Fleet, HubProcess, fleet, wait_for
from realtime_cli.main import main
from realtime_client import Reconnect, connect

pytestmark = pytest.mark.slow

# So many tries that a worker on a busy machine is up before the last.
AGAIN = Reconnect(first_s=0.05, longest_s=0.2, tries_max=200)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as started:
        yield started


@pytest.fixture
def hub(running: Fleet) -> HubProcess:
    started = running.start("--workers", "2")
    wait_for(lambda: all_ready(started))
    return started


def admin(hub: HubProcess, path: str, method: str = "GET") -> Any:
    request = urllib.request.Request(hub.admin_url + path, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def all_ready(hub: HubProcess) -> bool:
    try:
        return bool(admin(hub, "/readyz")["ready"])
    except OSError:
        return False


def pids(hub: HubProcess) -> list[int]:
    return [one["pid"] for one in admin(hub, "/admin/v1/workers")["workers"]]


def by_worker(hub: HubProcess, name: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{hub.admin_url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(rf'^{name}\{{worker="(\d+)"\}} (\S+)$', text, re.MULTILINE)
    return {worker: float(value) for worker, value in found}


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def test_workers_share_one_port_and_show_on_one_administration(
    running: Fleet, hub: HubProcess
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        wallets = running.wallets
        for number in range(12):
            await stack.enter_async_context(connect(hub.url, wallets[number % len(wallets)]))
        sessions = await asyncio.to_thread(by_worker, hub, "realtime_sessions")
        assert sum(sessions.values()) == 12
        assert set(sessions) == {"0", "1"}
        owners = await asyncio.to_thread(by_worker, hub, "realtime_payments_owner")
        assert sum(owners.values()) == 1
        first = await asyncio.to_thread(admin, hub, "/admin/v1/sessions?limit=10")
        rest = await asyncio.to_thread(
            admin, hub, f"/admin/v1/sessions?limit=10&after={first['after']}"
        )
        sids = [one["sid"] for one in first["sessions"] + rest["sessions"]]
        assert (len(sids), rest["after"]) == (12, None)
        assert sids == sorted(set(sids))
        one = await asyncio.to_thread(admin, hub, f"/admin/v1/sessions/{sids[0]}")
        assert one["sid"] == sids[0]


async def test_a_worker_that_is_killed_comes_back_and_its_sessions_go_on(
    running: Fleet, hub: HubProcess
) -> None:
    before = await asyncio.to_thread(pids, hub)
    async with connect(hub.url, running.wallets[0], reconnect=AGAIN) as session:
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_for, lambda: None not in pids(hub) and all_ready(hub))
        await session.wait_ready()
        await session.ping()
        assert session.reconnects == 1
    restarts = await asyncio.to_thread(by_worker, hub, "realtime_worker_restarts_total")
    assert restarts == {"0": 1, "1": 1}
    assert not set(before) & set(await asyncio.to_thread(pids, hub))


async def test_a_worker_that_stands_still_is_killed_and_replaced(
    running: Fleet, hub: HubProcess
) -> None:
    stopped, other = await asyncio.to_thread(pids, hub)
    os.kill(stopped, signal.SIGSTOP)
    await asyncio.to_thread(wait_for, lambda: stopped not in pids(hub), within_s=20)
    await asyncio.to_thread(wait_for, lambda: None not in pids(hub) and all_ready(hub))
    assert other in await asyncio.to_thread(pids, hub)


async def test_hang_up_replaces_the_workers_one_by_one_and_no_session_is_lost(
    running: Fleet, hub: HubProcess
) -> None:
    before = await asyncio.to_thread(pids, hub)
    async with connect(hub.url, running.wallets[0], reconnect=AGAIN) as session:
        hub.send(signal.SIGHUP)
        await asyncio.to_thread(wait_for, lambda: not set(before) & set(pids(hub)))
        await asyncio.to_thread(wait_for, lambda: not any(map(lives, before)))
        await session.wait_ready()
        await session.ping()
    restarts = await asyncio.to_thread(by_worker, hub, "realtime_worker_restarts_total")
    assert restarts == {"0": 0, "1": 0}


def test_told_to_end_or_killed_it_leaves_no_worker_behind(running: Fleet, hub: HubProcess) -> None:
    left = pids(hub)
    assert hub.end(signal.SIGTERM) == 0
    assert not any(map(lives, left))
    other = running.start("--workers", "2")
    left = pids(other)
    other.end(signal.SIGKILL)
    wait_for(lambda: not any(map(lives, left)))


def test_a_port_that_a_stranger_has_is_not_shared_with_him(running: Fleet, hub: HubProcess) -> None:
    port = hub.url.rpartition(":")[2].partition("/")[0]
    options = ["--port", port, "--admin-port", "0", "--redis-url", running.redis.url]
    asked = subprocess.run(
        [sys.executable, "-m", "realtime_cli", "serve", "--workers", "2", *options],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert asked.returncode == 1
    assert f"can't listen on 127.0.0.1:{port}" in asked.stderr


async def test_the_command_line_lists_sessions_and_workers_and_restarts_them(
    running: Fleet, hub: HubProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await asyncio.to_thread(pids, hub)
    where = ["--admin-url", hub.admin_url]
    async with connect(hub.url, running.wallets[0], reconnect=AGAIN) as session:
        assert await asyncio.to_thread(main, ["sessions", *where]) == 0
        assert session.login.sid in capsys.readouterr().out
        assert await asyncio.to_thread(main, ["sessions", session.login.sid, *where]) == 0
        assert json.loads(capsys.readouterr().out)["wallet"] == running.wallets[0].identity
        assert await asyncio.to_thread(main, ["sessions", "nobody", *where]) == 1
        assert "no session has this id" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["workers", "list", *where]) == 0
        assert str(before[0]) in capsys.readouterr().out
        assert await asyncio.to_thread(main, ["workers", "drain", "--worker", "0", *where]) == 0
        await asyncio.to_thread(wait_for, lambda: not all_ready(hub))
        assert await asyncio.to_thread(main, ["workers", "restart", *where]) == 0
        await asyncio.to_thread(wait_for, lambda: not set(before) & set(pids(hub)))
        await asyncio.to_thread(wait_for, lambda: all_ready(hub))
