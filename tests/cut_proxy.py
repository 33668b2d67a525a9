"""A TCP proxy that can cut what runs through it, as a network does: without a word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

READ_BYTES: Final = 65_536


class CutProxy:
    """Passes bytes on to *target* while it is open."""

    def __init__(self) -> None:
        self.port = 0
        self.target: tuple[str, int] | None = None
        self.connections = 0
        """How many there have been."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._closed = False

    def cut(self) -> None:
        """Reset every connection, and let no other through until `mend`."""
        self._closed = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._closed = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        if self._closed or self.target is None:
            writer.transport.abort()
            return
        self.connections += 1
        there, back = await asyncio.open_connection(*self.target)
        self._writers |= {writer, back}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, back))
                group.create_task(_carry(there, writer))
        finally:
            self._writers -= {writer, back}


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def running_proxy() -> AsyncIterator[CutProxy]:
    """Run a proxy on a free port until the block ends; give it its target then."""
    proxy = CutProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await server.wait_closed()
