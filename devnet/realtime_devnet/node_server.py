"""The node's TCP server: connections, duplicates and bounds. What it says is in node_answers."""

import asyncio
import hashlib
import secrets
import socket
from collections import deque
from dataclasses import dataclass
from typing import Final, cast

from realtime_devnet.node_answers import NodeAnswers
from realtime_protocol.qubic import node_wire
from realtime_protocol.qubic.node_wire import NodeProtocolError, Packet, PacketReader

_KEY_BYTES: Final = 16
_DEJAVU_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What one server takes at a time."""

    connections_max: int = 256
    """One more is closed at once."""
    packet_bytes_max: int = 128 * 1024
    """No request is longer; a longer packet closes the connection."""
    requests_waiting_max: int = 1024
    """Over all connections; one more is answered TRY_AGAIN."""
    output_bytes_max: int = 16 * 1024 * 1024
    """Unsent answers of one connection; a client that reads too slowly for more is cut off."""
    packets_remembered_max: int = 100_000
    """Half of the packets by which duplicates are known."""


class Duplicates:
    """Remembers packets, so that a repeated one is dropped, whoever sends it.

    Two generations: what was last seen more than *packets_max* other packets ago is forgotten.
    """

    def __init__(self, packets_max: int) -> None:
        self._packets_max = packets_max
        self._salt = secrets.token_bytes(_KEY_BYTES)
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def is_new(self, packet: Packet) -> bool:
        """Tell whether this dejavu with this payload is new, and remember it.

        Core leaves size and type out of its filter too (network_core: dejavu filter).
        """
        hashed = hashlib.blake2b(key=self._salt, digest_size=_KEY_BYTES)
        hashed.update(packet.dejavu.to_bytes(4, "little") + packet.payload)
        mark = hashed.digest()
        if mark in self._young or mark in self._old:
            return False
        if len(self._young) >= self._packets_max:
            self._young, self._old = set(), self._young
        self._young.add(mark)
        return True


class NodeServer:
    """Serves the node protocol. :meth:`run` works off the requests; :meth:`close` ends it all."""

    def __init__(self, answers: NodeAnswers, limits: NodeLimits | None = None) -> None:
        self._answers = answers
        self.limits = limits or NodeLimits()
        self._duplicates = Duplicates(self.limits.packets_remembered_max)
        self._connections: set[NodeConnection] = set()
        self._waiting: deque[tuple[NodeConnection, Packet]] = deque()
        self._work = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def listen(self, bound: socket.socket) -> None:
        """Take connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: NodeConnection(self), sock=bound)

    async def run(self) -> None:
        """Answer requests in the order of their arrival, until cancelled."""
        while True:
            await self._work.wait()
            while self._waiting:
                connection, packet = self._waiting.popleft()
                connection.send(self._answer(connection, packet))
                # Others get their turn after each: a signature takes milliseconds.
                await asyncio.sleep(0)
            self._work.clear()

    def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.abort()

    def opened(self, connection: "NodeConnection") -> bool:
        """Note a connection; False when there are too many."""
        if len(self._connections) >= self.limits.connections_max:
            return False
        self._connections.add(connection)
        return True

    def lost(self, connection: "NodeConnection") -> None:
        """Forget a connection and what it asked."""
        self._connections.discard(connection)

    def take(self, connection: "NodeConnection", packet: Packet) -> None:
        """Queue a request, or turn it away."""
        if len(self._waiting) >= self.limits.requests_waiting_max:
            # A broadcast has no dejavu to answer to: it is lost, as on a busy node.
            if packet.dejavu:
                connection.send([node_wire.try_again(packet.dejavu)])
            return
        # Turned away is not seen: the client may well repeat that packet as it is.
        if not self._duplicates.is_new(packet):
            return
        self._waiting.append((connection, packet))
        self._work.set()

    def _answer(self, connection: "NodeConnection", packet: Packet) -> list[bytes]:
        if connection.closed:
            return []
        try:
            return self._answers.answer(packet)
        except NodeProtocolError:
            connection.abort()
            return []


class NodeConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: NodeServer) -> None:
        self._server = server
        self._reader = PacketReader(packet_bytes_max=server.limits.packet_bytes_max)
        self._transport: asyncio.Transport | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet as nodes do: with the exchange of peers."""
        # create_server's promise; uvloop's transports don't inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        if not self._server.opened(self):
            self.abort()
            return
        dejavu = secrets.randbits(_DEJAVU_BITS) or 1
        self.send([node_wire.exchange_peers(dejavu=dejavu)])

    def data_received(self, data: bytes) -> None:
        """Cut the stream into requests."""
        try:
            packets = self._reader.feed(data)
        except NodeProtocolError:
            self.abort()
            return
        for packet in packets:
            if self.closed:
                return
            self._server.take(self, packet)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the server."""
        self.closed = True
        self._server.lost(self)

    def send(self, packets: list[bytes]) -> None:
        """Write *packets*, or cut a client off that has left too much unread."""
        if self._transport is None or self.closed or not packets:
            return
        answer = b"".join(packets)
        unsent = self._transport.get_write_buffer_size()
        if unsent + len(answer) > self._server.limits.output_bytes_max:
            self.abort()
            return
        self._transport.write(answer)

    def abort(self) -> None:
        """Close at once; unsent answers are lost."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
