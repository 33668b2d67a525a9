"""Bounds on HTTP requests that uvicorn doesn't have: how long one may take to come, and its head.

Without them a client that sends a byte now and then, or nothing, keeps a connection for ever.
"""

import asyncio
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from realtime_hub.turns import LoopTurns

REQUEST_WITHIN_S: Final = 5.0
"""From the connection, or from the last answer, to the end of a request."""
UNFINISHED_MAX: Final = 4_096
"""Connections without a whole request; beyond, the one that waits longest is cut."""
HEAD_BYTES_MAX: Final = 16_384
CUT_TURN_S_MAX: Final = 0.001
"""Of one turn of the event loop: who keeps many connections waiting shall keep nobody else so."""

_TIMEOUT: Final = b"408 Request Timeout"
_TOO_LARGE: Final = b"431 Request Header Fields Too Large"


class Unfinished:
    """The connections of one server that owe it a request, the longest waiting first."""

    def __init__(
        self, *, within_s: float = REQUEST_WITHIN_S, connections_max: int = UNFINISHED_MAX
    ) -> None:
        self._within_s = within_s
        self._connections_max = connections_max
        self._since_s: dict[BoundedHttp, float] = {}
        self._cuts = LoopTurns(turn_s_max=CUT_TURN_S_MAX)

    def __len__(self) -> int:
        return len(self._since_s)

    def begin(self, connection: "BoundedHttp", now_s: float) -> None:
        """A request is due; unless one was due already, its time begins now."""
        if connection not in self._since_s:
            if len(self._since_s) >= self._connections_max:
                self._cut(next(iter(self._since_s)))
            self._since_s[connection] = now_s

    def end(self, connection: "BoundedHttp") -> None:
        """The request is here, or the connection is gone."""
        self._since_s.pop(connection, None)

    def cut_overdue(self, now_s: float) -> None:
        """Cut every connection whose time is over, within a few turns of the loop."""
        while self._since_s:
            connection, since_s = next(iter(self._since_s.items()))
            if now_s - since_s < self._within_s:
                return
            self._cut(connection)

    def _cut(self, connection: "BoundedHttp") -> None:
        del self._since_s[connection]
        self._cuts.take(partial(connection.refuse, _TIMEOUT))


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP connection, with these bounds. A WebSocket that upgrades leaves it."""

    unfinished: Unfinished

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0
        self._in_head = True

    # As uvicorn's own classes have it: only sockets come.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here and owes a request."""
        super().connection_made(transport)
        self.unfinished.begin(self, self.loop.time())

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self.unfinished.end(self)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self.refuse(_TOO_LARGE)
        answering = self.cycle is not None and not self.cycle.response_complete
        if self._in_head and not answering and self.timeout_keep_alive_task is None:
            # Line ends before a request also end uvicorn's wait for it.
            self.unfinished.begin(self, self.loop.time())

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self.unfinished.begin(self, self.loop.time())

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is here whole."""
        self._in_head = True
        self._head_bytes = 0
        self.unfinished.end(self)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket class."""
        self.unfinished.end(self)
        self._in_head = False
        super().handle_websocket_upgrade()

    def refuse(self, status: bytes) -> None:
        """Close; say why where a part of a request came."""
        if self.transport.is_closing():
            return
        if self._head_bytes or not self._in_head:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
        self.transport.close()
