"""In which form messages travel, by the subprotocol that the handshake agreed on.

Behind the connection everything is msgpack: queues, fan-out, the session machine's answers. Where
the client has JSON, its requests are read as such, and what leaves is turned into text as it is
written; other connections know nothing of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from realtime_hub.session.ports import Wire
from realtime_hub.surfaces.ws.frames import FrameBounds, FrameStream, TextStream
from realtime_protocol import codec, json_codec
from realtime_protocol.server import RequestReader
from realtime_protocol.versions import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK


class TextWire(Wire, Protocol):
    """A connection that can send text too."""

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Send whole messages, UTF-8, in order."""
        ...


class JsonWire:
    """A connection as a session sees it whose client reads JSON."""

    __slots__ = ("_wire",)

    def __init__(self, wire: TextWire) -> None:
        self._wire = wire

    @property
    def writable(self) -> bool:
        """Whether more may be sent now."""
        return self._wire.writable

    @property
    def unsent_bytes(self) -> int:
        """What was sent here, as text, and the system has not taken yet."""
        return self._wire.unsent_bytes

    @property
    def drained_bytes(self) -> int:
        """What the system has taken so far, as text."""
        return self._wire.drained_bytes

    def tick(self, now_s: float) -> None:
        """Look after the connection itself."""
        self._wire.tick(now_s)

    def send(self, messages: Sequence[bytes]) -> None:
        """Send whole messages as JSON."""
        self._wire.send_texts([json_codec.encode_json(message) for message in messages])

    def pause_reading(self) -> None:
        """Deliver no further messages until `resume_reading`."""
        self._wire.pause_reading()

    def resume_reading(self) -> None:
        """Deliver messages again."""
        self._wire.resume_reading()

    def close(self, code: int, reason: str, *, within_s: float) -> None:
        """Say goodbye; whoever doesn't answer within *within_s* is cut off."""
        self._wire.close(code, reason, within_s=within_s)


@dataclass(frozen=True, slots=True)
class Form:
    """What a connection of one subprotocol is made of."""

    is_text: bool
    reader: RequestReader
    stream: Callable[[FrameBounds], FrameStream]
    wire: Callable[[TextWire], Wire]


def _itself(wire: TextWire) -> Wire:
    return wire


FORMS: Final[Mapping[str, Form]] = {
    SUBPROTOCOL_MSGPACK: Form(is_text=False, reader=codec, stream=FrameStream, wire=_itself),
    SUBPROTOCOL_JSON: Form(is_text=True, reader=json_codec, stream=TextStream, wire=JsonWire),
}
