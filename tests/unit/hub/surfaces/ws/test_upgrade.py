"""Requests to upgrade that are read at a glance, held against websockets, which reads all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from realtime_hub.surfaces.ws.handshake import FULL_RETRY_S, refuse_address
from realtime_hub.surfaces.ws.upgrade import encode_acceptance, encode_refusal, read_upgrade
from realtime_protocol.versions import SUBPROTOCOLS

GOOD = (
    b"GET /v1 HTTP/1.1\r\nHost: hub.example\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nOrigin: https://app.example\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: chat, realtime.qubic.v1.msgpack\r\n\r\n"
)
SPOILED = {
    "nothing": (GOOD, b""),
    "the last line missing": (b"\r\n\r\n", b"\r\n"),
    "a frame behind it": (b"\r\n\r\n", b"\r\n\r\n\x82\x80abcd"),
    "bare line feeds": (b"\r\n", b"\n"),
    "another path": (b"/v1", b"/v2"),
    "a path that only begins as ours": (b"/v1", b"/v1x"),
    "a whole address": (b"/v1", b"http://hub.example/v1"),
    "another method": (b"GET", b"POST"),
    "HTTP/1.0": (b"HTTP/1.1", b"HTTP/1.0"),
    "no Host": (b"Host: hub.example\r\n", b""),
    "two Hosts": (b"Host: hub.example\r\n", b"Host: hub.example\r\nHost: hub.example\r\n"),
    "an empty Host": (b"Host: hub.example", b"Host: "),
    "another Upgrade": (b"Upgrade: websocket", b"Upgrade: h2c"),
    "two Upgrades": (b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
    "Connection without Upgrade": (b"keep-alive, Upgrade", b"keep-alive"),
    "Connection with less than the word": (b"keep-alive, Upgrade", b"keep-alive, Upgrades"),
    "a Connection that is no list": (b"keep-alive, Upgrade", b"keep-alive Upgrade"),
    "no version": (b"Sec-WebSocket-Version: 13\r\n", b""),
    "another version": (b": 13", b": 12"),
    "no key": (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "a short key": (b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j"),
    "a key of other letters": (b"dGhl", b"dG-l"),
    "two Origins": (b"Origin:", b"Origin: https://app.example\r\norigin:"),
    "no subprotocol of ours": (b"realtime.qubic.v1.msgpack", b"realtime.qubic.v2.msgpack"),
    "a body": (b"Host:", b"Content-Length: 1\r\nHost:"),
    "a body in chunks": (b"Host:", b"Transfer-Encoding: chunked\r\nHost:"),
    "a wish to be told to go on": (b"Host:", b"Expect: 100-continue\r\nHost:"),
    "a header that goes on in the next line": (b"Origin:", b"X: 1\r\n 2\r\nOrigin:"),
    "a space before the colon": (b"Origin:", b"Origin :"),
    "a name of other letters": (b"Origin:", b"Or(igin:"),
    "a control character": (b"app.example", b"app\x00example"),
    "letters beyond ASCII": (b"app.example", b"\xc3\xa4pp.example"),
    "a carriage return in a value": (b"app.example", b"app\rexample"),
}


def test_a_plain_request_is_read_whole() -> None:
    upgrade = read_upgrade(GOOD)
    assert upgrade is not None
    assert upgrade.origins == ("https://app.example",)
    assert upgrade.subprotocol == "realtime.qubic.v1.msgpack"
    # The key and its answer stand in RFC 6455, section 1.3.
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in encode_acceptance(upgrade)


def test_a_native_client_sends_no_origin() -> None:
    upgrade = read_upgrade(GOOD.replace(b"Origin: https://app.example\r\n", b""))
    assert upgrade is not None
    assert upgrade.origins == ()


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
def test_what_is_not_plainly_good_is_left_to_the_parser(spoiled: tuple[bytes, bytes]) -> None:
    before, after = spoiled
    assert before in GOOD
    assert read_upgrade(GOOD.replace(before, after)) is None


def _by_websockets(data: bytes) -> tuple[int, str | None, str | None]:
    """Return websockets' status, accept header and subprotocol."""
    protocol = ServerProtocol(subprotocols=[Subprotocol(name) for name in SUBPROTOCOLS])
    protocol.receive_data(data)
    [request] = protocol.events_received()
    assert isinstance(request, Request)
    response = protocol.accept(request)
    headers = response.headers
    return (
        response.status_code,
        headers.get("Sec-WebSocket-Accept"),
        headers.get("Sec-WebSocket-Protocol"),
    )


_PIECES = st.sampled_from([b"\r\n", b" ", b",", b":", b"\t", b"=", b"Upgrade", b"x", b"/", b"\x7f"])


@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 3), piece=st.binary(max_size=2) | _PIECES)
def test_whatever_is_read_here_websockets_accepts_alike(at: int, cut: int, piece: bytes) -> None:
    data = GOOD[:at] + piece + GOOD[at + cut :]
    upgrade = read_upgrade(data)
    if upgrade is None:
        return
    status, accept, subprotocol = _by_websockets(data)
    assert (status, subprotocol) == (101, upgrade.subprotocol)
    assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in encode_acceptance(upgrade)


def test_a_refusal_says_how_long_it_is_and_when_to_come_again() -> None:
    head, _, body = encode_refusal(refuse_address()).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 429 Too Many Requests"
    assert {f"Content-Length: {len(body)}", f"Retry-After: {FULL_RETRY_S}"} <= set(lines)
