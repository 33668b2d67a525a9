"""From bytes to messages and back, by RFC 6455 and without I/O, once a connection is open.

Every header is checked here, before anything of its frame is kept. Whole, unfragmented binary
frames, which nearly all are, are read here too; any other whole frame is handed to websockets'
`ServerProtocol`, which lives only as long as it has something to remember: a message in fragments,
a goodbye. So a connection at rest holds no parser.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.speedups import apply_mask

from realtime_protocol.codes import CloseCode, close_reason

PROTOCOL_ERROR: Final = 1002
MESSAGE_TOO_BIG: Final = 1009
NOT_UTF8: Final = 1007
PING: Final = b"\x89\x00"

_BINARY: Final = 0x82
"""First byte of the only frame of a binary message."""
_TEXT: Final = b"\x81"
"""The same of a text message."""
_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_OPCODES: Final = frozenset(int(opcode) for opcode in Opcode)
_CONTROL: Final = 0x08
_CONTROL_BYTES_MAX: Final = 125
_SIZE_IN_2: Final = 126
_SIZE_IN_8: Final = 127
_MASK_BYTES: Final = 4
_SHORTEST_BYTES: Final = 7
"""Of a frame with a message in it."""
_PEEKED_BYTES: Final = 10
"""A longer header, the mask, the array's mark and the type."""
_SHORT_HEADERS: Final = tuple(bytes((_BINARY, size)) for size in range(_SIZE_IN_2))
_A_PONG: Final = Frame(Opcode.PONG, b"")

frame_logger = logging.getLogger(__name__)
"""For websockets, which would tell of each frame."""
frame_logger.setLevel(logging.WARNING)


class FrameBounds(Protocol):
    """How much a client may send in one message, now."""

    @property
    def frame_bytes_max(self) -> int:
        """The longest message."""
        ...

    @property
    def fragments_max(self) -> int:
        """The most frames of one message."""
        ...


@dataclass(frozen=True, slots=True)
class Broken:
    """The client broke a rule. Nothing more is read; the goodbye lies ready."""

    code: int
    reason: str


class FrameStream:
    """The frames of one open connection, whose messages are binary."""

    opcode: ClassVar[Opcode] = Opcode.BINARY
    """Of messages."""

    __slots__ = (
        "_bounds",
        "_broken",
        "_fragments",
        "_input",
        "_output",
        "_protocol",
        "is_open",
        "waits",
    )

    def __init__(self, bounds: FrameBounds) -> None:
        self._bounds = bounds
        self._input = b""
        """What came and was not taken yet: as a rule nothing."""
        self.waits = False
        """Whether there is something: a part of a frame, or an odd one."""
        self._output: list[bytes] | None = None
        self._fragments: list[bytes] | None = None
        self._protocol: ServerProtocol | None = None
        self._broken = False
        self.is_open = True
        """Whether messages may be sent: no goodbye was said."""

    @property
    def is_broken(self) -> bool:
        """Whether the client broke a rule."""
        return self._broken

    @property
    def in_message(self) -> bool:
        """Whether a part of a message is kept."""
        return self.waits or self._fragments is not None

    @property
    def held_bytes(self) -> int:
        """What is kept of messages that aren't whole."""
        return len(self._input) + self._fragments_bytes

    # Reading ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[bytes]:
        """Take what came; return the messages at its front that came as one binary frame each.

        When `waits` is true afterwards, ask for what is `odd`, then receive b"", and so on.
        """
        if self._input:
            data = self._input + data
        at, end = 0, len(data)
        messages: list[bytes] = []
        if self._protocol is None:
            last_at = end - _SHORTEST_BYTES
            while at <= last_at and data[at] == _BINARY:
                size = data[at + 1] - _MASKED
                mask_at = at + 2
                if size < 0 or size >= _SIZE_IN_2:
                    if size != _SIZE_IN_2:
                        break
                    size = data[mask_at] << 8 | data[mask_at + 1]
                    mask_at += 2
                    if size < _SIZE_IN_2 or size > self._bounds.frame_bytes_max:
                        break
                payload_at = mask_at + _MASK_BYTES
                next_at = payload_at + size
                if next_at > end:
                    break
                messages.append(apply_mask(data[payload_at:next_at], data[mask_at:payload_at]))
                at = next_at
        if at < end and not self._broken:
            self._input = data[at:]
            self.waits = True
        elif self.waits:
            self._input = b""
            self.waits = False
        return messages

    def odd(self) -> Frame | Broken | None:
        """Return what is next and `receive` doesn't read; None when it isn't whole.

        A frame is a control frame, one of the other kind, or a message that came otherwise.
        """
        while self._input and not self._broken:
            size = self._measure()
            if size is None:
                return None
            if isinstance(size, Broken):
                self.fail(size.code, size.reason)
                return size
            event = self._hand_over(size)
            if event is not None:
                return event
        return None

    def _measure(self) -> int | Broken | None:
        """Check the next header; return the size of its frame, None while that isn't whole."""
        data = self._input
        if len(data) < 2:
            return None
        first, size = data[0], data[1] & ~_MASKED
        header_bytes = {_SIZE_IN_2: 4, _SIZE_IN_8: 10}.get(size, 2)
        reason = _refuse(first, data[1])
        if reason is not None:
            return Broken(PROTOCOL_ERROR, reason)
        if len(data) < header_bytes:
            return None
        if header_bytes > 2:
            size = int.from_bytes(data[2:header_bytes])
            if size < (_SIZE_IN_2 if header_bytes == 4 else 0x1_0000):
                return Broken(PROTOCOL_ERROR, "a length longer than it need be")
        bytes_max = self._bounds.frame_bytes_max
        if not first & _CONTROL and size + self._fragments_bytes > bytes_max:
            return Broken(MESSAGE_TOO_BIG, f"at most {bytes_max} bytes")
        size += header_bytes + _MASK_BYTES
        return size if len(data) >= size else None

    def _hand_over(self, size: int) -> Frame | Broken | None:
        """Have websockets take the next frame, which is whole."""
        data, self._input = self._input[:size], self._input[size:]
        if self._protocol is None and data[0] == _FIN | Opcode.PONG:
            return _A_PONG  # The answer to each of our pings: not worth a parser.
        protocol = self._parser()
        protocol.receive_data(data)
        self._collect(protocol)
        if protocol.parser_exc is not None:
            sent = protocol.close_sent
            self._broken = True
            return Broken(*(sent.code, sent.reason) if sent else (PROTOCOL_ERROR, ""))
        for event in protocol.events_received():
            if isinstance(event, Frame):
                return self._join(event)
        return None

    def _join(self, frame: Frame) -> Frame | Broken | None:
        """Return a frame, or the message of which it was the last."""
        protocol = self._parser()
        if protocol.state is not OPEN:
            self._fragments = None
            return frame if frame.opcode is Opcode.CLOSE else None
        if frame.opcode is Opcode.CONT or (frame.opcode is self.opcode and not frame.fin):
            fragments = self._fragments = [*(self._fragments or ()), bytes(frame.data)]
            if len(fragments) > self._bounds.fragments_max:
                code = CloseCode.PROTOCOL_ERROR
                self.fail(int(code), close_reason(code))
                return Broken(int(code), close_reason(code))
            if not frame.fin:
                return None
            self._fragments = None
            frame = Frame(self.opcode, b"".join(fragments))
        if protocol.current_size is None:
            self._protocol = None  # It has nothing to remember.
        return frame

    # Writing ----------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, unless that was done, and wait for the client's."""
        if self.is_open:
            protocol = self._parser()
            protocol.send_close(code, reason)
            self._collect(protocol)

    def fail(self, code: int, reason: str) -> None:
        """Say goodbye, unless that was done, and wait for nothing."""
        self._broken = True
        self._input = b""
        self._fragments = None
        protocol = self._parser()
        protocol.fail(code, reason)
        self._collect(protocol)

    def output(self) -> list[bytes]:
        """Return what is to be written; an empty piece is the end of the stream."""
        output, self._output = self._output, None
        return output or []

    @property
    def _fragments_bytes(self) -> int:
        return sum(map(len, self._fragments)) if self._fragments else 0

    def _parser(self) -> ServerProtocol:
        if self._protocol is None:
            # Sizes are bounded here, before a frame is whole.
            self._protocol = ServerProtocol(state=OPEN, max_size=None, logger=frame_logger)
        return self._protocol

    def _collect(self, protocol: ServerProtocol) -> None:
        self.is_open = protocol.state is OPEN
        pieces = protocol.data_to_send()
        if pieces:
            self._output = [*(self._output or ()), *pieces]


class TextStream(FrameStream):
    """The frames of a connection whose messages are text; nobody hurries there, so all are odd."""

    __slots__ = ()

    opcode = Opcode.TEXT

    def receive(self, data: bytes) -> list[bytes]:
        """Take what came."""
        if not self._broken:
            self._input += data
        self.waits = bool(self._input)
        return []

    def _join(self, frame: Frame) -> Frame | Broken | None:
        event = super()._join(frame)
        if (
            isinstance(event, Frame)
            and event.opcode is Opcode.TEXT
            and not _is_utf8(bytes(event.data))
        ):
            self.fail(NOT_UTF8, "text must be UTF-8")
            return Broken(NOT_UTF8, "text must be UTF-8")
        return event


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse(first: int, second: int) -> str | None:
    """Return what is wrong with a frame's first two bytes."""
    opcode, size = first & _OPCODE, second & ~_MASKED
    if first & _RESERVED:
        return "reserved bits must be 0"
    if opcode not in _OPCODES:
        return f"unknown opcode {opcode}"
    if not second & _MASKED:
        return "frames of a client must be masked"
    if opcode & _CONTROL and not first & _FIN:
        return "a control frame in fragments"
    if opcode & _CONTROL and size > _CONTROL_BYTES_MAX:
        return f"a control frame of more than {_CONTROL_BYTES_MAX} bytes"
    return None


def peek_type(data: bytes) -> int:
    """Return the type of the message in the plain frame at the front; -1 where none is seen."""
    if len(data) < _PEEKED_BYTES or data[0] != _BINARY:
        return -1
    if data[1] == _MASKED | _SIZE_IN_2:
        return data[9] ^ data[5]
    return data[7] ^ data[3]


def encode_messages(messages: Sequence[bytes]) -> bytes:
    """Return the frames of whole, unmasked binary messages."""
    if len(messages) == 1:
        [message] = messages
        size = len(message)
        return (_SHORT_HEADERS[size] if size < _SIZE_IN_2 else _long_header(size)) + message
    parts: list[bytes] = []
    for message in messages:
        size = len(message)
        parts.append(_SHORT_HEADERS[size] if size < _SIZE_IN_2 else _long_header(size))
        parts.append(message)
    return b"".join(parts)


def encode_texts(texts: Sequence[bytes]) -> bytes:
    """Return the frames of whole, unmasked text messages."""
    parts: list[bytes] = []
    for text in texts:
        size = len(text)
        header = _SHORT_HEADERS[size] if size < _SIZE_IN_2 else _long_header(size)
        parts += (_TEXT, header[1:], text)
    return b"".join(parts)


def _long_header(size: int) -> bytes:
    if size < 0x1_0000:
        return b"\x82\x7e" + size.to_bytes(2)
    return b"\x82\x7f" + size.to_bytes(8)
