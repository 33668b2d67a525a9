"""A WebSocket client that may break every rule: it sends the bytes it is told to."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
WITHIN_S = 5.0
_MASK = b"\x0f\xf0\x55\xaa"


def frame(
    payload: bytes, opcode: int = BINARY, *, fin: bool = True, mask: bool = True, rsv: int = 0
) -> bytes:
    """Build a frame."""
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes((bit | len(payload),))
    elif len(payload) < 65_536:
        head += bytes((bit | 126,)) + len(payload).to_bytes(2)
    else:
        head += bytes((bit | 127,)) + len(payload).to_bytes(8)
    if not mask:
        return head + payload
    return head + _MASK + bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))


@dataclass
class RawSocket:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        async with asyncio.timeout(WITHIN_S):
            head = await self.reader.readexactly(2)
            size = head[1]
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
            return head[0] & 0x0F, await self.reader.readexactly(size)

    async def message(self, kind: int = BINARY) -> bytes:
        """Return the next message, which is of that kind; pongs on the way are passed over."""
        while True:
            opcode, payload = await self.frame()
            if opcode == kind:
                return payload
            assert opcode in (PING, PONG), (opcode, payload)

    async def closed(self) -> tuple[int, str]:
        """Read to the close frame and return its code and reason."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2]), payload[2:].decode()

    async def ended(self) -> bool:
        """Read until the connection is gone; tell whether it was cut."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while await self.reader.read(65_536):
                    pass
        except ConnectionResetError:
            return True
        return False


@contextlib.asynccontextmanager
async def raw_socket(
    url: str, *, receive_bytes: int | None = None, subprotocol: str = SUBPROTOCOL_MSGPACK
) -> AsyncIterator[RawSocket]:
    """Connect and upgrade; *receive_bytes* makes the kernel hold little for us."""
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    limit = 65_536 if receive_bytes is None else receive_bytes
    reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
    try:
        writer.write(
            f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n".encode()
        )
        async with asyncio.timeout(WITHIN_S):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield RawSocket(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
