"""An ASGI endpoint on uvicorn's own WebSocket class: python uvicorn_server.py PORT WORK_FILE."""

import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from python_work import SUBSCRIBE, TRUST_SET, Work
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Endpoint:
    """The ASGI application."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._watchers: set[Send] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection."""
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        await _send(send, self._work.challenge)
        while (event := await receive())["type"] == "websocket.receive":
            kind, reply = self._work.answer(event["bytes"])
            await _send(send, reply)
            if kind == SUBSCRIBE:
                self._watchers.add(send)
            elif kind == TRUST_SET:
                push = self._work.next_push()
                for watcher in list(self._watchers):
                    await _send(watcher, push)
        self._watchers.discard(send)


async def _send(send: Send, frame: bytes) -> None:
    await send({"type": "websocket.send", "bytes": frame})


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


def main(port: int, work: Work) -> None:
    """Serve until killed."""
    logging.disable(logging.ERROR)
    config = uvicorn.Config(
        Endpoint(work),
        host="127.0.0.1",
        port=port,
        ws=WebSocketsSansIOProtocol,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        backlog=4096,
        ws_per_message_deflate=False,
    )
    _Server(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Work(Path(sys.argv[2])))
