"""Rotating the key of decisions while a hub runs: nothing that was signed loses its worth."""

import asyncio
import base64
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.main import main
from realtime_cli.stack import StackInfo
from realtime_protocol.decision import Decision, verify_decision
from running_stack import running_stack
from waiting import eventually

pytestmark = pytest.mark.slow


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def published(info: StackInfo) -> dict[bytes, tuple[str, bytes]]:
    """Return state and public key of each key of decisions, by id."""
    return {
        bytes.fromhex(key["key_id"]): (key["state"], bytes.fromhex(key["public_key"]))
        for key in fetch(f"{info.rest_url}/keys")["keys"]
        if key["purpose"] == "decision"
    }


def decide(info: StackInfo) -> bytes:
    text = fetch(f"{info.rest_url}/decision/{info.wallets[0]}?audience=door-7")["decision"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check(info: StackInfo, signed: bytes) -> Decision:
    keys = {key_id: key for key_id, (_, key) in published(info).items()}
    return verify_decision(signed, keys, audience="door-7")


async def test_a_running_hub_takes_up_a_new_key_and_keeps_the_old_one_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_stack(tmp_path) as info:
        before = await asyncio.to_thread(decide, info)
        [old] = await asyncio.to_thread(published, info)
        state = str(tmp_path / "hub")
        assert main(["keys", "rotate", "decision", "--lead", "0", "--state", state]) == 0
        capsys.readouterr()
        await eventually(lambda: len(published(info)) == 2, within_s=20)

        after = await asyncio.to_thread(decide, info)
        keys = await asyncio.to_thread(published, info)
        assert (await asyncio.to_thread(check, info, before)).key_id == old
        assert keys[old][0] == "retired"
        new = (await asyncio.to_thread(check, info, after)).key_id
        assert new != old
        assert keys[new][0] == "signing"
