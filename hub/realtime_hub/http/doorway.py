"""Where every connection of the public port comes in: a session at once, or HTTP.

uvicorn's HTTP connection costs more than a whole session handshake: a parser, a scope, its headers
in lists. Nearly every connection here sends nothing but a request to upgrade, whole and in one
piece. That one is read here and handed to the WebSocket class; for anything else the connection
becomes uvicorn's, from its first byte, and goes the way it always went.

Opening a session costs as much as answering ten requests, and after a cut thousands come at once.
So only a part of each turn of the event loop goes into that; the rest waits for the next turn.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from realtime_hub.http.deadlines import HEAD_BYTES_MAX, BoundedHttp
from realtime_hub.surfaces.ws.transport import WebSocketTransport
from realtime_hub.surfaces.ws.upgrade import Upgrade, read_upgrade
from realtime_hub.turns import LoopTurns


class Doorway(BoundedHttp):
    """A connection that may become HTTP. The server's WebSocket class takes upgrades."""

    turns: LoopTurns

    def __init__(  # uvicorn's part is made by `_become_http`
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.loop = _loop or asyncio.get_running_loop()
        self._is_http = False
        self._paused = False
        self._head_bytes = 0
        self._in_head = True

    # As uvicorn's own classes have it: only sockets come.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here and owes a request."""
        self.transport = transport
        self.server_state.connections.add(self)
        self.unfinished.begin(self, self.loop.time())

    def data_received(self, data: bytes) -> None:
        """Let the first bytes decide."""
        if not self._is_http:
            upgrade = read_upgrade(data) if len(data) <= HEAD_BYTES_MAX else None
            if upgrade is not None:
                self._wait_for_turn(partial(self._hand_over, upgrade))
                return
            self._become_http()
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        if self._is_http:
            super().connection_lost(error)
        else:
            self._leave()

    def shutdown(self) -> None:
        """The server ends."""
        if self._is_http:
            super().shutdown()
        else:
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Take what uvicorn's parser found to be an upgrade."""
        self._in_head = False
        self._wait_for_turn(super().handle_websocket_upgrade)

    def _wait_for_turn(self, open_session: Callable[[], None]) -> None:
        self.unfinished.end(self)
        if not self.turns.take(partial(self._open_late, open_session)):
            self.transport.pause_reading()  # It may say nothing more before it is answered.
            self._paused = True

    def _open_late(self, open_session: Callable[[], None]) -> None:
        if self.transport.is_closing():
            return
        open_session()
        if self._paused:
            self.transport.resume_reading()

    def _hand_over(self, upgrade: Upgrade) -> None:
        self._leave()
        session = cast(type[WebSocketTransport], self.config.ws_protocol_class)(
            # A class that make_ws_protocol bound to its hub takes uvicorn's arguments.
            config=self.config,  # type: ignore[call-arg]
            server_state=self.server_state,
            app_state=self.app_state,
        )
        session.connection_made(self.transport)
        session.take_upgrade(upgrade)
        self.transport.set_protocol(session)

    def _leave(self) -> None:
        self.unfinished.end(self)
        self.server_state.connections.discard(self)

    def _become_http(self) -> None:
        """Be uvicorn's connection from now on; the time for the first request goes on."""
        transport = self.transport
        super().__init__(self.config, self.server_state, self.app_state, self.loop)
        self._is_http = True
        super().connection_made(transport)
