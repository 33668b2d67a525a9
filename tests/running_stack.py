"""The whole product for tests: hub and devnet as processes on free ports, state in a folder.

async with running_stack(tmp_path) as info: ...
"""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from realtime_cli.hub_access import post_trust
from realtime_cli.node_tick import read_current_tick
from realtime_cli.stack import Stack, StackInfo, StackOptions
from realtime_cli.trust_order import TICKS_AHEAD, sign_trust_order
from realtime_protocol.identity import parse_identity
from realtime_protocol.qubic.contract_abi import ChainStatus, StatusSetting
from realtime_protocol.schnorrq import keypair


@contextlib.asynccontextmanager
async def running_stack(
    folder: Path, *, tick_ms: int = 100, hub: tuple[str, ...] = ()
) -> AsyncIterator[StackInfo]:
    """Run hub and devnet until the block ends."""
    devnet_options = ["--node-port", "0", "--http-port", "0", "--tick-ms", str(tick_ms)]
    options = StackOptions(
        [*devnet_options, "--state", str(folder / "devnet")],
        ["--port", "0", "--admin-port", "0", "--state", str(folder / "hub"), *hub],
        logs=folder / "logs",
    )
    async with Stack(options) as stack:
        yield stack.info


def demo_seed(info: StackInfo, number: int) -> str:
    """Return the seed of a demo wallet."""
    seed: str = json.loads(info.demo_path.read_bytes())["wallets"][number]["seed"]
    return seed


def set_trust(info: StackInfo, identity: str, status: ChainStatus, *, score: int = 0) -> None:
    """Have the administrator change a wallet's trust; blocks, so call it in a thread."""
    demo = json.loads(info.demo_path.read_bytes())
    order = sign_trust_order(
        keypair(demo["admin_seed"]),
        StatusSetting(parse_identity(identity), status, score),
        contract_index=demo["contract_index"],
        tick=read_current_tick(info.node) + TICKS_AHEAD,
    )
    post_trust(info.admin_url, order)
