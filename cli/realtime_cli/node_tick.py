"""Asks a Qubic node which tick it is: one question over its TCP protocol."""

import secrets
import socket
from typing import Final

from realtime_cli.errors import CliError
from realtime_protocol.qubic.node_wire import (
    NodeProtocolError,
    PacketReader,
    PacketType,
    TickInfoPacket,
    tick_info_request,
)

TIMEOUT_S: Final = 3
PACKETS_MAX: Final = 64
"""A node says a few things unasked before it answers."""
_READ_BYTES: Final = 65_536


def read_current_tick(node: str) -> int:
    """Return the current tick of the node at host:port; CliError when it doesn't tell."""
    host, _, port = node.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S) as link:
            return _ask(link)
    except (OSError, NodeProtocolError) as error:
        raise CliError(f"the node {node} doesn't tell its tick: {error}") from error


def _ask(link: socket.socket) -> int:
    link.sendall(tick_info_request(secrets.randbelow(2**32 - 1) + 1))
    reader, packets = PacketReader(), 0
    while packets < PACKETS_MAX:
        data = link.recv(_READ_BYTES)
        if not data:
            break
        for packet in reader.feed(data):
            packets += 1
            if packet.type == PacketType.RESPOND_TICK_INFO:
                tick = TickInfoPacket.decode(packet.payload).tick
                if tick == 0:
                    raise NodeProtocolError("it isn't ready")
                return tick
    raise NodeProtocolError("it closed the connection without an answer")
