"""A TCP proxy that passes bytes on late."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

READ_BYTES = 65_536


class SlowProxy:
    """Passes each piece on after *delay_s*, in order."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        self._target_port = target_port
        self._carrying: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def end(self) -> None:
        """Close every connection."""
        for task in list(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)


@contextlib.asynccontextmanager
async def running_slow_proxy(target_port: int) -> AsyncIterator[SlowProxy]:
    """Run a proxy on a free port until the block ends."""
    proxy = SlowProxy(target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
