"""Two whole hubs while their Redis is frozen, emptied and killed, as their users see it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from redis_topologies import ask, find_disk_full, running_topology

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
    post_trust(hub.admin_url, order_to_block(running, identity))


def order_to_block(running: Fleet, identity: str, *, ticks_ahead: int = TICKS_AHEAD) -> bytes:
    """Return the administrator's signed order to block a wallet."""
    demo = json.loads((running.devnet.state / "demo.json").read_bytes())
    node = f"127.0.0.1:{running.devnet.addresses.node_port}"
    return sign_trust_order(
        keypair(demo["admin_seed"]),
        StatusSetting(parse_identity(identity), ChainStatus.BLOCKED, 0),
        contract_index=demo["contract_index"],
        tick=read_current_tick(node) + ticks_ahead,
    )


def post_surely(hub: HubProcess, order: bytes) -> dict[str, Any]:
    """Hand an order in, the same bytes again and again, until the hub says that it has it."""

    def reply() -> dict[str, Any] | None:
        try:
            return post_trust(hub.admin_url, order)
        except HubError as error:
            if error.code != ErrorCode.BACKBONE_UNAVAILABLE:
                raise
            return None

    return wait_for(reply)


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


def says_that_redis_fails(hub: HubProcess) -> bool:
    """Whether a hub's metric and its log tell."""
    told = any(name in hub.log.read_text() for name in ("trust publications: ", "trust log: "))
    return told and hub.metric("realtime_trust_log_ok") == 0


@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_r8_a_full_disk_is_told_of_and_loses_no_block(running: Fleet, fsync: str) -> None:
    """With `always` the short write ends Redis, with `everysec` it refuses what may write."""
    redis = running.redis
    ask(redis, "CONFIG", "SET", "appendfsync", fsync)
    one, two = await asyncio.to_thread(two_hubs, running)
    victim, other = running.wallets[:2]
    async with (
        connect(two.url, victim, reconnect=NEVER) as session,
        connect(one.url, other, reconnect=NEVER) as bystander,
    ):
        for hub in (one, two):
            assert hub.metric("realtime_trust_log_ok") == 1
        redis.fill_disk()
        if fsync == "everysec":
            await asyncio.to_thread(find_disk_full, redis)
        order = order_to_block(running, victim.identity)
        with pytest.raises(HubError) as raised:
            await asyncio.to_thread(post_trust, one.admin_url, order)
        assert raised.value.code == ErrorCode.BACKBONE_UNAVAILABLE
        for hub in (one, two):
            await asyncio.to_thread(wait_for, lambda hub=hub: says_that_redis_fails(hub))
        assert redis.has_ended is (fsync == "always")
        await told(bystander, False, within_s=4)
        await asyncio.to_thread(wait_for, lambda: "Redis hasn't answered" in two.readiness()[1])
        assert await refusal(two.url, other) == ErrorCode.BACKBONE_UNAVAILABLE
        if redis.has_ended:
            redis.stop()
            redis.start()
        else:
            redis.free_disk()
        await told(bystander, True, within_s=10)
        closed = await asyncio.wait_for(session.wait_closed(), 10)
        assert isinstance(closed, ConnectionClosedError)
        assert closed.code == CloseCode.WALLET_BLOCKED
        for hub in (one, two):
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED
            assert await asyncio.to_thread(
                wait_for, lambda hub=hub: hub.metric("realtime_trust_log_ok")
            )


async def test_r12_an_order_whose_answer_was_lost_counts_once_however_often_it_is_sent(
    tmp_path: Path,
) -> None:
    with fleet(tmp_path, tick_ms=1_000) as running:
        one, two = await asyncio.to_thread(two_hubs, running)
        first, victim = running.wallets[:2]
        # The first one makes Redis know the script; then it freezes with the second under way.
        await asyncio.to_thread(
            post_trust, one.admin_url, order_to_block(running, first.identity, ticks_ahead=55)
        )
        order = order_to_block(running, victim.identity, ticks_ahead=55)
        running.redis.send(signal.SIGSTOP)
        with pytest.raises(HubError) as raised:
            await asyncio.to_thread(post_trust, one.admin_url, order)
        assert raised.value.code == ErrorCode.BACKBONE_UNAVAILABLE
        running.redis.send(signal.SIGCONT)
        replies = [await asyncio.to_thread(post_surely, one, order) for _ in range(3)]
        assert replies == [{"log_seq": 2, "state": "pending"}] * 3
        for hub in (one, two):
            await asyncio.to_thread(
                wait_for, lambda hub=hub: hub.metric("realtime_trust_log_head") == 2
            )
            assert await refusal(hub.url, victim) == ErrorCode.WALLET_BLOCKED
        [log] = [key for key in ask(running.redis, "KEYS", "*") if key.endswith(b":trust:log")]
        assert ask(running.redis, "XLEN", log) == 2
