"""The smart lock with the network pulled: hub and chain are gone, and the door still knows whom."""

import asyncio
import json
import sys
import urllib.request
from asyncio.subprocess import PIPE, Process
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.stack import StackInfo
from realtime_client import Delegate, Wallet, connect
from realtime_hub.surfaces.wallet_proofs import base64url
from realtime_protocol.qubic.contract_abi import ChainStatus
from rest_client import Rest, decided
from running_stack import demo_seed, running_stack, set_trust

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


async def fetch_by_rest(info: StackInfo) -> str:
    """Bring home a decision by REST alone, with a key that its wallet granted in a session."""
    rest, delegate = Rest(info), Delegate()
    async with connect(info.url, Wallet.from_seed(demo_seed(info, 0)), delegate=delegate):
        pass
    status, answer = await rest.post(
        "/verify", await rest.signed_by(delegate, audience="door-7", nonce="a-gateways-own")
    )
    assert (status, answer["by_key"], answer["key"]) == (200, True, base64url(delegate.public_key))
    decision = await decided(rest, answer["decision"], "door-7")
    assert (decision.session_key, decision.nonce) == (delegate.public_key, "a-gateways-own")
    signed = urlsafe_b64decode(answer["decision"] + "=" * (-len(answer["decision"]) % 4))
    return json.dumps({"seed": delegate.seed.hex(), "decision": signed.hex()})


async def test_a_door_opens_without_a_network_and_closes_by_news_that_is_brought(
    tmp_path: Path,
) -> None:
    phone, keys, memory = (tmp_path / name for name in ("phone.json", "keys.json", "lock.json"))
    by_rest, stolen = tmp_path / "by_rest.json", tmp_path / "stolen.json"
    async with running_stack(tmp_path) as info:
        keys.write_text(json.dumps(await asyncio.to_thread(get, f"{info.rest_url}/keys")))
        fetch = ("fetch", info.url, info.demo_path, "door-7", phone)
        assert (await run("smart_lock_phone.py", *fetch)).startswith("fetched ")
        by_rest.write_text(await fetch_by_rest(info))
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
        assert await run("smart_lock_phone.py", "knock", port, by_rest) == "open"
        assert (await line_of(lock)).startswith("open after ")
        # The decision without the key that it names.
        taken = json.loads(by_rest.read_text())
        stolen.write_text(json.dumps({**taken, "seed": "00" * 32}))
        told = await run("smart_lock_phone.py", "knock", port, stolen)
        assert told.startswith("closed: ")
        await line_of(lock)

        said = await bring(port, news["decision"])
        assert said == {"open": False, "why": "learned that the wallet is BLOCKED"}
        told = await run("smart_lock_phone.py", "knock", port, phone)
        assert told == "closed: the wallet is BLOCKED (fresh)"
    finally:
        lock.terminate()
        await lock.wait()
