"""The smart lock with the network pulled: hub and chain are gone, and the door still knows whom."""

import asyncio
import json
import sys
import urllib.request
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from realtime_protocol.qubic.contract_abi import ChainStatus
from running_stack import running_stack, set_trust

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"
# The example's 30 ms are for a quiet machine; here others work too.
ANSWER_MS_MAX = 5_000


async def start(script: str, *arguments: object) -> Process:
    words = [str(word) for word in arguments]
    return await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / script), *words, stdout=PIPE
    )


async def run(script: str, *arguments: object) -> str:
    out, _ = await asyncio.wait_for((await start(script, *arguments)).communicate(), 30)
    return out.decode().strip()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


async def bring(port: str, decision: str) -> dict[str, Any]:
    """Bring the lock a decision, without a proof that anybody is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    await reader.readline()
    writer.write(json.dumps({"decision": decision}).encode() + b"\n")
    said: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return said


async def test_a_door_opens_without_a_network_and_closes_by_news_that_is_brought(
    tmp_path: Path,
) -> None:
    phone, keys, memory = (tmp_path / name for name in ("phone.json", "keys.json", "lock.json"))
    async with running_stack(tmp_path) as info:
        keys.write_text(json.dumps(await asyncio.to_thread(get, f"{info.rest_url}/keys")))
        fetch = ("fetch", info.url, info.demo_path, "door-7", phone)
        assert (await run("smart_lock_phone.py", *fetch)).startswith("fetched ")
        wallet = info.wallets[0]
        await asyncio.to_thread(set_trust, info, wallet, ChainStatus.BLOCKED)
        url = f"{info.rest_url}/decision/{wallet}?audience=door-7"
        news = await asyncio.to_thread(get, url)
        assert news["status"] == "BLOCKED"

    # The network is pulled: hub and devnet have ended.
    assert phone.stat().st_mode & 0o077 == 0
    lock = await start("smart_lock.py", "door-7", keys, memory, 0, ANSWER_MS_MAX)
    try:
        port = (await line_of(lock)).removeprefix("waiting on port ")
        assert await run("smart_lock_phone.py", "knock", port, phone) == "open"
        assert (await line_of(lock)).startswith("open after ")

        said = await bring(port, news["decision"])
        assert said == {"open": False, "why": "learned that the wallet is BLOCKED"}
        told = await run("smart_lock_phone.py", "knock", port, phone)
        assert told == "closed: the wallet is BLOCKED (fresh)"
    finally:
        lock.terminate()
        await lock.wait()
