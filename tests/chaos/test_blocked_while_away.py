"""Whoever was blocked while away stays out: 10,000 wallets, counted one by one.

Two hubs on one Redis over a devnet. Every session is cut off. Some wallets are blocked before the
first one comes back, by orders that the contract lists; the others while they come back, by orders
that the contract lists and by orders that a hub is handed in batches, in another order than that in
which they come.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from bench.hub.generator import Generator, compile_generator, running_generator
from bench.hub.network import GENESIS
from bench.hub.processes import cores
from bench.hub.servers import running_network
from bench.hub.wallets import SCORE, WALLETS, wallet, write_wallets
from fleet import HubProcess, wait_for
from realtime_cli.hub_access import post_trust
from realtime_cli.node_tick import read_current_tick
from realtime_cli.trust_order import cut_batches, sign_order
from realtime_client import HubError
from realtime_devnet.settings import CONTRACT_INDEX
from realtime_hub.adapters.qubic_node import NodeAddress, QubicNodes
from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.messages import TrustStatus, TrustTier
from realtime_protocol.qubic.contract_abi import (
    BATCH_WALLETS_MAX,
    ChainStatus,
    Procedure,
    StatusSetting,
)
from realtime_protocol.schnorrq import keypair
from redis_fixture import running_redis
from redis_topologies import ask

pytestmark = pytest.mark.slow
logger = logging.getLogger(__name__)

ROOT: Final = Path(__file__).parents[2]
BLOCKED_BEFORE: Final = 4_000
"""In one tick. The contract lists the last 4,096 changes; more would be read anew, not heard."""
BLOCKED_BY_CHAIN: Final = 2_000
"""Of the others, in one tick while they come back; what is left is ordered at the hub: 4,000, no
more than 256 orders of 16, which are all that it has under way."""
AT_SECOND: Final = 2_500
"""So many of the wallets come back to the other hub."""
PARALLEL: Final = 256
TICK_MS: Final = 1_500
SOON_TICKS: Final = 4
LATE_TICKS: Final = 55
"""Until then an order is pending, and counts by the trust log alone."""
STEP_MS_MAX: Final = 60_000
TRIES_MAX: Final = 50
FOR_GOOD: Final = (ErrorCode.WALLET_BLOCKED, ErrorCode.RESUME_REUSED)
"""The second where a resume was made but answered too late, and was tried again after 10 s."""
RACED_MIN: Final = 100
"""So many at least have to be let in before their block, and as many refused, to call it a race."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection of one wallet."""

    number: int
    began_ns: int
    let_in_ns: int
    """0: the hub never let it in."""
    ended_ns: int
    close_code: int
    refusal: int

    @property
    def is_let_in(self) -> bool:
        return self.let_in_ns > 0

    @property
    def is_told_why_not(self) -> bool:
        return self.close_code == CloseCode.WALLET_BLOCKED or self.refusal in FOR_GOOD


@dataclass
class Administrator:
    """Blocks wallets by signed orders and notes when each counted."""

    node: str
    admin_url: str
    counts_ns: dict[int, int] = field(default_factory=dict)
    """Wallet -> since when its block is acknowledged."""

    async def block_by_chain(self, numbers: Sequence[int]) -> None:
        """Hand orders to the node alone: hubs hear of them once the contract lists them."""
        nodes = QubicNodes([NodeAddress.parse(self.node)], SystemClock(), SystemEntropy())
        for some in batches(numbers):
            await nodes.broadcast(self._order(some, SOON_TICKS))
        nodes.close()

    def all_count(self, numbers: Sequence[int]) -> None:
        """Note that the blocks of these are known to have counted by now."""
        self.counts_ns |= dict.fromkeys(numbers, time.monotonic_ns())

    def block_at_hub(self, numbers: Sequence[int]) -> None:
        """Hand orders to the hub; return when the last one is acknowledged."""
        for some in batches(numbers):
            order = self._order(some, LATE_TICKS)
            while True:
                try:
                    post_trust(self.admin_url, order)
                    break
                except HubError as error:
                    # On a busy machine Redis may answer too late; the same bytes again tell.
                    if error.code != ErrorCode.BACKBONE_UNAVAILABLE:
                        raise
            self.all_count(some)

    def _order(self, numbers: Sequence[int], ticks_ahead: int) -> bytes:
        [payload] = cut_batches(
            [
                StatusSetting(PublicKey(wallet(one).public_key), ChainStatus.BLOCKED, 0)
                for one in numbers
            ]
        )
        return sign_order(
            keypair(GENESIS.admin_seed),
            Procedure.SET_STATUSES,
            payload,
            destination=contract_public_key(CONTRACT_INDEX),
            tick=read_current_tick(self.node) + ticks_ahead,
        )


def has_heard(hub: HubProcess, changes: int) -> None:
    """Wait until a hub has heard of so many changes."""
    wait_for(lambda: hub.metric("realtime_trust_log_head") >= changes)


def batches(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [
        numbers[begin : begin + BATCH_WALLETS_MAX]
        for begin in range(0, len(numbers), BATCH_WALLETS_MAX)
    ]


@dataclass(frozen=True, slots=True)
class Place:
    """Two hubs, the generator with all the sessions in a group for each hub, who may block."""

    hubs: Sequence[HubProcess]
    generator: Generator
    administrator: Administrator

    async def tell(self, command: str, *words: object) -> dict[str, Any]:
        return await asyncio.to_thread(self.generator.tell, command, *words)

    async def attempts(self) -> list[Attempt]:
        """Return the newest attempt of each wallet."""
        found: list[Attempt] = []
        for group in range(len(self.hubs)):
            found += [Attempt(*row) for row in (await self.tell("sessions", group))["sessions"]]
        return found

    async def cut_off(self) -> None:
        """Cut every connection, without a word; all may come back then."""
        for group in range(len(self.hubs)):
            await self.tell("cut", group)

    async def come_back(self, how: str) -> list[Attempt]:
        """Have all that are away try until each was let in or refused for good.

        A busy machine may give other answers, or none, that tell nothing of the wallet: those try
        again. Return all attempts.
        """
        every: list[Attempt] = []
        for _ in range(TRIES_MAX):
            for group, hub in enumerate(self.hubs):
                await self.tell("port", port_of(hub))
                await self.tell("back", group, PARALLEL, STEP_MS_MAX, how)
            newest = await self.attempts()
            every += newest
            unclear = [one for one in newest if not (one.is_let_in or one.is_told_why_not)]
            if not unclear:
                return every
        raise AssertionError(f"no clear answer: {unclear[:5]}")

    async def all_ended(self) -> None:
        """Wait until no session lives."""
        for group in range(len(self.hubs)):
            ended = await self.tell("ended", group, STEP_MS_MAX)
            assert ended["alive"] == 0, "blocked wallets keep their sessions"


def port_of(hub: HubProcess) -> int:
    port = urlsplit(hub.rest_url).port
    assert port is not None
    return port


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "loadtest"))
    monkeypatch.setenv("REALTIME_HUB_PUBLIC_URI", "ws://hub.example/v1")
    monkeypatch.setenv("REALTIME_HUB_NATIVE_DOMAIN", "hub.example")
    (tmp_path / "redis").mkdir()
    answer = [TrustStatus.ACTIVE, SCORE, 0, 0, TrustTier.L1, 0, 0]
    write_wallets(tmp_path / "wallets", [[int(each) for each in answer]])
    _, core = cores()
    with ExitStack() as parts:
        redis = parts.enter_context(running_redis(tmp_path / "redis"))
        # A killed process leaves what it wrote to the kernel; only a lost machine needs more.
        ask(redis, "CONFIG", "SET", "appendfsync", "everysec")
        network = parts.enter_context(running_network(core, tick_ms=TICK_MS))
        options = ["--port", "0", "--admin-port", "0", "--redis-url", redis.url]
        options += ["--node", network["node"], "--admin", network["admin"]]
        options += ["--state", str(tmp_path / "hub")]
        hubs = []
        for number in range(2):
            hub = await asyncio.to_thread(HubProcess, options, tmp_path / f"hub-{number}.log")
            parts.callback(hub.end)
            await asyncio.to_thread(wait_for, lambda hub=hub: hub.ready)
            hubs.append(hub)
        generator = running_generator(
            compile_generator(tmp_path),
            port=port_of(hubs[0]),
            server_pid=hubs[0].process.pid,
            wallets=tmp_path / "wallets",
            core=core,
        )
        administrator = Administrator(network["node"], hubs[0].admin_url)
        yield Place(hubs, parts.enter_context(generator), administrator)


@pytest.mark.timeout(300)
async def test_of_ten_thousand_wallets_blocked_while_away_none_is_let_in(place: Place) -> None:
    administrator = place.administrator
    order = random.Random(5).sample(range(WALLETS), WALLETS)
    before, meanwhile = order[:BLOCKED_BEFORE], order[BLOCKED_BEFORE:]
    by_chain, at_hub = meanwhile[:BLOCKED_BY_CHAIN], meanwhile[BLOCKED_BY_CHAIN:]
    for group, count in enumerate((WALLETS - AT_SECOND, AT_SECOND)):
        opened = await place.tell("open", group, count, PARALLEL, STEP_MS_MAX)
        assert opened["opened"] == count
    await place.cut_off()
    await administrator.block_by_chain(before)
    for hub in place.hubs:
        await asyncio.to_thread(has_heard, hub, len(before))
    administrator.all_count(before)
    await administrator.block_by_chain(by_chain)
    blocking = asyncio.create_task(asyncio.to_thread(administrator.block_at_hub, at_hub))
    resumes = await place.come_back("resume")
    await blocking
    await place.all_ended()
    administrator.all_count(by_chain)
    ended = await place.attempts()
    await place.cut_off()
    logins = await place.come_back("login")

    counts_ns = administrator.counts_ns
    assert len(counts_ns) == len(ended) == WALLETS
    let_in = [one for one in (*resumes, *ended) if one.is_let_in]
    assert [one for one in let_in if one.began_ns > counts_ns[one.number]] == []
    assert {one.close_code for one in ended if one.is_let_in} == {CloseCode.WALLET_BLOCKED}
    assert [one for one in logins if one.is_let_in] == []
    assert [hub.metric("realtime_sessions") for hub in place.hubs] == [0, 0]
    raced = len({one.number for one in let_in})
    logger.info("%d were let in before their block, and closed by it", raced)
    assert RACED_MIN <= raced <= len(meanwhile) - RACED_MIN
