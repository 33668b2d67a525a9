"""Two whole hubs while their Redis is frozen, emptied and killed, as their users see it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import Fleet, HubProcess, fleet, wait_for
from realtime_cli.hub_access import post_trust
from realtime_cli.node_tick import read_current_tick
from realtime_cli.trust_order import TICKS_AHEAD, sign_trust_order
from realtime_client import (
    ConnectionClosedError,
    HubError,
    Intent,
    RealtimeError,
    Reconnect,
    Session,
    Wallet,
    connect,
)
from realtime_hub.adapters.redis_servers import TAG
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.identity import parse_identity
from realtime_protocol.qubic.contract_abi import ChainStatus, StatusSetting
from realtime_protocol.schnorrq import keypair
from redis_topologies import ask, running_topology

pytestmark = pytest.mark.slow

NEVER = Reconnect(tries_max=0)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as started:
        yield started


def two_hubs(running: Fleet) -> tuple[HubProcess, HubProcess]:
    one, two = running.start(), running.start()
    wait_for(lambda: one.ready and two.ready)
    return one, two


async def told(session: Session, backbone_ok: bool, *, within_s: float) -> None:
    """Wait until a hub says that it can, or can't, vouch for its answers."""
    async with asyncio.timeout(within_s):
        while (await session.ping()).backbone_ok is not backbone_ok:  # noqa: ASYNC110  (asked)
            await asyncio.sleep(0.05)


async def refusal(url: str, wallet: Wallet) -> ErrorCode | int | None:
    """Return why a login is refused; None when it isn't."""
    try:
        async with connect(url, wallet, reconnect=NEVER):
            return None
    except HubError as error:
        return error.code
    except ConnectionClosedError as error:
        return error.code


async def let_in(url: str, wallet: Wallet, *, within_s: float) -> None:
    """Wait until a hub lets a wallet in: at first it may not know yet that its Redis is gone."""
    async with asyncio.timeout(within_s):
        while await refusal(url, wallet) is not None:  # noqa: ASYNC110  (asked)
            await asyncio.sleep(0.1)


def block(running: Fleet, hub: HubProcess, identity: str) -> None:
    """Have the administrator block a wallet."""
    demo = json.loads((running.devnet.state / "demo.json").read_bytes())
    node = f"127.0.0.1:{running.devnet.addresses.node_port}"
    order = sign_trust_order(
        keypair(demo["admin_seed"]),
        StatusSetting(parse_identity(identity), ChainStatus.BLOCKED, 0),
        contract_index=demo["contract_index"],
        tick=read_current_tick(node) + TICKS_AHEAD,
    )
    post_trust(hub.admin_url, order)


async def test_r2_hubs_whose_redis_is_frozen_say_so_and_take_no_payment(running: Fleet) -> None:
    one, two = await asyncio.to_thread(two_hubs, running)
    first, second, third = running.wallets[:3]
    async with (
        connect(one.url, first, reconnect=NEVER) as at_one,
        connect(two.url, second, reconnect=NEVER) as at_two,
    ):
        running.redis.send(signal.SIGSTOP)
        await asyncio.gather(*(told(s, False, within_s=4) for s in (at_one, at_two)))
        with pytest.raises(RealtimeError):
            await asyncio.wait_for(at_one.pay(Intent(third.identity, 10)), 10)
        assert await refusal(two.url, third) == ErrorCode.BACKBONE_UNAVAILABLE
        running.redis.send(signal.SIGCONT)
        await asyncio.gather(*(told(s, True, within_s=5) for s in (at_one, at_two)))
        assert await refusal(two.url, third) is None


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_hubs_go_on_when_another_server_takes_over(
    running: Fleet, tmp_path: Path, kind: str
) -> None:
    with running_topology(kind, tmp_path / kind) as topology:
        hub = await asyncio.to_thread(running.start, "--redis-url", topology.url)
        await asyncio.to_thread(wait_for, lambda: hub.ready)
        victim, other = running.wallets[:2]
        async with connect(hub.url, other, reconnect=NEVER) as bystander:
            await asyncio.to_thread(block, running, hub, victim.identity)
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED
            keys = ask(topology.primary, "KEYS", "*")
            assert keys
            assert all(key.startswith(TAG.encode()) for key in keys), "one slot of a Cluster"
            await asyncio.to_thread(topology.fail_over)
            assert await refusal(hub.url, victim) is not None
            await let_in(hub.url, other, within_s=20)
            await told(bystander, True, within_s=10)
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED


async def test_r5_a_block_outlives_an_emptied_and_a_killed_redis(running: Fleet) -> None:
    one, two = await asyncio.to_thread(two_hubs, running)
    victim, other, third = running.wallets[:3]
    async with (
        connect(one.url, third, reconnect=NEVER) as at_one,
        connect(two.url, other, reconnect=NEVER) as at_two,
    ):

        async def all_told(backbone_ok: bool, *, within_s: float) -> None:
            await asyncio.gather(
                *(told(s, backbone_ok, within_s=within_s) for s in (at_one, at_two))
            )

        async with connect(two.url, victim, reconnect=NEVER) as session:
            await asyncio.to_thread(block, running, one, victim.identity)
            closed = await asyncio.wait_for(session.wait_closed(), 5)
            assert isinstance(closed, ConnectionClosedError)
            assert closed.code == CloseCode.WALLET_BLOCKED
        ask(running.redis, "FLUSHALL")
        await all_told(True, within_s=5)
        for hub in (one, two):
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED
        running.redis.stop(signal.SIGKILL)
        await all_told(False, within_s=4)
        for hub in (one, two):
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED
        running.redis.start()
        await all_told(True, within_s=5)
        for hub in (one, two):
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED
        assert await refusal(one.url, other) is None
