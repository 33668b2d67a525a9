"""Messages as JSON text, for people: subprotocol ``realtime.qubic.v1.json``.

The same arrays as in :mod:`~realtime_protocol.codec`. `encode_json` and `decode_json` turn whole
frames into text and back; the functions named as in `codec` read requests, with the same errors.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, MsgspecError, Raw, Struct

from realtime_protocol import codec
from realtime_protocol.codec import LoginHead, Request, encode
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError, RequestError
from realtime_protocol.json_shapes import Misfit, Shape, shape_of
from realtime_protocol.map_keys import DEPTH_MAX
from realtime_protocol.messages import (
    ERROR_REPLY,
    PUSH_TYPE_MIN,
    PUSHES,
    REPLY_BIT,
    REQUEST_TYPE_MAX,
    REQUESTS,
    ErrorBody,
    RequestId,
)

_CONTAINERS: Final = frozenset({list, dict})
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')


class _RequestEnvelope(Struct, array_like=True, frozen=True, gc=False):
    type: Annotated[int, Meta(ge=1, le=REQUEST_TYPE_MAX)]
    id: RequestId
    body: Raw = Raw(b"null")


_read_request: Final = msgspec.json.Decoder(_RequestEnvelope).decode
_read_login_head: Final = msgspec.json.Decoder(LoginHead).decode
_read_text: Final = msgspec.json.Decoder().decode
_read_frame: Final = msgspec.msgpack.Decoder(list[Any]).decode
_write: Final = msgspec.json.Encoder().encode

_REQUESTS: Final[Mapping[int, Shape | None]] = {
    int(kind): shape_of(bodies[0]) for kind, bodies in REQUESTS.items()
}
_SHAPES: Final[Mapping[int, Shape | None]] = {
    **_REQUESTS,
    **{kind | REPLY_BIT: shape_of(bodies[1]) for kind, bodies in REQUESTS.items()},
    **{int(kind): shape_of(body) for kind, body in PUSHES.items()},
    ERROR_REPLY: shape_of(ErrorBody),
}


def encode_json(frame: bytes) -> bytes:
    """Return the text of a frame of ours; LocalProtocolError for a type that isn't in the table."""
    message = _read_frame(frame)
    kind = message[0]
    if kind not in _SHAPES:
        raise LocalProtocolError(f"message type 0x{kind:02x} has no JSON form")
    shape = _SHAPES[kind]
    if shape is not None:
        place = _body_place(kind)
        message[place] = shape.to_json(message[place])
    return _write(message)


def decode_json(text: bytes) -> bytes:
    """Return the frame of which *text* is the JSON; RemoteProtocolError (4500) when it is none.

    Its body isn't looked at beyond that: read the frame with `codec`.
    """
    try:
        message = _parse(text, depth_max=DEPTH_MAX)
        kind = message[0] if isinstance(message, list) and message else None
        if type(kind) is not int or kind not in _SHAPES:
            raise Misfit("Expected a message of a known type")
        shape, place = _SHAPES[kind], _body_place(kind)
        if shape is not None and len(message) > place:
            message[place] = shape.from_json(message[place], f"$[{place}]")
        return encode(message)
    except (ValueError, OverflowError) as error:
        raise _unreadable(str(error)) from error


def decode_request(frame: bytes) -> Request:
    """Read a request's envelope; RemoteProtocolError (4500) when it can't be read."""
    try:
        envelope = _read_request(frame)
    except (MsgspecError, RecursionError) as error:
        known = isinstance(error, msgspec.ValidationError)
        raise _unreadable(str(error) if known else "not a JSON message") from error
    return Request(envelope.type, envelope.id, envelope.body)


def decode_request_body(request: Request) -> Any:
    """Read a request's body; RequestError 104 for an unknown type, 103 for a bad body."""
    body = Raw(b"")
    if request.type in _REQUESTS:
        try:
            value = _parse(bytes(request.body), depth_max=DEPTH_MAX - 1)
            shape = _REQUESTS[request.type]
            body = Raw(encode(value if shape is None else shape.from_json(value, "$")))
        except (ValueError, OverflowError) as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, str(error)) from error
    return codec.decode_request_body(Request(request.type, request.id, body))


def decode_login_scheme(request: Request) -> int | None:
    """Read only the scheme of a login, which a newer client may number higher than this version."""
    try:
        return _read_login_head(request.body).scheme
    except (MsgspecError, RecursionError):
        return None


def _body_place(kind: int) -> int:
    return 2 if kind < PUSH_TYPE_MIN else 3


def _parse(text: bytes, *, depth_max: int) -> Any:
    """Read JSON by the letter; Misfit for what isn't, or what readers could take in two ways."""
    try:
        value = _read_text(text)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Misfit("not JSON") from error
    if text.count(b"[") > depth_max or b"{" in text:  # Nearly no request: spare it the walk.
        written = _STRING.sub(b"", text).count(b":")
        if _count_entries(value, depth_max=depth_max) != written:
            raise Misfit("a key stands twice in one map")
    return value


def _count_entries(value: Any, *, depth_max: int) -> int:
    """Count what all maps inside hold; Misfit when arrays and maps are nested too deep."""
    entries = 0
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(depth_max):
        entries += sum(len(each) for each in level if type(each) is dict)
        level = [
            inner
            for each in level
            for inner in (each if type(each) is list else each.values())
            if type(inner) in _CONTAINERS
        ]
    if level:
        raise Misfit(f"a message nested deeper than {DEPTH_MAX}")
    return entries


def _unreadable(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"unreadable message: {reason}")
