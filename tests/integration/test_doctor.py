"""`realtime doctor` beside a hub that runs, with the Redis that it uses: real ports, real rates."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from redis_fixture import running_redis
from running_stack import running_stack

pytestmark = pytest.mark.slow


def run_doctor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "realtime_cli", "doctor", "--json"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )


async def test_it_recognises_the_running_hub_and_its_redis(tmp_path: Path) -> None:
    with running_redis(tmp_path) as redis:
        async with running_stack(tmp_path, hub=("--redis-url", redis.url)) as info:
            hub, admin = urlsplit(info.url).port, urlsplit(info.admin_url).port
            settings = f'[hub]\nport = {hub}\nadmin_port = {admin}\nredis_url = "{redis.url}"\n'
            node, http = info.node.rpartition(":")[2], urlsplit(info.http).port
            settings += f"[devnet]\nnode_port = {node}\nhttp_port = {http}\n"
            (tmp_path / "realtime.toml").write_text(settings, encoding="utf-8")
            done = await asyncio.to_thread(run_doctor, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    texts = {finding["name"]: finding["text"] for finding in report["findings"]}
    assert texts["hub.port"] == f"a hub runs on 127.0.0.1:{hub}"
    assert texts["hub.admin_port"] == f"a hub runs on 127.0.0.1:{admin}"
    assert texts["devnet.http_port"] == f"a devnet runs on 127.0.0.1:{http}"
    assert texts["devnet.node_port"] == f"a devnet runs on 127.0.0.1:{node}"
    assert texts["redis"] == f"127.0.0.1:{redis.port} answers"
    assert all(rate["per_s"] > 0 for rate in report["rates"].values())
