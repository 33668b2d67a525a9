"""The request to upgrade as nearly every client sends it, read without a parser and without I/O.

`read_upgrade` takes only what is whole, in one piece and beyond doubt by RFC 6455, section 4.2.1.
Whatever else comes goes the long way, through uvicorn's parser to websockets, which knows what is
wrong with it or that nothing is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from websockets.utils import accept_key

from realtime_hub.surfaces.ws.handshake import VERSION, Refusal
from realtime_protocol.versions import SUBPROTOCOLS, WEBSOCKET_PATH

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Rule: nothing in it can match in two ways, so that a long request takes no more than one pass.
_REQUEST: Final = re.compile(
    rb"GET (/[!-~]*) HTTP/1\.1\r\n((?:" + _TOKEN + rb":[\t -~]*\r\n)+)\r\n"
)
_TOKENS: Final = re.compile(rf"{_TOKEN.decode()}(?:[ \t]*,[ \t]*{_TOKEN.decode()})*")
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
_BODY: Final = frozenset({"content-length", "transfer-encoding", "expect"})


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request that is good by RFC 6455, for our path and a subprotocol that there is."""

    key: str
    subprotocol: str
    origins: tuple[str, ...]
    """As sent: one, or none."""


def read_upgrade(data: bytes) -> Upgrade | None:
    """Read a whole request; None for any that isn't plainly good."""
    request = _REQUEST.fullmatch(data)
    if request is None or request[1].partition(b"?")[0] != _PATH:
        return None
    headers: dict[str, str] = {}
    for line in request[2].decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in headers or name in _BODY:
            return None
        headers[name] = value.strip(" \t")
    subprotocol = _agree(headers)
    if subprotocol is None:
        return None
    origin = headers.get("origin")
    return Upgrade(headers["sec-websocket-key"], subprotocol, () if origin is None else (origin,))


def _agree(headers: Mapping[str, str]) -> str | None:
    """Return the subprotocol; None unless the headers ask for an upgrade that can be had."""
    asks = (
        headers.get("host")
        and headers.get("upgrade", "").lower() == "websocket"
        and headers.get("sec-websocket-version") == VERSION
        and _KEY.fullmatch(headers.get("sec-websocket-key", ""))
        and "upgrade" in _tokens(headers.get("connection", "").lower())
    )
    if not asks:
        return None
    offered = _tokens(headers.get("sec-websocket-protocol", ""))
    return next((name for name in SUBPROTOCOLS if name in offered), None)


def _tokens(value: str) -> list[str]:
    """Return the elements of a list; none where it isn't one."""
    if _TOKENS.fullmatch(value) is None:
        return []
    return [token.strip(" \t") for token in value.split(",")]


def encode_acceptance(upgrade: Upgrade) -> bytes:
    """Return the answer after which frames follow."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(upgrade.key)}\r\n"
        f"Sec-WebSocket-Protocol: {upgrade.subprotocol}\r\n\r\n"
    ).encode()


def encode_refusal(refusal: Refusal) -> bytes:
    """Return an HTTP answer after which the connection ends."""
    body = refusal.text.encode()
    status = HTTPStatus(refusal.status)
    headers = {
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": "text/plain; charset=utf-8",
        **refusal.headers,
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


_PATH: Final = WEBSOCKET_PATH.encode()
