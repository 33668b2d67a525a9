"""Frames as plain arrays, by the `msgpack` package: a second reading of the protocol.

The hub's codec is msgspec's; here nothing of it is used, so that a load test also finds where the
two disagree.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgpack

from realtime_protocol.messages import (
    ERROR_REPLY,
    PUSH_TYPE_MAX,
    PUSH_TYPE_MIN,
    REPLY_BIT,
    RequestType,
)

FRAME_BYTES_MAX: Final = 1 << 20
"""msgpack refuses every length inside a frame that is greater than the frame."""


class WireError(Exception):
    """The hub sent what this protocol doesn't have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, or an error reply when *error_code* is set."""

    request_id: int
    body: list[Any]
    error_code: int | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """A message that nobody asked for just now."""

    type: int
    sub: int
    body: list[Any]


def pack(frame: list[Any]) -> bytes:
    """Encode one frame."""
    packed: bytes = msgpack.packb(frame)
    return packed


def unpack(frame: bytes) -> list[Any]:
    """Decode one frame; WireError when it isn't a msgpack array."""
    if len(frame) > FRAME_BYTES_MAX:
        raise WireError(f"a frame of {len(frame)} bytes; at most {FRAME_BYTES_MAX}")
    try:
        value = msgpack.unpackb(frame)
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError(f"not a msgpack message: {error}") from error
    if not isinstance(value, list):
        raise WireError(f"a frame is an array, not {type(value).__name__}")
    return value


def request(kind: RequestType, request_id: int, body: list[Any]) -> bytes:
    """Build a request frame."""
    return pack([int(kind), request_id, body])


def read(frame: bytes) -> Answer | Pushed:
    """Read a frame from the hub; WireError when it is none."""
    match unpack(frame):
        case [int(kind), int(request_id), list(body), *_] if kind == ERROR_REPLY and body:
            return Answer(request_id, body, error_code=int(body[0]))
        case [int(kind), int(request_id), list(body), *_] if REPLY_BIT <= kind < ERROR_REPLY:
            return Answer(request_id, body)
        case [int(kind), int(sub), int(), list(body), *_] if PUSH_TYPE_MIN <= kind <= PUSH_TYPE_MAX:
            return Pushed(kind, sub, body)
        case other:
            raise WireError(f"unknown frame of {len(other)} elements")
