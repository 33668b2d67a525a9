"""What we rely on in uvicorn, which promises none of it: after an upgrade look here first."""

import asyncio
import inspect

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from realtime_hub.http.deadlines import BoundedHttp
from realtime_hub.http.doorway import Doorway
from realtime_hub.http.server import build_server
from realtime_hub.surfaces.ws.engine import SessionEngine
from realtime_hub.surfaces.ws.transport import WebSocketTransport
from session_fakes import FakeHub

UPGRADE = (
    b"GET /v1 HTTP/1.1\r\nHost: hub.example\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"
)
PLAIN_UPGRADE = (
    b"GET /v1 HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: realtime.qubic.v1.msgpack\r\n\r\n"
)


class Taken(asyncio.Protocol):
    """A class as uvicorn wants it for ``ws=``; keeps what it is given."""

    made: "list[Taken]" = []  # noqa: RUF012  # filled by each test

    def __init__(self, **given: object) -> None:
        self.given = given
        self.heard: list[object] = []
        Taken.made.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append(transport)

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)


class FakeTransport(asyncio.Transport):
    """Remembers whom it calls."""

    protocol: asyncio.BaseProtocol | None = None

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


async def _upgraded() -> tuple[Taken, FakeTransport, ServerState, uvicorn.Config]:
    Taken.made.clear()
    config = build_server(None, ws=Taken).config
    config.load()
    state = ServerState()
    kind = config.http_protocol_class
    assert isinstance(kind, type)
    assert issubclass(kind, BoundedHttp)
    connection = kind(config=config, server_state=state, app_state={})
    transport = FakeTransport()
    connection.connection_made(transport)
    connection.data_received(UPGRADE)
    [taken] = Taken.made
    return taken, transport, state, config


async def test_the_class_is_made_with_config_server_state_and_app_state_by_name() -> None:
    taken, _, state, config = await _upgraded()
    assert taken.given == {"config": config, "server_state": state, "app_state": {}}


async def test_the_transport_is_handed_over_before_the_request_which_comes_whole_and_once() -> None:
    taken, transport, state, _ = await _upgraded()
    given, request = taken.heard
    assert given is transport
    assert transport.protocol is taken
    assert isinstance(request, bytes)
    # Names in lower case, all values, nothing added, one empty line at the end.
    head, _, headers = UPGRADE.partition(b"\r\n")
    for name in (b"Host", b"Connection", b"Upgrade:", b"X-Twice"):
        headers = headers.replace(name, name.lower())
    assert request == head + b"\r\n" + headers
    assert not state.connections, "the HTTP connection must have left the server's list"


async def test_a_plain_upgrade_goes_to_the_class_without_a_parser_and_leaves_nothing_behind() -> (
    None
):
    hub = FakeHub()
    config = build_server(None, ws=SessionEngine(hub.context).ws_protocol).config
    config.load()
    kind = config.http_protocol_class
    assert isinstance(kind, type)
    assert issubclass(kind, Doorway)
    state, transport = ServerState(), FakeTransport()
    doorway = kind(config=config, server_state=state, app_state={})
    doorway.connection_made(transport)
    assert state.connections == {doorway}
    doorway.data_received(PLAIN_UPGRADE)
    assert state.connections == {transport.protocol}
    assert isinstance(transport.protocol, WebSocketTransport)
    assert not hasattr(doorway, "parser")
    assert not len(doorway.unfinished)
    assert b"".join(transport.written).startswith(b"HTTP/1.1 101 ")
    [session] = hub.context.registry.connections
    transport.protocol.connection_lost(None)
    assert session.ended


async def test_a_server_that_ends_closes_who_sent_nothing() -> None:
    config = build_server(None, ws=Taken).config
    config.load()
    kind = config.http_protocol_class
    assert isinstance(kind, type)
    assert issubclass(kind, Doorway)
    state, transport = ServerState(), FakeTransport()
    doorway = kind(config=config, server_state=state, app_state={})
    doorway.connection_made(transport)
    doorway.shutdown()
    assert transport.closed
    doorway.connection_lost(None)
    assert not state.connections


async def test_a_server_that_ends_calls_shutdown_of_all_in_its_list_of_connections() -> None:
    hub = FakeHub()
    state = ServerState()
    connection = SessionEngine(hub.context).ws_protocol(
        config=None,
        server_state=state,
        app_state={},  # type: ignore[call-arg]
    )
    connection.connection_made(FakeTransport())
    assert state.connections == {connection}
    assert "connection.shutdown()" in inspect.getsource(uvicorn.Server.shutdown)
    connection.connection_lost(None)
    assert not state.connections


def test_what_the_bounds_on_requests_override_is_still_called() -> None:
    parser_calls = {"on_message_begin", "on_headers_complete", "on_message_complete"}
    for name in parser_calls | {"handle_websocket_upgrade", "data_received", "connection_lost"}:
        assert callable(getattr(HttpToolsProtocol, name)), name
    made = inspect.getsource(HttpToolsProtocol.__init__)
    for name in ("timeout_keep_alive_task", "cycle", "transport", "loop"):
        assert f"self.{name}" in made, name
    assert "self.handle_websocket_upgrade()" in inspect.getsource(HttpToolsProtocol.data_received)
    assert "await self.on_tick(counter)" in inspect.getsource(uvicorn.Server.main_loop)
