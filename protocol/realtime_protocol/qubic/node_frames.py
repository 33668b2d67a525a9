"""Framing of the Qubic node's TCP protocol: an 8-byte header, then the payload.

Layout and limits: qubic/core src/network_messages/header.h. Messages follow each other in the
stream and are told apart by their size alone.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HEADER_BYTES: Final = 8
PACKET_BYTES_MAX: Final = 0xFF_FFFF
DEJAVU_MAX: Final = 0xFFFF_FFFF


class PacketType(IntEnum):
    """The message types that Realtime sends, serves or must recognise."""

    EXCHANGE_PUBLIC_PEERS = 0
    BROADCAST_COMPUTORS = 2
    TICK_DATA = 8
    REQUEST_COMPUTORS = 11
    REQUEST_TICK_DATA = 16
    BROADCAST_TRANSACTION = 24
    REQUEST_TRANSACTION_INFO = 26
    REQUEST_TICK_INFO = 27
    RESPOND_TICK_INFO = 28
    REQUEST_TICK_TRANSACTIONS = 29
    REQUEST_ENTITY = 31
    RESPOND_ENTITY = 32
    END_RESPONSE = 35
    REQUEST_CONTRACT_FUNCTION = 42
    RESPOND_CONTRACT_FUNCTION = 43
    REQUEST_SYSTEM_INFO = 46
    RESPOND_SYSTEM_INFO = 47
    TRY_AGAIN = 54


class NodeProtocolError(ValueError):
    """The peer's bytes break the node protocol; nothing after them can be trusted."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One message without its header. *type* stays a plain int: nodes send types unknown here."""

    type: int
    dejavu: int
    payload: bytes

    def encode(self) -> bytes:
        """Return header and payload."""
        return encode_packet(self.type, self.payload, self.dejavu)


def encode_packet(packet_type: int, payload: bytes = b"", dejavu: int = 0) -> bytes:
    """Return the whole message.

    *dejavu* 0 asks a node to spread the message to its peers; a request carries a fresh non-zero
    one, because a node drops what it saw before without a word.
    """
    size = HEADER_BYTES + len(payload)
    if size > PACKET_BYTES_MAX:
        raise ValueError(f"a packet has at most {PACKET_BYTES_MAX} bytes, not {size}")
    if not 0 <= packet_type <= 0xFF:
        raise ValueError(f"a packet type fits in a byte, {packet_type} doesn't")
    if not 0 <= dejavu <= DEJAVU_MAX:
        raise ValueError(f"a dejavu fits in 4 bytes, {dejavu} doesn't")
    header = size.to_bytes(3, "little") + bytes((packet_type,)) + dejavu.to_bytes(4, "little")
    return header + payload


class PacketReader:
    """Cuts a stream of bytes into packets, however the network cut it before.

    Holds at most one unfinished packet of *packet_bytes_max*. After a violation it stays broken:
    close the connection.
    """

    def __init__(self, *, packet_bytes_max: int = PACKET_BYTES_MAX) -> None:
        if not HEADER_BYTES <= packet_bytes_max <= PACKET_BYTES_MAX:
            raise ValueError(f"packet_bytes_max must be {HEADER_BYTES} to {PACKET_BYTES_MAX}")
        self._packet_bytes_max = packet_bytes_max
        self._buffer = bytearray()
        self._violation: str | None = None

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the packet that has not ended yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Packet]:
        """Take *data* and return the packets that it completes, in order.

        Raises :class:`NodeProtocolError` for a size below the header's own or above the
        limit; the packets before it in the same *data* are lost with the connection.
        """
        if self._violation is not None:
            raise NodeProtocolError(self._violation)
        self._buffer += data
        packets = []
        start = 0
        while (size := self._size_at(start)) is not None and len(self._buffer) - start >= size:
            packets.append(self._packet_at(start, size))
            start += size
        del self._buffer[:start]
        return packets

    def _size_at(self, start: int) -> int | None:
        if len(self._buffer) - start < HEADER_BYTES:
            return None
        size = int.from_bytes(self._buffer[start : start + 3], "little")
        if size < HEADER_BYTES:
            self._break(f"a packet says it has {size} bytes; its header alone has {HEADER_BYTES}")
        if size > self._packet_bytes_max:
            self._break(f"a packet of {size} bytes; at most {self._packet_bytes_max} are taken")
        return size

    def _packet_at(self, start: int, size: int) -> Packet:
        return Packet(
            type=self._buffer[start + 3],
            dejavu=int.from_bytes(self._buffer[start + 4 : start + 8], "little"),
            payload=bytes(self._buffer[start + HEADER_BYTES : start + size]),
        )

    def _break(self, violation: str) -> None:
        self._violation = violation
        self._buffer.clear()
        raise NodeProtocolError(violation)
