"""The JS client on Node against a live hub: log in, follow trust, quote, pay, be blocked."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.stack import StackInfo
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import PaymentState, TrustStatus
from realtime_protocol.qubic.contract_abi import ChainStatus
from running_stack import demo_seed, running_stack, set_trust

ROOT = Path(__file__).parents[2]
JS = ROOT / "clients" / "js"
WALLET_PROCESS = Path(__file__).with_name("wallet_process.py")
AMOUNT_QU = 1_234
STORY_S_MAX = 90.0
TICK_MS = 400
"""Long enough that a busy machine signs in time for its tick."""

Event = dict[str, Any]


@pytest.fixture(scope="module")
def built_client() -> Path:
    """The JS client's build; `make js` makes it."""
    assert shutil.which("node"), "Node 20 or newer is needed; apt install nodejs"
    assert (JS / "dist" / "index.js").exists(), "the JS client isn't built; run: make js"
    return JS / "e2e" / "live-hub.mjs"


@contextlib.asynccontextmanager
async def story(
    script: Path, info: StackInfo, scheme: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the JS story of demo wallet 0, paying demo wallet 1."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        info.url,
        info.wallets[1],
        str(AMOUNT_QU),
        sys.executable,
        str(WALLET_PROCESS),
        scheme,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "REALTIME_TEST_SEED": demo_seed(info, 0)},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def events_of(process: asyncio.subprocess.Process) -> AsyncIterator[Event]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["WC", "K12", "RAW"])
async def test_a_wallet_logs_in_pays_and_is_blocked_from_node(
    built_client: Path, tmp_path: Path, scheme: str
) -> None:
    told: list[Event] = []
    async with (
        asyncio.timeout(STORY_S_MAX),
        running_stack(tmp_path, tick_ms=TICK_MS) as info,
        story(built_client, info, scheme) as process,
    ):
        async for event in events_of(process):
            told.append(event)
            if event["event"] == "waiting for the block":
                await asyncio.to_thread(set_trust, info, info.wallets[0], ChainStatus.BLOCKED)
        assert await process.wait() == 0, told
    named = {event["event"]: event for event in told}
    assert named["open"]["scopes"] == ["trust", "quote", "pay"]
    assert named["trust"]["status"] != TrustStatus.BLOCKED
    assert named["quote"]["kind"] == "direct"
    assert named["quote"]["executable"]
    states = [event["state"] for event in told if event["event"] == "payment"]
    assert states == sorted(states)
    assert states[-1] == PaymentState.SETTLED
    assert named["ended"]["settled"]
    assert named["misuse"]["name"] == "LocalProtocolError"
    assert named["refused"]["is_request_error"]
    assert named["changed"] | {"at_ms": 0} == {
        "event": "changed",
        "at_ms": 0,
        "status": TrustStatus.BLOCKED,
        "pending": True,
        "blocked": True,
    }
    assert named["closed"]["code"] == CloseCode.WALLET_BLOCKED
    assert not named["closed"]["retry"]
    assert named["login again"]["code"] == ErrorCode.WALLET_BLOCKED
