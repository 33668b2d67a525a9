"""Following the chain: every processed tick once, in order, from our network only."""

from dataclasses import replace

import pytest

from fakes import FakeClock
from realtime_hub.adapters.memory_payments import MemoryNetworkMemory
from realtime_hub.chain.model import Entity, NodeUnavailable, ProcessedTick, TickInfo
from realtime_hub.chain.watcher import ChainWatcher, WatcherSettings
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.node_wire import TickData, TickTime

BEGIN = 1_000
DIGEST = b"d" * 32
DEVNET = WatcherSettings(chain="devnet", resets_expected=True)
MAINNET = WatcherSettings(chain="mainnet", resets_expected=False)


class FakeNode:
    """A node of a network whose ticks hold what a test says."""

    def __init__(self, *, name: int = 1, tick: int = BEGIN + 1, epoch: int = 1) -> None:
        self.generation = 1
        self.tick = tick
        self.epoch = epoch
        self.initial_tick = BEGIN
        self.name = name
        self.filled: dict[int, tuple[bytes, ...]] = {BEGIN: ()}
        self.reachable = True
        self.unproven: set[int] = set()
        self.asked: list[int] = []

    async def tick_info(self) -> TickInfo:
        self._require_reachable()
        return TickInfo(self.tick, self.epoch, self.initial_tick, 0)

    async def tick_data(self, tick: int) -> TickData | None:
        self._require_reachable()
        self.asked.append(tick)
        if tick in self.unproven:
            raise NodeUnavailable("one proof is missing")
        if tick not in self.filled:
            return None
        return TickData.build(
            computor_index=0,
            epoch=self.epoch,
            tick=tick,
            time=TickTime(2026, 1, 1, 0, 0, 0, 0),
            timelock=bytes([self.name]) * 32,
            digests=self.filled[tick],
        )

    async def entity(self, key: PublicKey) -> Entity | None:
        self._require_reachable()
        return Entity(key, 5, 1, 0, 1, 0, self.tick)

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        self._require_reachable()

    async def transaction(self, digest: bytes) -> bytes | None:
        return None

    async def tick_transactions(self, tick: int) -> list[bytes]:
        return []

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        return b""

    def reconnect(self) -> None:
        self.generation += 1

    def become(self, other: "FakeNode") -> None:
        """Be another node from the next connection on."""
        self.__dict__.update(other.__dict__ | {"generation": self.generation + 1})

    def _require_reachable(self) -> None:
        if not self.reachable:
            raise NodeUnavailable("unplugged")


class Bench:
    """A watcher over a fake node, polled by hand."""

    def __init__(
        self,
        node: FakeNode | None = None,
        *,
        settings: WatcherSettings = DEVNET,
        memory: MemoryNetworkMemory | None = None,
    ) -> None:
        self.node = node or FakeNode()
        self.clock = FakeClock()
        self.memory = memory or MemoryNetworkMemory()
        self.watcher = ChainWatcher(self.node, self.memory, self.clock, settings)
        self.seen: list[ProcessedTick] = []
        self.watcher.listeners.append(self.seen.append)

    @property
    def ticks(self) -> list[int]:
        return [one.tick for one in self.seen]

    async def poll(self, *, tick: int | None = None) -> bool:
        if tick is not None:
            self.node.tick = tick
        return await self.watcher.poll()

    def healthy(self) -> bool:
        return self.watcher.healthy

    async def poll_in_vain(self) -> None:
        with pytest.raises(NodeUnavailable):
            await self.watcher.poll()

    def restarted(self, *, settings: WatcherSettings = DEVNET) -> "Bench":
        return Bench(self.node, settings=settings, memory=self.memory)


async def test_every_processed_tick_is_told_once_and_in_order() -> None:
    bench = Bench()
    bench.node.filled[BEGIN + 2] = (DIGEST,)
    await bench.poll()
    await bench.poll()
    await bench.poll(tick=BEGIN + 4)
    assert bench.seen == [
        ProcessedTick(BEGIN, 1, ()),
        ProcessedTick(BEGIN + 1, 1, None),
        ProcessedTick(BEGIN + 2, 1, (DIGEST,)),
        ProcessedTick(BEGIN + 3, 1, None),
    ]
    assert bench.watcher.current_tick == BEGIN + 4


async def test_missed_ticks_are_caught_up_in_bounded_rounds() -> None:
    bench = Bench(settings=replace(DEVNET, ticks_per_round_max=4))
    await bench.poll()
    assert await bench.poll(tick=BEGIN + 11)
    assert bench.ticks == list(range(BEGIN, BEGIN + 5))
    while await bench.poll():
        pass
    assert bench.ticks == list(range(BEGIN, BEGIN + 11))


async def test_a_node_that_is_lost_is_told_and_its_return_loses_no_tick() -> None:
    bench = Bench()
    await bench.poll()
    assert bench.healthy()
    bench.node.reachable = False
    await bench.poll_in_vain()
    bench.clock.advance_ms(2_500)
    assert not bench.healthy()
    assert "2.5 s" in str(bench.watcher.trouble)
    bench.node.reachable = True
    bench.node.reconnect()
    await bench.poll(tick=BEGIN + 3)
    assert bench.healthy()
    assert bench.ticks == [BEGIN, BEGIN + 1, BEGIN + 2]


async def test_before_anything_is_processed_there_is_no_network_yet() -> None:
    bench = Bench(FakeNode(tick=BEGIN))
    await bench.poll()
    assert not bench.healthy()
    with pytest.raises(NodeUnavailable):
        _ = bench.watcher.network_id
    await bench.poll(tick=BEGIN + 1)
    assert bench.healthy()
    await bench.watcher.wait_ready()


async def test_a_tick_that_cannot_be_proven_is_asked_again_and_then_left_out() -> None:
    bench = Bench(settings=replace(DEVNET, unproven_rounds_max=3))
    bench.node.unproven.add(BEGIN + 1)
    await bench.poll()
    for _ in range(3):
        await bench.poll(tick=BEGIN + 3)
    assert bench.ticks == [BEGIN]
    await bench.poll()
    assert bench.ticks == [BEGIN, BEGIN + 2]
    assert await bench.watcher.processed_tick(BEGIN + 1) is None
    bench.node.unproven.clear()
    late = await bench.watcher.processed_tick(BEGIN + 1)
    assert late == ProcessedTick(BEGIN + 1, 1, None)
    assert bench.ticks == [BEGIN, BEGIN + 2]


async def test_what_is_not_processed_or_of_another_epoch_is_not_proven() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 5))
    await bench.poll()
    for tick in (BEGIN - 1, BEGIN + 5, BEGIN + 6):
        assert await bench.watcher.processed_tick(tick) is None
    assert await bench.watcher.processed_tick(BEGIN + 2) == ProcessedTick(BEGIN + 2, 1, None)


async def test_the_tick_duration_is_measured() -> None:
    bench = Bench()
    for tick in range(BEGIN + 1, BEGIN + 60):
        await bench.poll(tick=tick)
        bench.clock.advance_ms(200)
    assert abs(bench.watcher.tick_ms - 200) < 5
    assert 45 < bench.watcher.poll_ms < 55


async def test_a_reset_network_freezes_a_running_hub_for_good() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    await bench.poll()
    bench.node.become(FakeNode(name=2, tick=BEGIN + 1))
    await bench.poll()
    assert "another network" in str(bench.watcher.frozen)
    assert not bench.healthy()
    seen = list(bench.seen)
    await bench.poll(tick=BEGIN + 100)
    assert bench.seen == seen
    assert await bench.watcher.processed_tick(BEGIN + 49) is None
    with pytest.raises(NodeUnavailable, match="another network"):
        await bench.watcher.node.broadcast(b"")


async def test_a_reset_network_is_noticed_however_far_it_has_come() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    await bench.poll()
    bench.node.become(FakeNode(name=2, tick=BEGIN + 500))
    await bench.poll()
    assert "another network" in str(bench.watcher.frozen)


async def test_between_a_reconnection_and_its_proof_no_answer_counts() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    await bench.poll()
    bench.node.become(FakeNode(name=2, tick=BEGIN + 500))
    assert await bench.watcher.processed_tick(BEGIN + 45) is None
    with pytest.raises(NodeUnavailable, match="isn't confirmed"):
        await bench.watcher.node.entity(PublicKey(bytes(32)))


async def test_the_same_network_is_confirmed_after_a_reconnection() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    await bench.poll()
    bench.node.reconnect()
    await bench.poll(tick=BEGIN + 51)
    assert bench.watcher.frozen is None
    assert await bench.watcher.node.entity(PublicKey(bytes(32))) is not None


async def test_a_tick_below_a_remembered_one_freezes_until_it_is_explained() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    bench.node.filled[BEGIN + 49] = (DIGEST,)
    await bench.poll()
    bench.node.become(FakeNode(name=2, tick=BEGIN))  # Nothing of it can be compared yet.
    await bench.poll()
    assert "can't show" in str(bench.watcher.frozen)
    await bench.poll(tick=BEGIN + 1)
    assert "another network" in str(bench.watcher.frozen)


async def test_a_node_of_ours_that_lags_is_no_node_but_no_stranger_either() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    bench.node.filled[BEGIN + 49] = (DIGEST,)
    await bench.poll()
    bench.node.reconnect()
    bench.node.tick = BEGIN + 40
    await bench.poll_in_vain()
    assert bench.watcher.frozen is None
    assert bench.watcher.current_tick == BEGIN + 50
    await bench.poll(tick=BEGIN + 51)
    assert bench.healthy()


async def test_a_restarted_hub_knows_its_network_again() -> None:
    bench = Bench()
    await bench.poll()
    network_id = bench.watcher.network_id
    bench.node.filled[BEGIN + 5] = (DIGEST,)
    await bench.poll(tick=BEGIN + 9)
    again = bench.restarted()
    await again.poll(tick=BEGIN + 30)
    assert again.watcher.network_id == network_id


@pytest.mark.parametrize("tick", [BEGIN + 1, BEGIN + 20, BEGIN + 500])
async def test_a_restarted_hub_takes_a_reset_devnet_for_a_new_network(tick: int) -> None:
    bench = Bench(FakeNode(tick=BEGIN + 10))
    await bench.poll()
    bench.node.become(FakeNode(name=2, tick=tick))
    again = bench.restarted()
    await again.poll()
    assert again.watcher.healthy
    assert again.watcher.network_id != bench.watcher.network_id
    back = Bench(FakeNode(tick=BEGIN + 600), memory=bench.memory)
    await back.poll()
    assert back.watcher.network_id == bench.watcher.network_id


async def test_a_restarted_hub_takes_a_devnet_with_another_beginning_for_a_new_network() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 10))
    await bench.poll()
    later = FakeNode(name=2, tick=BEGIN + 5_001)
    later.initial_tick = BEGIN + 5_000
    later.filled = {BEGIN + 5_000: ()}
    again = Bench(later, memory=bench.memory)
    await again.poll()
    assert again.watcher.network_id != bench.watcher.network_id


async def test_outside_a_devnet_an_unproven_network_stays_frozen_at_the_start() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50), settings=MAINNET)
    bench.node.filled[BEGIN + 49] = (DIGEST,)
    await bench.poll()
    del bench.node.filled[BEGIN + 49]
    del bench.node.filled[BEGIN]
    again = bench.restarted(settings=MAINNET)
    await again.poll()
    assert "can't show" in str(again.watcher.frozen)
    bench.node.filled[BEGIN + 49] = (DIGEST,)
    await again.poll()
    assert again.watcher.healthy


async def test_a_new_epoch_goes_on_with_the_same_network() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50), settings=MAINNET)
    await bench.poll()
    network_id = bench.watcher.network_id
    epoch = FakeNode(tick=BEGIN + 102, epoch=2)
    epoch.initial_tick = BEGIN + 100
    epoch.filled = {BEGIN + 100: ()}
    bench.node.become(epoch)
    await bench.poll()
    assert bench.watcher.network_id == network_id
    assert bench.ticks == [BEGIN + 49, BEGIN + 100, BEGIN + 101]
    again = bench.restarted(settings=MAINNET)
    await again.poll(tick=BEGIN + 103)
    assert again.watcher.network_id == network_id


async def test_a_record_never_serves_for_a_chain_of_another_name() -> None:
    bench = Bench(FakeNode(tick=BEGIN + 50))
    await bench.poll()
    other = FakeNode(name=2, tick=BEGIN + 9_000, epoch=200)
    other.initial_tick = BEGIN + 8_000
    other.filled = {BEGIN + 8_000: ()}
    again = Bench(other, memory=bench.memory, settings=MAINNET)
    await again.poll()
    assert again.watcher.network_id != bench.watcher.network_id
