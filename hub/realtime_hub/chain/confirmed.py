"""Nodes whose every answer counts only while they are known to belong to our network."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from realtime_hub.chain.model import Entity, NodeUnavailable, TickInfo
from realtime_hub.chain.network import KnownTick, NetworkGuard, NetworkRecord, Sameness
from realtime_hub.chain.ports import NodePort
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.node_wire import TickData
from realtime_protocol.schnorrq import k12

Answer = TypeVar("Answer")


async def tick_digest(data: TickData) -> bytes:
    """Return K12 of 139 kB, off the loop: in pure Python it takes tens of milliseconds."""
    return await asyncio.to_thread(k12, data.raw)


class ConfirmedNode:
    """A NodePort in front of another that refuses answers from a network that isn't ours.

    After each new connection :meth:`tick_info` compares remembered TickData with the node's;
    until then, and while the guard is frozen, every other method raises NodeUnavailable.
    """

    def __init__(self, node: NodePort, guard: NetworkGuard) -> None:
        self._node = node
        self._guard = guard
        self._confirmed_generation: int | None = None

    @property
    def generation(self) -> int:
        """The generation of the nodes behind."""
        return self._node.generation

    async def tick_info(self) -> TickInfo:
        """Return where the node is, after making sure that it is one of ours.

        NodeUnavailable when it lags behind what was processed already.
        """
        info = await self._node.tick_info()
        record = self._guard.record
        if record is None or self._guard.foreign:
            return info
        generation = self._node.generation
        by_info = record.judge_info(info)
        if by_info is Sameness.SAME and self._stands(generation):
            return info
        self._take(await self.compare(record, info), info, record, generation)
        if by_info is Sameness.DOUBTFUL and self._guard.frozen is None:
            raise NodeUnavailable(f"the node is at tick {info.tick}, behind {record.newest.tick}")
        return info

    async def compare(self, record: NetworkRecord, info: TickInfo) -> Sameness:
        """Compare a record with the node's TickData; DOUBTFUL when the node can show none."""
        if record.judge_info(info) is Sameness.OTHER:
            return Sameness.OTHER
        for known in record.comparable(info):
            data = await self._node.tick_data(known.tick)
            if data is not None:
                return record.judge_digest(known.tick, await tick_digest(data))
        return Sameness.DOUBTFUL

    async def first_known(self, info: TickInfo) -> KnownTick | None:
        """Return the epoch's first tick, or the last processed one, if either has TickData."""
        for tick in dict.fromkeys((info.initial_tick, info.tick - 1)):
            if info.initial_tick <= tick < info.tick:
                data = await self._node.tick_data(tick)
                if data is not None:
                    return KnownTick(tick, data.epoch, await tick_digest(data))
        return None

    def confirm(self, generation: int) -> None:
        """The caller made sure by itself that this connection leads to our network."""
        self._confirmed_generation = generation
        self._guard.clear_doubt()

    async def tick_data(self, tick: int) -> TickData | None:
        """See NodePort."""
        return await self._believed(lambda: self._node.tick_data(tick))

    async def entity(self, key: PublicKey) -> Entity | None:
        """See NodePort."""
        return await self._believed(lambda: self._node.entity(key))

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        """See NodePort. NodeUnavailable means that no byte left, so nothing is asked afterwards."""
        self._require_confirmed(self._node.generation)
        await self._node.broadcast(signed_tx, again=again)

    async def transaction(self, digest: bytes) -> bytes | None:
        """See NodePort."""
        return await self._believed(lambda: self._node.transaction(digest))

    async def tick_transactions(self, tick: int) -> list[bytes]:
        """See NodePort."""
        return await self._believed(lambda: self._node.tick_transactions(tick))

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """See NodePort."""
        return await self._believed(
            lambda: self._node.call_function(contract_index, input_type, payload)
        )

    async def _believed(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        generation = self._node.generation
        self._require_confirmed(generation)
        answer = await ask()
        # A connection that was made in between may lead to another network.
        self._require_confirmed(self._node.generation)
        return answer

    def _require_confirmed(self, generation: int) -> None:
        if self._guard.frozen is not None:
            raise NodeUnavailable(self._guard.frozen)
        if self._guard.record is None or generation != self._confirmed_generation:
            raise NodeUnavailable("the node's network isn't confirmed yet")

    def _stands(self, generation: int) -> bool:
        return generation == self._confirmed_generation and self._guard.frozen is None

    def _take(
        self, sameness: Sameness, info: TickInfo, record: NetworkRecord, generation: int
    ) -> None:
        if sameness is Sameness.OTHER:
            self._guard.freeze(
                f"the node at tick {info.tick} of epoch {info.epoch} is of another network than "
                f"{record.network_id.hex()[:16]}; payments stay frozen until the hub is restarted"
            )
        elif sameness is Sameness.SAME or info.epoch > record.newest.epoch:
            # A new epoch leaves nothing to compare: nodes keep the ticks of one.
            self._confirmed_generation = generation
            self._guard.clear_doubt()
        else:
            self._guard.doubt(
                f"the node is at tick {info.tick} of epoch {info.epoch} and can't show tick "
                f"{record.newest.tick}, which was processed before; payments wait for proof"
            )
