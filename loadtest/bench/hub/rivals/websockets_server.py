"""A plain server on the websockets package: python websockets_server.py PORT WORK_FILE."""

import asyncio
import logging
import sys
from pathlib import Path

import uvloop
from python_work import SUBSCRIBE, TRUST_SET, Work
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.typing import Subprotocol


async def main(port: int, work: Work) -> None:
    """Serve until killed."""
    watchers: set[ServerConnection] = set()

    async def session(connection: ServerConnection) -> None:
        await connection.send(work.challenge)
        try:
            async for frame in connection:
                assert isinstance(frame, bytes)
                kind, reply = work.answer(frame)
                await connection.send(reply)
                if kind == SUBSCRIBE:
                    watchers.add(connection)
                elif kind == TRUST_SET:
                    broadcast(watchers, work.next_push())
        finally:
            watchers.discard(connection)

    async with serve(
        session,
        "127.0.0.1",
        port,
        subprotocols=[Subprotocol("realtime.qubic.v1.msgpack")],
        compression=None,
        backlog=4096,
    ):
        print("ready", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    uvloop.run(main(int(sys.argv[1]), Work(Path(sys.argv[2]))))
