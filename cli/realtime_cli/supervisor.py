"""A hub with several workers: one process that keeps them and serves their administration."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from typing import Any

import httpx

from realtime_cli.workers import Workers
from realtime_hub.config import HubSettings
from realtime_hub.http.server import bind, build_server, reserve
from realtime_hub.server import (
    ADMIN_PORT_SETTING,
    PORT_SETTING,
    HubInfo,
    describe_hub,
    with_bound_ports,
)
from realtime_hub.surfaces.fleet_admin import WORKER_S_MAX, FleetContext, build_fleet_admin_app


async def run_workers(
    settings: HubSettings,
    count: int,
    arguments: Callable[[str, HubSettings], list[str]],
    *,
    ready: Callable[[HubInfo], None],
) -> None:
    """Serve with *count* workers until cancelled; SIGHUP replaces them one by one.

    *arguments* gives the options of a worker by its name. Raises PortTakenError or CliError when
    the ports or the workers can't be had.
    """
    with contextlib.ExitStack() as stack:
        # Held for as long as the hub lives, so that no stranger gets it while workers change.
        public = stack.enter_context(reserve(settings.host, settings.port, PORT_SETTING))
        admin = bind(settings.admin_host, settings.admin_port, ADMIN_PORT_SETTING)
        stack.callback(admin.close)
        settings = with_bound_ports(settings, public, admin)
        async with httpx.AsyncClient(timeout=WORKER_S_MAX, trust_env=False) as client:
            workers = Workers(count, lambda name: arguments(name, settings), client)
            app = build_fleet_admin_app(FleetContext(workers.views, workers.replace_all), client)
            await _serve(workers, app, admin, lambda: ready(describe_hub(settings)))


async def _serve(
    workers: Workers, app: Any, admin: socket.socket, ready: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, workers.replace_all)
    server = build_server(app)
    try:
        await workers.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(workers.run())
            serving = group.create_task(server.serve(sockets=[admin]))
            await server.answering.wait()
            ready()
            try:
                await serving
            finally:
                server.should_exit = True
    except* asyncio.CancelledError:
        raise asyncio.CancelledError from None
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        await workers.stop()
