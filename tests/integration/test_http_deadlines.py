"""Connections that owe a request: real sockets, a deadline of a few tenths of a second."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from realtime_hub.http.deadlines import CUT_TURN_S_MAX, HEAD_BYTES_MAX, Unfinished
from realtime_hub.http.server import bind, build_server
from realtime_hub.surfaces.ws.engine import SessionEngine
from session_fakes import FakeHub
from waiting import eventually

WITHIN_S = 0.3
PLAIN_UPGRADE = (
    b"GET /v1 HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: realtime.qubic.v1.msgpack\r\n\r\n"
)


async def _app(scope: dict[str, object], receive: object, send: object) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * WITHIN_S)
    assert callable(send)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[int]:
    listener = bind("127.0.0.1", 0, "a port of its own")
    engine = SessionEngine(FakeHub().context)
    server = build_server(_app, ws=engine.ws_protocol, request_within_s=WITHIN_S)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await eventually(lambda: server.started)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def _talk(port: int, parts: list[bytes], *, pause_s: float = 0.05) -> bytes:
    """Send *parts* slowly, while the server takes them; return what was answered by the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()

    async def read() -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                answer.extend(data)

    reading = asyncio.create_task(read())
    try:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                if pause_s:
                    await asyncio.wait([reading], timeout=pause_s)
        await asyncio.wait_for(reading, timeout=10)
    finally:
        writer.close()
    return bytes(answer)


TRICKLES: dict[str, tuple[list[bytes], bytes]] = {
    "nothing at all": ([], b""),
    "a head that doesn't end": (
        [b"GET /v1 HTTP/1.1\r\nUpgrade: websocket\r\n"] + [b"x: y\r\n"] * 20,
        b"HTTP/1.1 408 Request Timeout",
    ),
    "a body that doesn't end": (
        [b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\n"],
        b"HTTP/1.1 ",
    ),
    "line ends instead of a second request": (
        [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"] + [b"\r\n"] * 40,
        b"HTTP/1.1 204 No Content",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRICKLES)
async def test_who_lets_the_server_wait_is_cut(name: str) -> None:
    parts, answer = TRICKLES[name]
    async with _server() as port:
        assert (await _talk(port, parts)).startswith(answer)


@pytest.mark.slow
async def test_an_answer_may_take_longer_than_its_request() -> None:
    async with _server() as port:
        answer = await _talk(port, [b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"])
        assert answer.startswith(b"HTTP/1.1 204")


@pytest.mark.slow
async def test_a_head_is_bounded_however_fast_it_comes() -> None:
    async with _server() as port:
        endless = [b"GET / HTTP/1.1\r\n", (b"x: " + bytes([97]) * 1_000 + b"\r\n") * 20]
        assert len(endless[1]) > HEAD_BYTES_MAX
        answer = await _talk(port, endless, pause_s=0)
        assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.slow
async def test_a_session_is_under_no_deadline_of_http() -> None:
    async with _server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN_UPGRADE)
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        await asyncio.sleep(2 * WITHIN_S)
        assert not reader.at_eof()
        writer.close()


class _Connection:
    def __init__(self, *, takes_s: float = 0.0) -> None:
        self.status = b""
        self._takes_s = takes_s

    def refuse(self, status: bytes) -> None:
        time.sleep(self._takes_s)
        self.status = status


async def test_many_that_are_overdue_are_cut_in_turns() -> None:
    unfinished = Unfinished(within_s=5)
    many = [_Connection(takes_s=CUT_TURN_S_MAX) for _ in range(3)]
    for connection in many:
        unfinished.begin(connection, 0)  # type: ignore[arg-type]
    unfinished.cut_overdue(5)
    assert [bool(each.status) for each in many] == [True, False, False]
    assert not len(unfinished)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(each.status for each in many)


async def test_at_the_bound_the_one_that_waits_longest_makes_room() -> None:
    unfinished = Unfinished(within_s=5, connections_max=2)
    first, second, third = _Connection(), _Connection(), _Connection()
    for at_s, connection in enumerate((first, second, third)):
        unfinished.begin(connection, at_s)  # type: ignore[arg-type]
    assert first.status
    assert len(unfinished) == 2
    unfinished.cut_overdue(5.9)
    statuses = [bool(second.status)]
    unfinished.cut_overdue(6)
    statuses += [bool(second.status), bool(third.status)]
    assert statuses == [False, True, False]
