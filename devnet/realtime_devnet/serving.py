"""Runs a devnet's servers and its clock in one event loop."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import uvicorn

from realtime_devnet.devnet import DEMO_NAME, Devnet
from realtime_devnet.http_answers import HttpAnswers
from realtime_devnet.http_server import build_app
from realtime_devnet.node_answers import NodeAnswers
from realtime_devnet.node_server import NodeLimits, NodeServer
from realtime_devnet.settings import CONTRACT_INDEX, DevnetInfo, DevnetSettings, PortTaken

HTTP_CONNECTIONS_MAX: Final = 256
_BACKLOG: Final = 128


class DevnetServer:
    """A devnet that is reachable. :meth:`step` moves it by hand, :meth:`tick` by the clock."""

    def __init__(self, devnet: Devnet, info: DevnetInfo, node: NodeServer, since_s: float) -> None:
        self.devnet = devnet
        self.info = info
        self.node = node
        self._since_s = since_s

    def step(self, ticks: int = 1) -> None:
        """Process so many ticks."""
        self.devnet.step(ticks)
        self._since_s = time.monotonic()

    def spent_ms(self) -> int:
        """Tell how long the current tick has lasted."""
        return int((time.monotonic() - self._since_s) * 1000)

    async def tick(self) -> None:
        """Process a tick each tick_ms, until cancelled.

        A step that comes late shortens no later tick: a stopped laptop doesn't race to catch up.
        """
        tick_s = self.devnet.network.tick_ms / 1000
        due_s = time.monotonic() + tick_s
        while True:
            await asyncio.sleep(due_s - time.monotonic())
            self.step()
            due_s = max(due_s, time.monotonic() - tick_s) + tick_s


async def run_devnet(
    settings: DevnetSettings, *, ready: Callable[[DevnetInfo], None] | None = None
) -> None:
    """Run the network of *settings* until cancelled; call *ready* once it can be reached.

    Raises :class:`PortTaken` (an OSError) and :class:`DevnetError`, both with text for people.
    """
    with bound_ports(settings) as ports:
        devnet = Devnet.open(settings, now_ms=time.time_ns() // 1_000_000)
        try:
            async with serving(devnet, settings, ports) as server:
                if ready is not None:
                    ready(server.info)
                await server.tick()
        finally:
            devnet.close()


@contextlib.asynccontextmanager
async def serving(
    devnet: Devnet,
    settings: DevnetSettings,
    ports: tuple[socket.socket, socket.socket],
    *,
    limits: NodeLimits | None = None,
) -> AsyncIterator[DevnetServer]:
    """Serve *devnet* on two bound sockets, node and HTTP; time doesn't move by itself."""
    node_socket, http_socket = ports
    info = DevnetInfo(
        node_host=settings.host,
        node_port=node_socket.getsockname()[1],
        http_port=http_socket.getsockname()[1],
        tick=devnet.tick,
        contract_index=CONTRACT_INDEX,
        wallets=devnet.wallets,
        admin=devnet.admin,
        demo_path=settings.state_path / DEMO_NAME,
    )
    # Answers ask the server for the time spent in the tick, and the server holds the answers.
    spent_ms: Callable[[], int] = lambda: server.spent_ms()  # noqa: E731  (made below)
    node = NodeServer(NodeAnswers(devnet, spent_ms=spent_ms), limits)
    server = DevnetServer(devnet, info, node, time.monotonic())
    web = _http_server(HttpAnswers(devnet, spent_ms=spent_ms))
    await node.listen(node_socket)
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(node.run(), name="devnet node")
        http = tasks.create_task(web.serve([http_socket]), name="devnet http")
        try:
            await web.up.wait()
            yield server
        finally:
            node.close()
            answering.cancel()
            web.end.set()
            # Left to the group, a cancelled web server would drop its sockets unclosed.
            await asyncio.wait([http])


@contextlib.contextmanager
def bound_ports(settings: DevnetSettings) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Take both ports; PortTaken names the one that isn't free."""
    with (
        _bound(settings.host, settings.node_port, "node_port") as node,
        _bound(settings.host, settings.http_port, "http_port") as http,
    ):
        yield node, http


def _bound(host: str, port: int, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Right after a kill the old connections linger; they must not keep the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                errno.EADDRINUSE, f"{host}:{port} is taken; stop what uses it or set {setting}"
            ) from error
        raise OSError(error.errno, f"can't listen on {host}:{port}: {error.strerror}") from error
    return bound


class _WebServer(uvicorn.Server):
    """uvicorn without its own signals and polling: whoever runs the devnet says when it ends."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.end = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.end.wait()


def _http_server(answers: HttpAnswers) -> _WebServer:
    config = uvicorn.Config(
        build_app(answers),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        limit_concurrency=HTTP_CONNECTIONS_MAX,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    return _WebServer(config)
