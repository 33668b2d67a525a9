"""uvicorn inside our own process and loop: sockets are bound by us, signals are ours."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from realtime_hub.http.deadlines import REQUEST_WITHIN_S, BoundedHttp, Unfinished
from realtime_hub.http.doorway import Doorway
from realtime_hub.turns import LoopTurns

BACKLOG_CONNECTIONS_MAX: Final = 4_096
SEND_BUFFER_BYTES: Final = 65_536
"""In the kernel, a connection. Without a bound a slow client is noticed only after megabytes."""
RECEIVE_BUFFER_BYTES: Final = 32_768
"""The kernel doubles it. The loop reads all of it at once, and all waits in this process then."""
SHUTDOWN_S_MAX: Final = 1


class PortTakenError(OSError):
    """Something else listens there; the message names host, port and setting."""


def bind(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """Listen on *host*:*port*; PortTakenError names *setting*, with which it can be moved.

    *shared*: other workers listen there too, and the system deals connections out among them.
    """
    listener = _bound(host, port, setting, shared=shared)
    listener.listen(BACKLOG_CONNECTIONS_MAX)
    listener.setblocking(False)
    return listener


def reserve(host: str, port: int, setting: str) -> socket.socket:
    """Keep a port for workers to share, without listening; PortTakenError as `bind`."""
    # Sharing a port with a stranger would be granted: ask first whether it is free.
    with _bound(host, port, setting, shared=False) as probe:
        free_port = probe.getsockname()[1]
    return _bound(host, free_port, setting, shared=True)


def _bound(host: str, port: int, setting: str, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted connections have it from here, which costs them nothing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise PortTakenError(f"can't listen on {host}:{port} ({reason}); set {setting}") from error
    return listener


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process that owns it."""

    def __init__(self, config: uvicorn.Config, unfinished: Unfinished) -> None:
        super().__init__(config)
        self._unfinished = unfinished
        self.answering = asyncio.Event()
        """Set once its port answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self.answering.set()

    def stop_accepting(self) -> None:
        """Close the port; connections that are open live on."""
        for server in self.servers:
            server.close()

    async def on_tick(self, counter: int) -> bool:
        """Cut whoever lets us wait; uvicorn calls this ten times a second."""
        self._unfinished.cut_overdue(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def build_server(
    app: Any,
    *,
    ws: type[asyncio.Protocol] | None = None,
    request_within_s: float = REQUEST_WITHIN_S,
) -> EmbeddedServer:
    """Make a server for *app*; *ws*, a `WebSocketTransport`, takes connections that upgrade."""
    waiting = Unfinished(within_s=request_within_s)
    kind = BoundedHttp if ws is None else Doorway
    connection = type("ServerHttp", (kind,), {"unfinished": waiting, "turns": LoopTurns()})

    return EmbeddedServer(
        uvicorn.Config(
            app,
            http=connection,
            ws=ws if ws is not None else "none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG_CONNECTIONS_MAX,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=SHUTDOWN_S_MAX,
        ),
        waiting,
    )
