"""The load test against a live hub."""

import asyncio
import csv
import os
import sys
from pathlib import Path

import pytest

from running_stack import running_stack


@pytest.mark.slow
async def test_locust_users_log_in_and_get_quotes_without_a_failure(tmp_path: Path) -> None:
    async with asyncio.timeout(60), running_stack(tmp_path) as info:
        options = ["--host", info.url, "--run-time", "4s", "--users", "4", "--spawn-rate", "4"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "realtime_loadtest",
            *options,
            "--csv",
            str(tmp_path / "load"),
            env={**os.environ, "REALTIME_LOADTEST_DEMO_FILE": str(info.demo_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
    with (tmp_path / "load_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert int(rows["login"]["Request Count"]) == 4
    assert int(rows["quote"]["Request Count"]) >= 8
    assert int(rows["Aggregated"]["Failure Count"]) == 0
