"""Follows the chain: which tick it is at, what each processed tick held, whether it is still ours.

One owner runs :meth:`ChainWatcher.run`; everybody else reads attributes and listens.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from realtime_hub.chain.confirmed import ConfirmedNode, tick_digest
from realtime_hub.chain.model import NodeUnavailable, ProcessedTick, TickInfo
from realtime_hub.chain.network import KnownTick, NetworkGuard, NetworkRecord, Sameness
from realtime_hub.chain.ports import NetworkMemory, NodePort
from realtime_hub.clock import Clock

logger = logging.getLogger(__name__)

TICK_MS_WEIGHT = 0.2
"""Share of the newest measurement in the tick duration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherSettings:
    """How the chain is followed."""

    chain: str
    resets_expected: bool
    """Whether the network may begin anew under the same name, as a devnet does."""
    tick_ms_expected: int = 1_000
    poll_ms_min: int = 20
    poll_ms_max: int = 1_000
    silent_ms_max: int = 2_000
    """Without a node's answer for longer than this the hub doesn't vouch for the chain."""
    ticks_per_round_max: int = 16
    unproven_rounds_max: int = 8
    """A tick that can't be proven in so many rounds is left out; who needs it asks again."""
    recent_ticks_max: int = 64


class ChainWatcher:
    """The hub's one view of the chain.

    *listeners* are called in tick order, once for each processed tick, and must return at once.
    """

    def __init__(
        self, node: NodePort, memory: NetworkMemory, clock: Clock, settings: WatcherSettings
    ) -> None:
        self.listeners: list[Callable[[ProcessedTick], None]] = []
        self.tick_info: TickInfo | None = None
        self._guard = NetworkGuard()
        self.node = ConfirmedNode(node, self._guard)
        """The nodes, for whoever needs more of them: answers from our network only."""
        self._memory = memory
        self._clock = clock
        self._settings = settings
        self._ready = asyncio.Event()
        self._heard_s: float | None = None
        self._tick_since_s: float | None = None
        self._tick_ms = float(settings.tick_ms_expected)
        self._next_tick = 0
        self._unproven_rounds = 0
        self._recent: OrderedDict[int, ProcessedTick] = OrderedDict()
        self._said: str | None = None

    @property
    def current_tick(self) -> int:
        """The newest tick seen; 0 before any."""
        return 0 if self.tick_info is None else self.tick_info.tick

    @property
    def network_id(self) -> bytes:
        """32 bytes that name the network; only after wait_ready()."""
        if self._guard.record is None:
            raise NodeUnavailable("the network isn't known yet")
        return self._guard.record.network_id

    @property
    def record(self) -> NetworkRecord | None:
        """By what the network can be told from others; None before it is known."""
        return self._guard.record

    @property
    def frozen(self) -> str | None:
        """Why the chain's word isn't believed any more; None when it is."""
        return self._guard.frozen

    @property
    def trouble(self) -> str | None:
        """What is wrong, in words for people; None when all is well."""
        if self._guard.frozen is not None:
            return self._guard.frozen
        if not self._ready.is_set() or self._heard_s is None:
            return "no Qubic node has answered yet"
        silent_s = self._clock.monotonic_s() - self._heard_s
        if silent_s * 1000 > max(self._settings.silent_ms_max, 2 * self.poll_ms):
            return f"no Qubic node has answered for {silent_s:.1f} s"
        return None

    @property
    def healthy(self) -> bool:
        """Whether a node of our network answered just now."""
        return self.trouble is None

    @property
    def tick_ms(self) -> int:
        """How long a tick takes, as measured; at least 1."""
        return max(1, round(self._tick_ms))

    @property
    def poll_ms(self) -> int:
        """Pause between two looks at the chain: a quarter of a tick, within bounds."""
        settings = self._settings
        return round(min(max(self._tick_ms / 4, settings.poll_ms_min), settings.poll_ms_max))

    async def wait_ready(self) -> None:
        """Return once the network is known."""
        await self._ready.wait()

    async def run(self) -> None:
        """Follow the chain for ever."""
        while True:
            behind = False
            try:
                behind = await self.poll()
            except NodeUnavailable as error:
                self._say(str(error))
            if not behind:
                await asyncio.sleep(self.poll_ms / 1000)

    async def poll(self) -> bool:
        """Take one look; tell whether more ticks wait to be read. Raises NodeUnavailable."""
        info = await self.node.tick_info()
        if self._guard.record is None:
            await self._join(info)
        if self._guard.frozen is not None or self._guard.record is None:
            self._say(self._guard.frozen or "waiting for the network's first tick to be processed")
            return False
        self._take_info(info)
        self._say(None)
        return await self._process(info)

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        """Return what a tick held; None while that isn't proven here.

        Never raises for a silent node: not knowing is an answer, and the reason to ask again.
        """
        found = self._recent.get(tick)
        if found is not None and self.frozen is None:
            return found
        info = self.tick_info
        if info is None or not info.initial_tick <= tick < info.tick:
            return None
        try:
            return await self._read(tick, info)
        except NodeUnavailable:
            return None

    async def _join(self, info: TickInfo) -> None:
        """Find out which network this is: a remembered one, or one to remember from now on."""
        if info.tick <= info.initial_tick:
            return  # Nothing is processed yet, so nothing can be compared.
        with self._memory.joining() as alone:
            # Two workers that begin together must not give one network two names.
            if alone:
                await self._compare_or_begin(info)

    async def _compare_or_begin(self, info: TickInfo) -> None:
        generation = self.node.generation
        for record in await self._memory.load():
            if record.chain != self._settings.chain:
                continue
            sameness = await self.node.compare(record, info)
            if sameness is Sameness.DOUBTFUL and not self._settings.resets_expected:
                if info.epoch <= record.newest.epoch:
                    self._guard.doubt(
                        f"the node at tick {info.tick} can't show tick {record.newest.tick} of the "
                        f"network {record.network_id.hex()[:16]} that this hub served before"
                    )
                    return
                sameness = Sameness.SAME
            if sameness is Sameness.SAME:
                await self._adopt(record, generation)
                return
        known = await self.node.first_known(info)
        if known is not None:
            await self._adopt(NetworkRecord.begin(self._settings.chain, known), generation)

    async def _adopt(self, record: NetworkRecord, generation: int) -> None:
        await self._memory.save(record)
        self._guard.adopt(record)
        self.node.confirm(generation)
        logger.info("network %s", record.network_id.hex()[:16])

    def _take_info(self, info: TickInfo) -> None:
        now_s = self._clock.monotonic_s()
        before = self.tick_info
        if before is not None and info.epoch == before.epoch and info.tick < before.tick:
            raise NodeUnavailable(f"the node is at tick {info.tick}, behind {before.tick}")
        self._heard_s = now_s
        if before is None:
            self._next_tick = max(info.initial_tick, info.tick - 1)
        elif info.epoch > before.epoch:
            # What nodes had of the old epoch is gone; its last ticks can't be read any more.
            self._next_tick = max(self._next_tick, info.initial_tick)
            self._tick_since_s = None
        elif info.tick > before.tick:
            self._measure(info.tick - before.tick, now_s)
        self.tick_info = info
        self._ready.set()

    def _measure(self, ticks: int, now_s: float) -> None:
        if self._tick_since_s is not None:
            sample_ms = (now_s - self._tick_since_s) * 1000 / ticks
            self._tick_ms += TICK_MS_WEIGHT * (sample_ms - self._tick_ms)
        self._tick_since_s = now_s

    async def _process(self, info: TickInfo) -> bool:
        for _ in range(self._settings.ticks_per_round_max):
            if self._next_tick >= info.tick:
                return False
            try:
                processed = await self._read(self._next_tick, info)
            except NodeUnavailable as error:
                self._put_off(error)
                return False
            self._emit(processed)
        return self._next_tick < info.tick

    async def _read(self, tick: int, info: TickInfo) -> ProcessedTick:
        data = await self.node.tick_data(tick)
        if data is None:
            return ProcessedTick(tick, info.epoch, None)
        if data.tick != tick or data.epoch != info.epoch:
            raise NodeUnavailable(f"asked for tick {tick}, got {data.tick} of epoch {data.epoch}")
        changed = self._guard.remember(KnownTick(tick, data.epoch, await tick_digest(data)))
        if changed is not None:
            await self._memory.save(changed)
        if self._guard.frozen is not None:
            raise NodeUnavailable(self._guard.frozen)
        return ProcessedTick(tick, data.epoch, data.digests)

    def _put_off(self, error: NodeUnavailable) -> None:
        self._unproven_rounds += 1
        if self._unproven_rounds < self._settings.unproven_rounds_max or self.frozen is not None:
            return
        logger.warning("tick %d left unproven: %s", self._next_tick, error)
        self._next_tick += 1
        self._unproven_rounds = 0

    def _emit(self, processed: ProcessedTick) -> None:
        self._unproven_rounds = 0
        self._next_tick = processed.tick + 1
        self._recent[processed.tick] = processed
        while len(self._recent) > self._settings.recent_ticks_max:
            self._recent.popitem(last=False)
        for listener in self.listeners:
            listener(processed)

    def _say(self, trouble: str | None) -> None:
        """Log a trouble once, not each round."""
        if trouble == self._said:
            return
        self._said = trouble
        if trouble is None:
            logger.info("following the chain")
        else:
            logger.warning("chain: %s", trouble)
