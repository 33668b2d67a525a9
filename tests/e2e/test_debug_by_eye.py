"""The session of docs/howto/debug-by-eye.md, line by line, against the product."""

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from realtime_cli.stack import StackInfo
from running_stack import running_stack

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs/howto/debug-by-eye.md").read_text("utf-8")
TYPED = re.compile(r"^> (\[.*\])$", re.MULTILINE)
SHOWN = re.compile(r"^< (\[.*\])$", re.MULTILINE)
COMMAND = re.compile(r"^\.venv/bin/realtime (.*)$", re.MULTILINE)
WITHIN_S = 30


def form_of(value: Any) -> Any:
    """Return of what a message consists, without its values."""
    if isinstance(value, list):
        return [form_of(item) for item in value]
    return sorted(value) if isinstance(value, dict) else type(value).__name__


def is_like(line: str, shown: str) -> bool:
    """Whether a line has the form of what the page shows; ``,...`` stands for the rest."""
    if ",..." in shown:
        return line.startswith(shown.partition(',["')[0])
    message, expected = json.loads(line), json.loads(shown)
    placed = 2 if message[0] < 0x80 else 1  # Of a push, what the log says isn't the page's.
    alike: bool = message[:placed] == expected[:placed] and form_of(message) == form_of(expected)
    return alike


async def realtime(command: str, *options: str, node: str, given: str = "") -> str:
    """Run a command of the page, with *options* that say where this stack is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "realtime_cli", *shlex.split(command.partition("<<<")[0]), *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "REALTIME_HUB_NODES": node},
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(given.encode()), WITHIN_S)
    assert process.returncode == 0
    return out.decode()


async def read(websocket: ClientConnection) -> str:
    """Return the next line but checkpoints, which come when they want."""
    while True:
        line = await asyncio.wait_for(websocket.recv(), WITHIN_S)
        assert isinstance(line, str)
        if not line.startswith("[145,"):
            return line


async def test_the_session_of_the_page_can_be_had(tmp_path: Path) -> None:
    async with (
        running_stack(tmp_path, tick_ms=300) as info,
        connect(
            info.url, subprotocols=[Subprotocol("realtime.qubic.v1.json")], proxy=None
        ) as websocket,
    ):
        await follow_the_page(websocket, info)


async def follow_the_page(websocket: ClientConnection, info: StackInfo) -> None:
    typed, shown, commands = TYPED.findall(PAGE), SHOWN.findall(PAGE), COMMAND.findall(PAGE)
    assert (len(typed), len(shown), len(commands)) == (6, 7, 2)
    at = ["--demo-file", str(info.demo_path)]
    assert (await read(websocket)).startswith("[128,0,0,[")
    await websocket.send(typed[0])
    challenge = await read(websocket)
    assert is_like(challenge, shown[0])
    domain = json.loads(challenge)[2][3]
    login = await realtime(
        commands[0], "--url", info.url, "--domain", domain, *at, node=info.node, given=challenge
    )
    assert form_of(json.loads(login)) == form_of(json.loads(typed[1]))
    for line, answer in zip([login, *typed[2:]], shown[1:6], strict=True):
        await websocket.send(line)
        assert is_like(told := await read(websocket), answer), told
    order = commands[1].replace("WALLET", info.wallets[0])
    await realtime(order, "--admin-url", info.admin_url, *at, node=info.node)
    changed = await read(websocket)
    assert is_like(changed, shown[6]), changed
    assert json.loads(changed)[3][:2] == [info.wallets[0], 2]
    with pytest.raises(ConnectionClosedError) as caught:
        await read(websocket)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4503
