"""The load tests against a live hub."""

import asyncio
import csv
import os
import sys
from pathlib import Path

import pytest

from realtime_cli.stack import StackInfo
from running_stack import running_stack

pytestmark = pytest.mark.slow
WITHIN_S = 60.0

Rows = dict[str, dict[str, str]]


async def load(info: StackInfo, folder: Path, *arguments: str) -> Rows:
    """Run a load test; return Locust's figures by name."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "realtime_loadtest",
        *arguments,
        *("--host", info.url, "--csv", str(folder / "load")),
        env={**os.environ, "REALTIME_LOADTEST_DEMO_FILE": str(info.demo_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    with (folder / "load_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert int(rows["Aggregated"]["Failure Count"]) == 0, output.decode()
    return rows


def count(rows: Rows, name: str) -> int:
    """Return how often something was done."""
    return int(rows[name]["Request Count"]) if name in rows else 0


async def test_users_log_in_and_get_quotes_without_a_failure(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN_S), running_stack(tmp_path) as info:
        rows = await load(info, tmp_path, "--run-time=4s", "--users=4", "--spawn-rate=4")
    assert count(rows, "login") == 4
    assert count(rows, "quote") >= 8


async def test_users_who_are_cut_off_together_all_resume(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN_S), running_stack(tmp_path) as info:
        rows = await load(info, tmp_path, "storm", "--run-time=8s", "--users=4", "--spawn-rate=4")
    assert count(rows, "login") == 4
    assert count(rows, "resume") == count(rows, "back after a cut") >= 4


async def test_watchers_hear_of_each_change(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN_S), running_stack(tmp_path) as info:
        rows = await load(info, tmp_path, "watch", "--run-time=6s", "--users=4", "--spawn-rate=4")
    assert count(rows, "watch") == 3
    assert count(rows, "change") >= 3 * count(rows, "order") > 0


async def test_slow_readers_are_left_alone_beside_others(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN_S), running_stack(tmp_path) as info:
        rows = await load(info, tmp_path, "slow", "--run-time=8s", "--users=4", "--spawn-rate=4")
    assert count(rows, "login") == 4
    assert count(rows, "piece") >= 2 * 8 * 4
    assert count(rows, "quote") >= 8
