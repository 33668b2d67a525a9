"""RFC 6455 as a table, after the list of the Autobahn test suite: its sections 1 to 7 and 9, masks
and handshakes.

The hub echoes nothing, so a message asks for something that isn't served, and "it was read whole"
is that the refusal bears its number. What is sent is given in parts; each part is a TCP segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import msgpack

from raw_socket import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame
from realtime_protocol.limits import Limits

UNKNOWN_TYPE: Final = 0x3D
PROTOCOL_ERROR: Final = 4500
WIDE: Final = Limits(frame_before_login_bytes_max=80_000, frame_bytes_max=80_000)


@dataclass(frozen=True, slots=True)
class Case:
    """What a client sends, and what must come back, in order."""

    name: str
    parts: Sequence[bytes]
    answers: Sequence[int] = ()
    """Numbers of the requests that were read."""
    pongs: Sequence[bytes] = ()
    code: int | None = None
    """Of the hub's close frame; None: the connection lives on and serves."""
    reason: bytes | None = None
    limits: Limits | None = None
    asgi_code: int | None = None
    """Where another server's frames are not as strict: the code there, 0 for none."""
    ours_alone: bool = False
    """Another server waits for the rest of the frame."""


def message(number: int, size: int) -> bytes:
    """Return a request of exactly *size* bytes."""
    for padding in range(max(0, size - 12), size):
        data = msgpack.encode([UNKNOWN_TYPE, number, bytes(padding)])
        if len(data) == size:
            return data
    raise ValueError(f"no request has {size} bytes")


def chop(data: bytes, size: int) -> list[bytes]:
    """Cut *data* into segments."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def in_fragments(data: bytes, *cuts: int, opcode: int = BINARY) -> bytes:
    """Return *data* as one message in fragments, cut at *cuts*."""
    ends = [*cuts, len(data)]
    begins = [0, *cuts]
    return b"".join(
        frame(
            data[begin:end],
            opcode if begin == 0 and n == 0 else CONT,
            fin=n == len(ends) - 1,
        )
        for n, (begin, end) in enumerate(zip(begins, ends, strict=True))
    )


def with_length(payload: bytes, size_bytes: int) -> bytes:
    """Return a frame whose length is told in so many bytes, needed or not."""
    mark = {2: 126, 8: 127}[size_bytes]
    return bytes((0x82, 0x80 | mark)) + len(payload).to_bytes(size_bytes) + bytes(4) + payload


def masked(payload: bytes, mask: bytes) -> bytes:
    """Return a binary frame under this mask."""
    data = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes((0x82, 0x80 | len(payload))) + mask + data


SMALL: Final = message(1, 20)
SECOND: Final = message(2, 20)

FRAMING: Final = [
    Case("1.1.1 a text frame", [frame(b"", TEXT)], code=PROTOCOL_ERROR),
    Case("1.1.2 a text frame of 125 bytes", [frame(b"*" * 125, TEXT)], code=PROTOCOL_ERROR),
    Case("1.2.1 an empty message", [frame(b"")], code=PROTOCOL_ERROR),
    *(
        Case(f"1.2 a message of {size} bytes", [frame(message(1, size))], [1], limits=WIDE)
        for size in (125, 126, 127, 128, 65_535, 65_536)
    ),
    Case("1.2.7 in segments of 997", chop(frame(message(1, 65_536)), 997), [1], limits=WIDE),
    Case("1.2.8 byte by byte", chop(frame(SMALL), 1), [1]),
]

PINGS: Final = [
    Case("2.1 a ping", [frame(b"", PING)], pongs=[b""]),
    Case("2.2 a ping with text", [frame(b"Hello, world!", PING)], pongs=[b"Hello, world!"]),
    Case("2.3 a ping with bytes", [frame(b"\x00\xff\xfe\xc1", PING)], pongs=[b"\x00\xff\xfe\xc1"]),
    Case("2.4 a ping of 125 bytes", [frame(b"\xfe" * 125, PING)], pongs=[b"\xfe" * 125]),
    Case("2.5 a ping of 126 bytes", [frame(b"\xfe" * 126, PING)], code=1002),
    Case("2.6 a ping byte by byte", chop(frame(b"\xfe" * 125, PING), 1), pongs=[b"\xfe" * 125]),
    Case("2.7 a pong nobody asked for", [frame(b"", PONG)]),
    Case("2.8 a pong with a payload", [frame(b"unsolicited", PONG)]),
    Case("2.9 a pong, then a ping", [frame(b"a", PONG), frame(b"b", PING)], pongs=[b"b"]),
    Case("2.10 ten pings", [frame(b"%d" % n, PING) for n in range(10)],
         pongs=[b"%d" % n for n in range(10)]),
    Case("2.11 ten pings in one segment", [b"".join(frame(b"%d" % n, PING) for n in range(10))],
         pongs=[b"%d" % n for n in range(10)]),
]  # fmt: skip

RESERVED_BITS: Final = [
    *(Case(f"3.{rsv} bits {rsv:03b}", [frame(SMALL, rsv=rsv)], code=1002) for rsv in range(1, 8)),
    Case("3.8 after a good message", [frame(SMALL) + frame(SECOND, rsv=4)], [1], code=1002),
    Case("3.9 in a ping", [frame(b"", PING, rsv=2)], code=1002),
    Case("3.10 in a close", [frame(b"\x03\xe8", CLOSE, rsv=1)], code=1002),
    Case("3.11 told by two bytes", [frame(SMALL, rsv=4)[:2]], code=1002, ours_alone=True),
]

OPCODES: Final = [
    *(
        Case(f"4 opcode {opcode}", [frame(b"x" if opcode % 2 else b"", opcode)], code=1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    Case("4 after a good message", [frame(SMALL) + frame(b"", 5)], [1], code=1002),
]

FRAGMENTS: Final = [
    Case("5.1 a ping in fragments", [frame(b"a", PING, fin=False)], code=1002),
    Case("5.2 a pong in fragments", [frame(b"a", PONG, fin=False)], code=1002),
    Case("5.3 a message in two", [in_fragments(SMALL, 7)], [1]),
    Case("5.4 in two segments", [frame(SMALL[:7], fin=False), frame(SMALL[7:], CONT)], [1]),
    Case("5.5 byte by byte", chop(in_fragments(SMALL, 7), 1), [1]),
    Case("5.6 a ping between", [frame(SMALL[:7], fin=False) + frame(b"?", PING)
                                + frame(SMALL[7:], CONT)], [1], pongs=[b"?"]),
    Case("5.7 a ping between, in segments", [frame(SMALL[:7], fin=False), frame(b"?", PING),
                                             frame(SMALL[7:], CONT)], [1], pongs=[b"?"]),
    Case("5.8 empty fragments around", [in_fragments(SMALL, 0, 20)], [1]),
    Case("5.9 a continuation of nothing", [frame(SMALL, CONT)], code=1002),
    Case("5.10 a continuation after a message", [frame(SMALL) + frame(b"", CONT)], [1], code=1002),
    Case("5.11 an open continuation of nothing", [frame(SMALL, CONT, fin=False)], code=1002),
    Case("5.12 a message within one", [frame(SMALL[:7], fin=False) + frame(SECOND)], code=1002),
    Case("5.13 a fragment that begins anew", [frame(SMALL[:7], fin=False) * 2], code=1002),
    Case("5.14 pings between many", [
        b"".join(frame(SMALL[n:n + 1], CONT if n else BINARY, fin=n == 19)
                 + (frame(b"%d" % n, PING) if n % 5 == 0 else b"") for n in range(20))
    ], [1], pongs=[b"0", b"5", b"10", b"15"]),
    Case("5.15 two messages in fragments", [in_fragments(SMALL, 3), in_fragments(SECOND, 9)],
         [1, 2]),
]  # fmt: skip

TEXTS: Final = [
    Case("6.1 good UTF-8", [frame("κόσμε".encode(), TEXT)], code=PROTOCOL_ERROR),
    Case("6.2 text in fragments", [in_fragments(b"Hello", 2, opcode=TEXT)], code=PROTOCOL_ERROR),
    Case("6.3 bad UTF-8", [frame(b"\xce\xba\xff", TEXT)], code=PROTOCOL_ERROR, asgi_code=1007),
    Case("6.4 after a good message", [frame(SMALL) + frame(b"t", TEXT)], [1], code=PROTOCOL_ERROR),
]

CLOSES: Final = [
    Case("7.1.1 after a message", [frame(SMALL) + frame(b"\x03\xe8", CLOSE)], [1], code=1000),
    Case("7.1.2 twice", [frame(b"\x03\xe8", CLOSE) * 2], code=1000),
    Case("7.1.3 a ping after it", [frame(b"\x03\xe8", CLOSE) + frame(b"", PING)], code=1000),
    Case("7.1.4 a message after it", [frame(b"\x03\xe8", CLOSE) + frame(SMALL)], code=1000),
    Case("7.1.5 in the middle of fragments",
         [frame(SMALL[:7], fin=False) + frame(b"\x03\xe8", CLOSE)], code=1002),
    Case("7.3.1 without a code", [frame(b"", CLOSE)], code=0),
    Case("7.3.2 one byte", [frame(b"\x03", CLOSE)], code=1002),
    Case("7.3.3 a code alone", [frame(b"\x03\xe8", CLOSE)], code=1000, reason=b""),
    Case("7.3.4 with a reason", [frame(b"\x03\xe8Hello", CLOSE)], code=1000, reason=b"Hello"),
    Case("7.3.5 a reason of 123", [frame(b"\x03\xe8" + b"*" * 123, CLOSE)], code=1000,
         reason=b"*" * 123),
    Case("7.3.6 a reason of 124", [frame(b"\x03\xe8" + b"*" * 124, CLOSE)], code=1002),
    Case("7.5.1 a reason of bad UTF-8", [frame(b"\x03\xe8\xce\xba\xff", CLOSE)], code=1007),
    *(
        Case(f"7.7 code {code}", [frame(code.to_bytes(2), CLOSE)], code=code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        Case(f"7.9 code {code}", [frame(code.to_bytes(2), CLOSE)], code=1002)
        for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
    ),
]  # fmt: skip

LIMITS: Final = [
    Case("9.1 4 KiB before a login", [frame(message(1, 4_096))], [1]),
    Case("9.2 a byte more", [frame(message(1, 4_097))], code=1009, asgi_code=1009),
    Case("9.3 in segments of 64", chop(frame(message(1, 4_096)), 64), [1]),
    Case("9.4 in fragments of 64", [in_fragments(message(1, 4_096), *range(64, 4_096, 64))], [1]),
    Case("9.5 a fragment more than 64", [in_fragments(message(1, 4_096), *range(63, 4_096, 63))],
         code=PROTOCOL_ERROR, asgi_code=0),
    Case("9.6 fragments that are too long together",
         [frame(bytes(4_000), fin=False) + frame(bytes(97), CONT)], code=1009),
    Case("9.7 a mebibyte, told by its header alone", [b"\x82\xff" + (2**20).to_bytes(8)],
         code=1009),
    Case("9.8 the greatest length", [b"\x82\xff" + (2**63 - 1).to_bytes(8)], code=1009),
    Case("9.9 a length with its first bit set", [b"\x82\xff" + b"\xff" * 8], code=1009),
    Case("9.10 20 bytes told in 16 bits", [with_length(SMALL, 2)], code=1002, asgi_code=0),
    Case("9.11 20 bytes told in 64 bits", [with_length(SMALL, 8)], code=1002, asgi_code=0),
    Case("9.12 126 bytes told in 64 bits", [with_length(message(1, 126), 8)], code=1002,
         asgi_code=0),
    Case("9.13 many messages in one segment", [b"".join(frame(message(n, 20))
                                                         for n in range(1, 21))], range(1, 21)),
    Case("9.14 two messages, cut within the second's header", [frame(SMALL) + frame(SECOND)[:1],
                                                                frame(SECOND)[1:]], [1, 2]),
    Case("9.15 two messages, cut within the second's mask", [frame(SMALL) + frame(SECOND)[:4],
                                                              frame(SECOND)[4:]], [1, 2]),
]  # fmt: skip

MASKS: Final = [
    Case("10.1 no mask", [frame(SMALL, mask=False)], code=1002),
    Case("10.2 a ping without a mask", [frame(b"", PING, mask=False)], code=1002),
    Case("10.3 after a good message", [frame(SMALL) + frame(SECOND, mask=False)], [1], code=1002),
    Case("10.4 a mask of zeros", [masked(SMALL, bytes(4))], [1]),
    Case("10.5 a mask of ones", [masked(SMALL, b"\xff" * 4)], [1]),
    Case("10.6 another mask each time", [masked(SMALL, b"abcd") + masked(SECOND, b"dcba")], [1, 2]),
]  # fmt: skip

CASES: Final = [
    *FRAMING, *PINGS, *RESERVED_BITS, *OPCODES, *FRAGMENTS, *TEXTS, *CLOSES, *LIMITS, *MASKS,
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Handshake:
    """A request to upgrade, changed in one way, and what it is answered with."""

    name: str
    status: int
    line: str = "GET /v1 HTTP/1.1"
    headers: Sequence[tuple[str, str | None]] = ()
    """Header -> value; None leaves it out, an added one comes last."""
    says: str = ""
    asgi_status: int | None = None
    """Where the server or its router decides: the status there."""


HANDSHAKES: Final = [
    Handshake("as it should be", 101),
    Handshake("header names in any case", 101,
              headers=[("Upgrade", None), ("UPGRADE", "websocket")]),
    Handshake("Upgrade in any case", 101, headers=[("Upgrade", "WebSocket")]),
    Handshake("Connection with more tokens", 101, headers=[("Connection", "keep-alive, Upgrade")]),
    Handshake("a query", 101, line="GET /v1?x=1 HTTP/1.1"),
    Handshake("more subprotocols than ours", 101,
              headers=[("Sec-WebSocket-Protocol", "chat, realtime.qubic.v1.msgpack")]),
    Handshake("an extension that isn't used", 101,
              headers=[("Sec-WebSocket-Extensions", "permessage-deflate")]),
    Handshake("another path", 404, line="GET /v2 HTTP/1.1", says="/v1", asgi_status=101),
    Handshake("no Host", 400, headers=[("Host", None)], says="Host", asgi_status=101),
    Handshake("another method", 405, line="POST /v1 HTTP/1.1", asgi_status=405),
    Handshake("two keys", 400, headers=[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]),
    Handshake("two Origins", 400, headers=[("Origin", "https://app.example"),
                                           ("origin", "https://app.example")]),
    Handshake("no key", 400, headers=[("Sec-WebSocket-Key", None)]),
    Handshake("a key of 15 bytes", 400, headers=[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j")]),
    Handshake("a key that isn't base64", 400, headers=[("Sec-WebSocket-Key", "????")]),
    Handshake("no version", 400, headers=[("Sec-WebSocket-Version", None)]),
    Handshake("version 8", 426, headers=[("Sec-WebSocket-Version", "8")],
              says="Sec-WebSocket-Version: 13", asgi_status=400),
    Handshake("no subprotocol", 400, headers=[("Sec-WebSocket-Protocol", None)],
              says="realtime.qubic.v1.msgpack"),
    Handshake("other subprotocols", 400, headers=[("Sec-WebSocket-Protocol", "chat, soap")],
              says="realtime.qubic.v1.msgpack"),
    Handshake("a page's Origin that is served", 101, headers=[("Origin", "https://app.example")]),
    Handshake("an Origin that isn't", 403, headers=[("Origin", "https://evil.example")]),
    Handshake("an Origin that ends in ours", 403, headers=[("Origin", "https://evilapp.example")]),
    Handshake("an Origin that begins with ours", 403,
              headers=[("Origin", "https://app.example.evil")]),
    Handshake("the Origin null", 403, headers=[("Origin", "null")]),
]  # fmt: skip
