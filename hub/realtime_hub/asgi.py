"""A whole hub as one ASGI application, for people who bring their own server.

`realtime serve` is quicker: there the hub reads WebSocket frames itself. Administration and metrics
have no port here; serve `Hub.admin_app` on a loopback address where they are needed.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.bootstrap import Hub, build_hub
from realtime_hub.config import HubSettings, check_settings
from realtime_hub.metrics import Metrics
from realtime_protocol.versions import WEBSOCKET_PATH

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HubApp:
    """Give it to one server process that runs the lifespan protocol; it is made for one loop."""

    def __init__(self, settings: HubSettings) -> None:
        """Check the settings; SettingsError names the first that can't be used."""
        check_settings(settings)
        self._settings = settings
        self._hub: Hub | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection, or the life of the application."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        hub = self._hub
        if hub is None:
            raise RuntimeError("the hub isn't running: let the server run the lifespan protocol")
        if scope["type"] == "websocket" and scope["path"] == WEBSOCKET_PATH:
            await hub.engine.asgi_endpoint(scope, receive, send)
        elif scope["type"] == "http":
            await hub.public_app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            opened = build_hub(self._settings, SystemClock(), SystemEntropy(), Metrics())
            async with opened as hub, asyncio.TaskGroup() as group:
                running = group.create_task(hub.run())
                self._hub = hub
                await send({"type": "lifespan.startup.complete"})
                await receive()  # lifespan.shutdown
                await hub.drain()
                running.cancel()
        except OSError as error:
            if self._hub is not None:
                raise
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})
