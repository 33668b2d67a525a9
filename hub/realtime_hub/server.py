"""Runs one hub: binds its ports, wires its parts, serves until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from realtime_hub.adapters.system import SystemClock, SystemEntropy
from realtime_hub.bootstrap import Hub, build_hub
from realtime_hub.config import HubSettings, check_settings
from realtime_hub.http.server import EmbeddedServer, bind, build_server
from realtime_hub.metrics import Metrics
from realtime_protocol.versions import REST_PREFIX

logger = logging.getLogger(__name__)

PORT_SETTING = "hub.port (REALTIME_HUB_PORT)"
COLLECT_AFTER = (5_000, 10, 200)
"""Objects, collections of those, collections of all but the oldest: the last is each 10 million."""
ADMIN_PORT_SETTING = "hub.admin_port (REALTIME_HUB_ADMIN_PORT)"


@dataclass(frozen=True, slots=True)
class HubInfo:
    """Where a running hub listens."""

    url: str
    rest_url: str
    admin_url: str


async def run_hub(
    settings: HubSettings,
    *,
    ready: Callable[[HubInfo], None] | None = None,
    demo_identities: frozenset[str] = frozenset(),
    shares_port: bool = False,
) -> None:
    """Serve until cancelled. Raises SettingsError, PortTakenError or JournalLocked at once.

    *ready* is called when the ports answer; whether the chain does is /readyz's to tell.
    *shares_port*: this is one of several workers behind one port.
    """
    check_settings(settings, demo_identities=demo_identities)
    public = bind(settings.host, settings.port, PORT_SETTING, shared=shares_port)
    with contextlib.ExitStack() as stack:
        stack.callback(public.close)
        admin = bind(settings.admin_host, settings.admin_port, ADMIN_PORT_SETTING)
        stack.callback(admin.close)
        settings = with_bound_ports(settings, public, admin)
        clock, metrics = SystemClock(), Metrics()
        async with build_hub(settings, clock, SystemEntropy(), metrics) as hub:
            try:
                await _serve(settings, hub, public, admin, ready)
            except Exception:
                logger.exception("a part of the hub failed; it ends")
                raise


def with_bound_ports(
    settings: HubSettings, public: socket.socket, admin: socket.socket
) -> HubSettings:
    """Put the ports that the system chose in place of 0."""
    return structs.replace(
        settings, port=public.getsockname()[1], admin_port=admin.getsockname()[1]
    )


async def _serve(
    settings: HubSettings,
    hub: Hub,
    public: socket.socket,
    admin: socket.socket,
    ready: Callable[[HubInfo], None] | None,
) -> None:
    servers = [
        (build_server(hub.public_app, ws=hub.ws_protocol), public),
        (build_server(hub.admin_app), admin),
    ]
    parts: list[asyncio.Task[None]] = []
    try:
        async with asyncio.TaskGroup() as group:
            parts.append(group.create_task(hub.run(), name="hub"))
            serving = [
                group.create_task(server.serve(sockets=[listener]), name="http")
                for server, listener in servers
            ]
            for server, _ in servers:
                await server.answering.wait()
            _steady_memory()
            if ready is not None:
                ready(describe_hub(settings))
            logger.info("serving on %s:%d", settings.host, settings.port)
            try:
                await asyncio.gather(*serving)
            finally:
                await _stop(hub, [server for server, _ in servers], serving, parts)
    except* asyncio.CancelledError:
        raise asyncio.CancelledError from None


def _steady_memory() -> None:
    """Keep collections of garbage short while clients wait.

    Python looks at everything once a quarter was added: 0.3 s with 10,000 sessions, five times in a
    row while they come or go. Sessions leave no cycles behind, so it may do that seldom.
    """
    gc.collect()
    gc.freeze()  # What was made so far stays: no collection need look at it again.
    gc.set_threshold(*COLLECT_AFTER)


async def _stop(
    hub: Hub,
    servers: list[EmbeddedServer],
    serving: list[asyncio.Task[None]],
    parts: list[asyncio.Task[None]],
) -> None:
    """Say goodbye to the sessions, let the servers close, then end what runs behind them."""
    logger.info("stopping")
    servers[0].stop_accepting()
    with contextlib.suppress(Exception):
        await hub.drain()
    for server in servers:
        server.should_exit = True
    await asyncio.wait(serving, timeout=1.5)
    for task in (*serving, *parts):
        task.cancel()


def describe_hub(settings: HubSettings) -> HubInfo:
    """Return where a hub with these settings is reached."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return HubInfo(
        url=settings.uri,
        rest_url=f"http://{host}:{settings.port}{REST_PREFIX}",
        admin_url=f"http://{settings.admin_host}:{settings.admin_port}",
    )
