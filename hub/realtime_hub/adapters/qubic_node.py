"""Qubic nodes over their TCP protocol, as the chain domain's NodePort.

:class:`QubicNodes` reads from one node at a time and moves to the next when that fails; it
broadcasts through several. :class:`NodeConnection` is one connection: many requests in flight, each
answer matched by its dejavu and type, everything else that nodes send ignored.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

from realtime_hub.chain.model import Entity, NodeUnavailable, TickInfo
from realtime_hub.clock import Clock, Entropy
from realtime_hub.patience import patience
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic import node_wire
from realtime_protocol.qubic.node_wire import (
    EntityPacket,
    NodeProtocolError,
    Packet,
    PacketReader,
    PacketType,
    TickData,
    TickInfoPacket,
)

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

PACKET_BYTES_MAX: Final = 1 << 20
"""The largest answer is TickData, 139 kB; more is not read."""
_END: Final = frozenset({PacketType.END_RESPONSE})


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "NodeAddress":
        """Parse ``host:port``; ValueError when it isn't that."""
        host, colon, port = text.rpartition(":")
        if not (host and colon and port.isdigit()):
            raise ValueError(f"{text!r} is not host:port")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Deadlines and bounds."""

    request_timeout_s: float = 1.0
    connect_timeout_s: float = 1.0
    reconnect_pause_s_min: float = 0.05
    reconnect_pause_s_max: float = 2.0
    requests_pending_max: int = 256
    unsent_bytes_max: int = 1 << 20
    broadcast_nodes_max: int = 3
    empty_proofs: int = 1
    """So many nodes must say that a tick is empty; 2 outside a devnet (a node that never received
    a tick's list gives the same answer)."""


@dataclass(slots=True)
class _Pending:
    """A request that waits for its answer."""

    expected: frozenset[int]
    answer: asyncio.Future[list[Packet]]
    collect: bool = False
    collected: list[Packet] = field(default_factory=list)


class _NodeProtocol(asyncio.Protocol):
    """Cuts what arrives into packets and hands them to the requests that wait for them."""

    def __init__(self, name: str) -> None:
        self.pending: dict[int, _Pending] = {}
        self.transport: asyncio.Transport | None = None
        self._name = name
        self._reader = PacketReader(packet_bytes_max=PACKET_BYTES_MAX)

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            packets = self._reader.feed(data)
        except NodeProtocolError as error:
            self.drop(f"broke the protocol: {error}")
            return
        for packet in packets:
            self._take(packet)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail_all(NodeUnavailable(f"node {self._name} closed the connection"))

    def drop(self, reason: str) -> None:
        """Abort; whatever waits fails with *reason*."""
        logger.warning("node %s dropped: %s", self._name, reason)
        if self.transport is not None:
            self.transport.abort()
        self._fail_all(NodeUnavailable(f"node {self._name} {reason}"))

    def _take(self, packet: Packet) -> None:
        waiting = self.pending.get(packet.dejavu)
        if waiting is None or waiting.answer.done():
            return
        if packet.type == PacketType.TRY_AGAIN:
            waiting.answer.set_exception(NodeUnavailable(f"node {self._name} is busy"))
        elif waiting.collect and packet.type == PacketType.BROADCAST_TRANSACTION:
            self._collect(waiting, packet)
        elif packet.type in waiting.expected:
            waiting.answer.set_result([*waiting.collected, packet])

    def _collect(self, waiting: _Pending, packet: Packet) -> None:
        if len(waiting.collected) >= node_wire.TRANSACTIONS_PER_TICK_MAX:
            self.drop("sent more transactions than a tick can hold")
            return
        waiting.collected.append(packet)

    def _fail_all(self, error: NodeUnavailable) -> None:
        pending, self.pending = self.pending, {}
        for waiting in pending.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(error)


class NodeConnection:
    """One node. Connects when first asked, again after a loss, never faster than its pause."""

    def __init__(
        self, address: NodeAddress, settings: NodeSettings, clock: Clock, entropy: Entropy
    ) -> None:
        self.address = address
        self.generation = 0
        """Counts the connections that were made."""
        self.tick = 0
        """The newest tick that this node told of on this connection."""
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._protocol: _NodeProtocol | None = None
        self._connecting: asyncio.Future[None] | None = None
        self._pause_s = settings.reconnect_pause_s_min
        self._not_before_s = 0.0

    def close(self) -> None:
        """Drop the connection; it opens again when asked."""
        if self._protocol is not None and self._protocol.transport is not None:
            self._protocol.transport.abort()

    async def ask(
        self,
        build: Callable[[int], bytes],
        expected: frozenset[int],
        *,
        collect: bool = False,
    ) -> list[Packet]:
        """Send a request and return its answers, the closing one last."""
        try:
            async with patience(self._settings.request_timeout_s):
                protocol = await self._connected()
                return await self._exchange(protocol, build, expected, collect=collect)
        except TimeoutError as error:
            raise NodeUnavailable(
                f"node {self.address} gave no answer within {self._settings.request_timeout_s} s"
            ) from error

    async def send(self, packet: bytes) -> None:
        """Hand a packet over without waiting for any answer."""
        try:
            async with patience(self._settings.request_timeout_s):
                protocol = await self._connected()
        except TimeoutError as error:
            raise NodeUnavailable(f"node {self.address} can't be reached") from error
        self._write(protocol, packet)

    async def tick_info(self) -> TickInfo:
        """Return where the node is; NodeUnavailable while it isn't ready."""
        expected = frozenset({PacketType.RESPOND_TICK_INFO})
        [packet] = await self.ask(node_wire.tick_info_request, expected)
        info = self.decoded(TickInfoPacket.decode, packet)
        if not info.ready:
            raise NodeUnavailable(f"node {self.address} isn't ready")
        self.tick = info.tick
        return TickInfo(info.tick, info.epoch, info.initial_tick, info.duration_ms)

    async def require_past(self, tick: int) -> None:
        """Raise NodeUnavailable unless this node is past *tick*: before, its word can change."""
        if self.tick <= tick:
            await self.tick_info()
        if self.tick <= tick:
            raise NodeUnavailable(f"node {self.address} is at tick {self.tick}, not past {tick}")

    def decoded(self, decode: Callable[[bytes], Answer], packet: Packet) -> Answer:
        """Decode a payload; garbage costs the node its connection."""
        try:
            return decode(packet.payload)
        except ValueError as error:
            if self._protocol is not None:
                self._protocol.drop(f"sent garbage: {error}")
            raise NodeUnavailable(f"node {self.address} sent garbage: {error}") from error

    async def _exchange(
        self,
        protocol: _NodeProtocol,
        build: Callable[[int], bytes],
        expected: frozenset[int],
        *,
        collect: bool,
    ) -> list[Packet]:
        if len(protocol.pending) >= self._settings.requests_pending_max:
            raise NodeUnavailable(f"{len(protocol.pending)} requests wait for node {self.address}")
        dejavu = self._fresh_dejavu(protocol)
        answer: asyncio.Future[list[Packet]] = asyncio.get_running_loop().create_future()
        protocol.pending[dejavu] = _Pending(expected, answer, collect)
        try:
            self._write(protocol, build(dejavu))
            return await answer
        finally:
            protocol.pending.pop(dejavu, None)

    def _write(self, protocol: _NodeProtocol, packet: bytes) -> None:
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise NodeUnavailable(f"node {self.address} closed the connection")
        if transport.get_write_buffer_size() > self._settings.unsent_bytes_max:
            protocol.drop("takes no more bytes")
            raise NodeUnavailable(f"node {self.address} takes no more bytes")
        transport.write(packet)

    def _fresh_dejavu(self, protocol: _NodeProtocol) -> int:
        # Never 0 (that asks a node to spread the message), never one that still waits.
        while True:
            dejavu = int.from_bytes(self._entropy.token(4), "little")
            if dejavu and dejavu not in protocol.pending:
                return dejavu

    async def _connected(self) -> _NodeProtocol:
        while self._protocol is None or not self._protocol.open:
            if self._connecting is None:
                await self._connect()
            else:
                await asyncio.shield(self._connecting)
        return self._protocol

    async def _connect(self) -> None:
        """Connect for all who wait. They are told the outcome, also when this caller is gone."""
        now_s = self._clock.monotonic_s()
        if now_s < self._not_before_s:
            raise NodeUnavailable(f"node {self.address} was lost just now")
        loop = asyncio.get_running_loop()
        connecting = self._connecting = loop.create_future()
        # Whoever waits hears of it; nobody has to.
        connecting.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            self._protocol = await self._open(loop)
        except (OSError, TimeoutError) as error:
            self._not_before_s = now_s + self._pause_s
            self._pause_s = min(self._pause_s * 2, self._settings.reconnect_pause_s_max)
            failure = NodeUnavailable(f"node {self.address} can't be reached: {error}")
            connecting.set_exception(failure)
            raise failure from error
        else:
            self.generation += 1
            self.tick = 0
            self._pause_s = self._settings.reconnect_pause_s_min
            connecting.set_result(None)
        finally:
            if not connecting.done():  # Cancelled: the next who waits tries by itself.
                connecting.set_result(None)
            self._connecting = None

    async def _open(self, loop: asyncio.AbstractEventLoop) -> _NodeProtocol:
        async with patience(self._settings.connect_timeout_s):
            transport, protocol = await loop.create_connection(
                lambda: _NodeProtocol(str(self.address)), self.address.host, self.address.port
            )
        transport.write(node_wire.exchange_peers(dejavu=self._fresh_dejavu(protocol)))
        return protocol


class QubicNodes:
    """Several nodes as one NodePort."""

    def __init__(
        self,
        addresses: Sequence[NodeAddress],
        clock: Clock,
        entropy: Entropy,
        settings: NodeSettings | None = None,
    ) -> None:
        if not addresses:
            raise ValueError("at least one node is needed")
        self._settings = settings or NodeSettings()
        self._entropy = entropy
        self._nodes = [
            NodeConnection(address, self._settings, clock, entropy) for address in addresses
        ]
        self._preferred = 0
        self._read_from = (0, 0)
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows when another connection is read from than before."""
        read_from = (self._preferred, self._nodes[self._preferred].generation)
        if read_from != self._read_from:
            self._read_from = read_from
            self._generation += 1
        return self._generation

    def close(self) -> None:
        """Drop all connections."""
        for node in self._nodes:
            node.close()

    async def tick_info(self) -> TickInfo:
        """See NodePort."""
        return await self._read(lambda node: node.tick_info())

    async def tick_data(self, tick: int) -> TickData | None:
        """See NodePort. None only when as many nodes as are needed say so."""
        data = await self._read(lambda node: self._tick_data_of(node, tick))
        if data is None:
            await self._prove_empty(tick)
        return data

    async def entity(self, key: PublicKey) -> Entity | None:
        """See NodePort."""
        return await self._read(lambda node: self._entity_of(node, key))

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        """See NodePort: to several nodes at once; one that takes the bytes is enough."""
        # Dejavu 0 asks a node to spread it. A packet that it saw before it drops, so a repetition
        # gets a fresh dejavu: it may have seen the first and lost it.
        dejavu = (int.from_bytes(self._entropy.token(4), "little") or 1) if again else 0
        packet = node_wire.broadcast_transaction(signed_tx, dejavu)
        chosen = self._in_order()[: self._settings.broadcast_nodes_max]
        results = await asyncio.gather(
            *(node.send(packet) for node in chosen), return_exceptions=True
        )
        failures = [result for result in results if result is not None]
        for failure in failures:
            if not isinstance(failure, NodeUnavailable):
                raise failure
        if len(failures) == len(results):
            raise NodeUnavailable("no node took the transaction") from failures[0]

    async def transaction(self, digest: bytes) -> bytes | None:
        """See NodePort."""
        return await self._read(lambda node: self._transaction_of(node, digest))

    async def tick_transactions(self, tick: int) -> list[bytes]:
        """See NodePort."""
        return await self._read(lambda node: self._tick_transactions_of(node, tick))

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """See NodePort."""
        expected = frozenset({PacketType.RESPOND_CONTRACT_FUNCTION})

        async def call(node: NodeConnection) -> bytes:
            [packet] = await node.ask(
                lambda dejavu: node_wire.contract_function_request(
                    contract_index, input_type, payload, dejavu
                ),
                expected,
            )
            return packet.payload

        return await self._read(call)

    def _in_order(self) -> list[NodeConnection]:
        return self._nodes[self._preferred :] + self._nodes[: self._preferred]

    async def _read(self, ask: Callable[[NodeConnection], Awaitable[Answer]]) -> Answer:
        """Ask the preferred node; when it fails the next becomes preferred."""
        failure: NodeUnavailable | None = None
        for node in self._in_order():
            try:
                answer = await ask(node)
            except NodeUnavailable as error:
                failure = error
                continue
            self._prefer(node)
            return answer
        raise failure or NodeUnavailable("no node is configured")

    def _prefer(self, node: NodeConnection) -> None:
        index = self._nodes.index(node)
        if index != self._preferred:
            logger.warning("reading from node %s from now on", node.address)
            self._preferred = index

    async def _prove_empty(self, tick: int) -> None:
        proofs = 1
        for node in self._in_order()[1:]:
            if proofs >= self._settings.empty_proofs:
                break
            try:
                data = await self._tick_data_of(node, tick)
            except NodeUnavailable:
                continue
            if data is not None:
                raise NodeUnavailable(f"nodes disagree whether tick {tick} is empty")
            proofs += 1
        if proofs < self._settings.empty_proofs:
            raise NodeUnavailable(
                f"{proofs} of {self._settings.empty_proofs} nodes say that tick {tick} is empty"
            )

    @staticmethod
    async def _tick_data_of(node: NodeConnection, tick: int) -> TickData | None:
        await node.require_past(tick)
        expected = frozenset({PacketType.TICK_DATA, PacketType.END_RESPONSE})
        [packet] = await node.ask(
            lambda dejavu: node_wire.tick_data_request(tick, dejavu), expected
        )
        if packet.type == PacketType.END_RESPONSE:
            return None
        data = node.decoded(TickData.decode, packet)
        if data.tick != tick:
            raise NodeUnavailable(f"node {node.address} answered tick {data.tick} for {tick}")
        return data

    @staticmethod
    async def _entity_of(node: NodeConnection, key: PublicKey) -> Entity | None:
        expected = frozenset({PacketType.RESPOND_ENTITY})
        [packet] = await node.ask(lambda dejavu: node_wire.entity_request(key, dejavu), expected)
        found = node.decoded(EntityPacket.decode, packet)
        if found.public_key != key:
            raise NodeUnavailable(f"node {node.address} answered another entity")
        if not found.known:
            return None
        return Entity(
            public_key=key,
            balance_qu=found.balance_qu,
            incoming_count=found.incoming_count,
            outgoing_count=found.outgoing_count,
            latest_incoming_tick=found.latest_incoming_tick,
            latest_outgoing_tick=found.latest_outgoing_tick,
            tick=found.tick,
        )

    @staticmethod
    async def _transaction_of(node: NodeConnection, digest: bytes) -> bytes | None:
        expected = frozenset({PacketType.BROADCAST_TRANSACTION, PacketType.END_RESPONSE})
        [packet] = await node.ask(
            lambda dejavu: node_wire.transaction_info_request(digest, dejavu), expected
        )
        return packet.payload if packet.type == PacketType.BROADCAST_TRANSACTION else None

    @staticmethod
    async def _tick_transactions_of(node: NodeConnection, tick: int) -> list[bytes]:
        await node.require_past(tick)
        packets = await node.ask(
            lambda dejavu: node_wire.tick_transactions_request(tick, dejavu), _END, collect=True
        )
        return [packet.payload for packet in packets[:-1]]
