"""RFC 6455 as a table, after the list of the Autobahn test suite: its sections 1 to 7 and 9, masks
and handshakes; for binary messages, and for text.

The hub echoes nothing, so a message asks for something that isn't served, and "it was read whole"
is that the refusal bears its number. What is sent is given in parts; each part is a TCP segment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

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


def chop(data: bytes, size: int) -> list[bytes]:
    """Cut *data* into segments."""
    return [data[at : at + size] for at in range(0, len(data), size)]


class Form:
    """What the frames of one subprotocol have in them: msgpack, or JSON."""

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        self.opcode, self.other = (TEXT, BINARY) if is_text else (BINARY, TEXT)
        self.small = self.message(1, 20)
        self.second = self.message(2, 20)

    def message(self, number: int, size: int) -> bytes:
        """Return a request of exactly *size* bytes."""
        for padding in range(max(0, size - 16), size):
            data = self._request(number, padding)
            if len(data) == size:
                return data
        raise ValueError(f"no request has {size} bytes")

    def _request(self, number: int, padding: int) -> bytes:
        if self.is_text:
            return f'[{UNKNOWN_TYPE},{number},"{"x" * padding}"]'.encode()
        return msgpack.encode([UNKNOWN_TYPE, number, bytes(padding)])

    def frame(self, payload: bytes, opcode: int | None = None, **options: Any) -> bytes:
        """Build a frame; without an opcode, of a message."""
        return frame(payload, self.opcode if opcode is None else opcode, **options)

    def in_fragments(self, data: bytes, *cuts: int, opcode: int | None = None) -> bytes:
        """Return *data* as one message in fragments, cut at *cuts*."""
        ends = [*cuts, len(data)]
        begins = [0, *cuts]
        return b"".join(
            self.frame(
                data[begin:end],
                opcode if begin == 0 and n == 0 else CONT,
                fin=n == len(ends) - 1,
            )
            for n, (begin, end) in enumerate(zip(begins, ends, strict=True))
        )

    def with_length(self, payload: bytes, size_bytes: int) -> bytes:
        """Return a frame whose length is told in so many bytes, needed or not."""
        mark = {2: 126, 8: 127}[size_bytes]
        head = bytes((0x80 | self.opcode, 0x80 | mark))
        return head + len(payload).to_bytes(size_bytes) + bytes(4) + payload

    def masked(self, payload: bytes, mask: bytes) -> bytes:
        """Return a message's frame under this mask."""
        data = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
        return bytes((0x80 | self.opcode, 0x80 | len(payload))) + mask + data


def _framing(f: Form) -> list[Case]:
    return [
        Case("1.1.1 a frame of the other kind", [f.frame(b"", f.other)], code=PROTOCOL_ERROR),
        Case("1.1.2 one of 125 bytes", [f.frame(b"*" * 125, f.other)], code=PROTOCOL_ERROR),
        Case("1.2.1 an empty message", [f.frame(b"")], code=PROTOCOL_ERROR),
        *(
            Case(f"1.2 a message of {size} bytes", [f.frame(f.message(1, size))], [1], limits=WIDE)
            for size in (125, 126, 127, 128, 65_535, 65_536)
        ),
        Case(
            "1.2.7 in segments of 997", chop(f.frame(f.message(1, 65_536)), 997), [1], limits=WIDE
        ),
        Case("1.2.8 byte by byte", chop(f.frame(f.small), 1), [1]),
    ]


def _pings(f: Form) -> list[Case]:
    return [
        Case("2.1 a ping", [f.frame(b"", PING)], pongs=[b""]),
        Case("2.2 a ping with text", [f.frame(b"Hello, world!", PING)], pongs=[b"Hello, world!"]),
        Case(
            "2.3 a ping with bytes",
            [f.frame(b"\x00\xff\xfe\xc1", PING)],
            pongs=[b"\x00\xff\xfe\xc1"],
        ),
        Case("2.4 a ping of 125 bytes", [f.frame(b"\xfe" * 125, PING)], pongs=[b"\xfe" * 125]),
        Case("2.5 a ping of 126 bytes", [f.frame(b"\xfe" * 126, PING)], code=1002),
        Case(
            "2.6 a ping byte by byte", chop(f.frame(b"\xfe" * 125, PING), 1), pongs=[b"\xfe" * 125]
        ),
        Case("2.7 a pong nobody asked for", [f.frame(b"", PONG)]),
        Case("2.8 a pong with a payload", [f.frame(b"unsolicited", PONG)]),
        Case("2.9 a pong, then a ping", [f.frame(b"a", PONG), f.frame(b"b", PING)], pongs=[b"b"]),
        Case(
            "2.10 ten pings",
            [f.frame(b"%d" % n, PING) for n in range(10)],
            pongs=[b"%d" % n for n in range(10)],
        ),
        Case(
            "2.11 ten pings in one segment",
            [b"".join(f.frame(b"%d" % n, PING) for n in range(10))],
            pongs=[b"%d" % n for n in range(10)],
        ),
    ]


def _reserved_bits(f: Form) -> list[Case]:
    return [
        *(
            Case(f"3.{rsv} bits {rsv:03b}", [f.frame(f.small, rsv=rsv)], code=1002)
            for rsv in range(1, 8)
        ),
        Case(
            "3.8 after a good message",
            [f.frame(f.small) + f.frame(f.second, rsv=4)],
            [1],
            code=1002,
        ),
        Case("3.9 in a ping", [f.frame(b"", PING, rsv=2)], code=1002),
        Case("3.10 in a close", [f.frame(b"\x03\xe8", CLOSE, rsv=1)], code=1002),
        Case("3.11 told by two bytes", [f.frame(f.small, rsv=4)[:2]], code=1002, ours_alone=True),
    ]


def _opcodes(f: Form) -> list[Case]:
    return [
        *(
            Case(f"4 opcode {opcode}", [f.frame(b"x" if opcode % 2 else b"", opcode)], code=1002)
            for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        ),
        Case("4 after a good message", [f.frame(f.small) + f.frame(b"", 5)], [1], code=1002),
    ]


def _fragments(f: Form) -> list[Case]:
    return [
        Case("5.1 a ping in fragments", [f.frame(b"a", PING, fin=False)], code=1002),
        Case("5.2 a pong in fragments", [f.frame(b"a", PONG, fin=False)], code=1002),
        Case("5.3 a message in two", [f.in_fragments(f.small, 7)], [1]),
        Case(
            "5.4 in two segments",
            [f.frame(f.small[:7], fin=False), f.frame(f.small[7:], CONT)],
            [1],
        ),
        Case("5.5 byte by byte", chop(f.in_fragments(f.small, 7), 1), [1]),
        Case(
            "5.6 a ping between",
            [f.frame(f.small[:7], fin=False) + f.frame(b"?", PING) + f.frame(f.small[7:], CONT)],
            [1],
            pongs=[b"?"],
        ),
        Case(
            "5.7 a ping between, in segments",
            [f.frame(f.small[:7], fin=False), f.frame(b"?", PING), f.frame(f.small[7:], CONT)],
            [1],
            pongs=[b"?"],
        ),
        Case("5.8 empty fragments around", [f.in_fragments(f.small, 0, 20)], [1]),
        Case("5.9 a continuation of nothing", [f.frame(f.small, CONT)], code=1002),
        Case(
            "5.10 a continuation after a message",
            [f.frame(f.small) + f.frame(b"", CONT)],
            [1],
            code=1002,
        ),
        Case(
            "5.11 an open continuation of nothing", [f.frame(f.small, CONT, fin=False)], code=1002
        ),
        Case(
            "5.12 a message within one",
            [f.frame(f.small[:7], fin=False) + f.frame(f.second)],
            code=1002,
        ),
        Case("5.13 a fragment that begins anew", [f.frame(f.small[:7], fin=False) * 2], code=1002),
        Case(
            "5.14 pings between many",
            [
                b"".join(
                    f.frame(f.small[n : n + 1], CONT if n else None, fin=n == 19)
                    + (f.frame(b"%d" % n, PING) if n % 5 == 0 else b"")
                    for n in range(20)
                )
            ],
            [1],
            pongs=[b"0", b"5", b"10", b"15"],
        ),
        Case(
            "5.15 two messages in fragments",
            [f.in_fragments(f.small, 3), f.in_fragments(f.second, 9)],
            [1, 2],
        ),
    ]


def _texts(f: Form) -> list[Case]:
    if not f.is_text:
        return [
            Case("6.1 good UTF-8", [f.frame("κόσμε".encode(), TEXT)], code=PROTOCOL_ERROR),
            Case("6.2 text in fragments", [f.in_fragments(b"Hello", 2, opcode=TEXT)],
                 code=PROTOCOL_ERROR),
            Case("6.3 bad UTF-8", [f.frame(b"\xce\xba\xff", TEXT)], code=PROTOCOL_ERROR,
                 asgi_code=1007),
            Case("6.4 after a good message", [f.frame(f.small) + f.frame(b"t", TEXT)], [1],
                 code=PROTOCOL_ERROR),
        ]  # fmt: skip
    letters = f'[{UNKNOWN_TYPE},1,"κόσμε"]'.encode()
    return [
        Case("6.1 good UTF-8", [f.frame(letters)], [1]),
        Case("6.2 cut anywhere", [f.in_fragments(letters, *range(1, len(letters)))], [1]),
        Case("6.3 no letter", [f.frame(b"\xce\xba\xff")], code=1007),
        Case("6.4 half a letter", [f.frame(letters[:8])], code=1007),
        Case("6.5 half a pair", [f.frame(b"\xed\xa0\x80")], code=1007),
        Case("6.6 beyond Unicode", [f.frame(b"\xf4\x90\x80\x80")], code=1007),
        Case("6.7 a letter longer than it need be", [f.frame(b"\xc0\xaf")], code=1007),
        Case("6.8 in the last fragment", [f.in_fragments(letters[:8], 3)], code=1007),
        Case("6.9 after a good message", [f.frame(f.small) + f.frame(b"\xff")], [1], code=1007),
        Case("6.10 bytes after a good message", [f.frame(f.small) + f.frame(b"b", BINARY)], [1],
             code=PROTOCOL_ERROR),
        Case("6.11 bytes in fragments", [f.in_fragments(f.small, 7, opcode=BINARY)],
             code=PROTOCOL_ERROR),
    ]  # fmt: skip


def _closes(f: Form) -> list[Case]:
    return [
        Case(
            "7.1.1 after a message",
            [f.frame(f.small) + f.frame(b"\x03\xe8", CLOSE)],
            [1],
            code=1000,
        ),
        Case("7.1.2 twice", [f.frame(b"\x03\xe8", CLOSE) * 2], code=1000),
        Case(
            "7.1.3 a ping after it", [f.frame(b"\x03\xe8", CLOSE) + f.frame(b"", PING)], code=1000
        ),
        Case(
            "7.1.4 a message after it", [f.frame(b"\x03\xe8", CLOSE) + f.frame(f.small)], code=1000
        ),
        Case(
            "7.1.5 in the middle of fragments",
            [f.frame(f.small[:7], fin=False) + f.frame(b"\x03\xe8", CLOSE)],
            code=1002,
        ),
        Case("7.3.1 without a code", [f.frame(b"", CLOSE)], code=0),
        Case("7.3.2 one byte", [f.frame(b"\x03", CLOSE)], code=1002),
        Case("7.3.3 a code alone", [f.frame(b"\x03\xe8", CLOSE)], code=1000, reason=b""),
        Case("7.3.4 with a reason", [f.frame(b"\x03\xe8Hello", CLOSE)], code=1000, reason=b"Hello"),
        Case(
            "7.3.5 a reason of 123",
            [f.frame(b"\x03\xe8" + b"*" * 123, CLOSE)],
            code=1000,
            reason=b"*" * 123,
        ),
        Case("7.3.6 a reason of 124", [f.frame(b"\x03\xe8" + b"*" * 124, CLOSE)], code=1002),
        Case("7.5.1 a reason of bad UTF-8", [f.frame(b"\x03\xe8\xce\xba\xff", CLOSE)], code=1007),
        *(
            Case(f"7.7 code {code}", [f.frame(code.to_bytes(2), CLOSE)], code=code)
            for code in (
                1000,
                1001,
                1002,
                1003,
                1007,
                1008,
                1009,
                1010,
                1011,
                3000,
                3999,
                4000,
                4999,
            )
        ),
        *(
            Case(f"7.9 code {code}", [f.frame(code.to_bytes(2), CLOSE)], code=1002)
            for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
        ),
    ]


def _limits(f: Form) -> list[Case]:
    return [
        Case("9.1 4 KiB before a login", [f.frame(f.message(1, 4_096))], [1]),
        Case("9.2 a byte more", [f.frame(f.message(1, 4_097))], code=1009, asgi_code=1009),
        Case("9.3 in segments of 64", chop(f.frame(f.message(1, 4_096)), 64), [1]),
        Case(
            "9.4 in fragments of 64",
            [f.in_fragments(f.message(1, 4_096), *range(64, 4_096, 64))],
            [1],
        ),
        Case(
            "9.5 a fragment more than 64",
            [f.in_fragments(f.message(1, 4_096), *range(63, 4_096, 63))],
            code=PROTOCOL_ERROR,
            asgi_code=0,
        ),
        Case(
            "9.6 fragments that are too long together",
            [f.frame(bytes(4_000), fin=False) + f.frame(bytes(97), CONT)],
            code=1009,
        ),
        Case(
            "9.7 a mebibyte, told by its header alone",
            [b"\x82\xff" + (2**20).to_bytes(8)],
            code=1009,
        ),
        Case("9.8 the greatest length", [b"\x82\xff" + (2**63 - 1).to_bytes(8)], code=1009),
        Case("9.9 a length with its first bit set", [b"\x82\xff" + b"\xff" * 8], code=1009),
        Case("9.10 20 bytes told in 16 bits", [f.with_length(f.small, 2)], code=1002, asgi_code=0),
        Case("9.11 20 bytes told in 64 bits", [f.with_length(f.small, 8)], code=1002, asgi_code=0),
        Case(
            "9.12 126 bytes told in 64 bits",
            [f.with_length(f.message(1, 126), 8)],
            code=1002,
            asgi_code=0,
        ),
        Case(
            "9.13 many messages in one segment",
            [b"".join(f.frame(f.message(n, 20)) for n in range(1, 21))],
            range(1, 21),
        ),
        Case(
            "9.14 two messages, cut within the second's header",
            [f.frame(f.small) + f.frame(f.second)[:1], f.frame(f.second)[1:]],
            [1, 2],
        ),
        Case(
            "9.15 two messages, cut within the second's mask",
            [f.frame(f.small) + f.frame(f.second)[:4], f.frame(f.second)[4:]],
            [1, 2],
        ),
    ]


def _masks(f: Form) -> list[Case]:
    return [
        Case("10.1 no mask", [f.frame(f.small, mask=False)], code=1002),
        Case("10.2 a ping without a mask", [f.frame(b"", PING, mask=False)], code=1002),
        Case(
            "10.3 after a good message",
            [f.frame(f.small) + f.frame(f.second, mask=False)],
            [1],
            code=1002,
        ),
        Case("10.4 a mask of zeros", [f.masked(f.small, bytes(4))], [1]),
        Case("10.5 a mask of ones", [f.masked(f.small, b"\xff" * 4)], [1]),
        Case(
            "10.6 another mask each time",
            [f.masked(f.small, b"abcd") + f.masked(f.second, b"dcba")],
            [1, 2],
        ),
    ]


def cases(form: Form) -> list[Case]:
    """Return the table."""
    sections = (
        _framing, _pings, _reserved_bits, _opcodes, _fragments, _texts, _closes, _limits, _masks,
    )  # fmt: skip
    return [case for section in sections for case in section(form)]


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
