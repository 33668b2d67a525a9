"""The envelope of the session protocol: msgpack arrays, typed by msgspec.

request ``[type, id, body]``, reply ``[type | 0x40, id, body]``, error reply
``[0x7F, id, [code, retry_after_ms, detail]]``, push ``[type, sub, offset, body]``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from msgspec import Meta, MsgspecError, Raw, Struct, ValidationError, msgpack

from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RemoteProtocolError, RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    ERROR_REPLY,
    PUSH_TYPE_MIN,
    PUSHES,
    REPLY_BIT,
    REQUEST_TYPE_MAX,
    REQUESTS,
    Body,
    ErrorBody,
    PaymentStatus,
    PushType,
    RequestId,
    RequestType,
    Uint,
    Uint8,
    Uint32,
    WalletTrust,
)
from realtime_protocol.schnorrq import KEY_BYTES

_Body = TypeVar("_Body", bound=Body)
_RequestBody = TypeVar("_RequestBody")

_NIL: Final = Raw(b"\xc0")


class _RequestEnvelope(Struct, array_like=True, frozen=True, gc=False):
    type: Annotated[int, Meta(ge=1, le=REQUEST_TYPE_MAX)]
    id: RequestId
    body: Raw = _NIL


class RequestSent(Struct, Generic[_RequestBody], array_like=True, frozen=True, gc=False):
    """A request of a type that is served, whole: an event of the hub's session machine."""

    kind: RequestType
    id: RequestId
    body: _RequestBody


class LoginHead(Struct, array_like=True, frozen=True, gc=False):
    """As much of a login as every version can read."""

    scheme: Uint8


class _AnswerEnvelope(Struct, array_like=True, frozen=True, gc=False):
    """A frame from the hub: of a push, second and third are sub and offset."""

    type: Annotated[int, Meta(ge=REPLY_BIT, le=0xBF)]
    second: Uint32
    third: Raw
    fourth: Raw = _NIL


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was read; the body is still raw."""

    type: int
    id: int
    body: Raw


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to request *id*; the body is still raw until its type is known."""

    type: int
    id: int
    body: Raw


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The refusal of request *id*."""

    id: int
    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Push:
    """A message that nobody asked for just now."""

    type: PushType
    sub: int
    offset: int
    body: Body


WALLET_ASKED_BYTES_MAX: Final = 65
"""A trust.get of one wallet, with each number and length as long as msgpack allows."""

encode: Final = msgpack.Encoder().encode
"""Encode anything; for messages there are functions below."""
_decode_request_envelope: Final = msgpack.Decoder(_RequestEnvelope).decode
_decode_login_head: Final = msgpack.Decoder(LoginHead).decode
_decode_answer_envelope: Final = msgpack.Decoder(_AnswerEnvelope).decode
_decode_uint: Final = msgpack.Decoder(Uint).decode
_decode_error: Final = msgpack.Decoder(ErrorBody).decode
_REQUEST_BODIES: Final[Mapping[int, msgpack.Decoder[Any]]] = {
    kind: msgpack.Decoder(bodies[0]) for kind, bodies in REQUESTS.items()
}
# An array of three and its first element -> what reads the whole frame. A type checker takes no
# type from a table.
_WHOLE_REQUESTS: Final[Mapping[bytes, Callable[[bytes], RequestSent[Any]]]] = {
    bytes((0x93, kind)): msgpack.Decoder(RequestSent[bodies[0]]).decode  # type: ignore[valid-type]
    for kind, bodies in REQUESTS.items()
}
_decode_wallet_asked: Final = msgpack.Decoder(
    tuple[
        Literal[0x12],
        RequestId,
        tuple[Annotated[PublicKey, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]],
    ]
).decode
_WALLET_ASKED_HEAD: Final = bytes((0x93, RequestType.TRUST_GET))
_TRUST_REPLY_TYPE: Final = RequestType.TRUST_GET | REPLY_BIT
_REPLY_BODIES: Final[Mapping[int, msgpack.Decoder[Any]]] = {
    kind: msgpack.Decoder(bodies[1]) for kind, bodies in REQUESTS.items()
}
_PUSH_BODIES: Final[Mapping[int, msgpack.Decoder[Any]]] = {
    kind: msgpack.Decoder(body) for kind, body in PUSHES.items()
}
_decode_wallet_trust: Final = msgpack.Decoder(WalletTrust).decode
_decode_payment_status: Final = msgpack.Decoder(PaymentStatus).decode


def encode_request(kind: RequestType, request_id: int, body: object) -> bytes:
    """Build a request frame."""
    return encode([int(kind), request_id, body])


def encode_reply(kind: int, request_id: int, body: object) -> bytes:
    """Build the reply frame to request *request_id* of type *kind*."""
    return encode([kind | REPLY_BIT, request_id, body])


def encode_error(request_id: int, error: RequestError) -> bytes:
    """Build the error reply frame to request *request_id*."""
    body = ErrorBody(int(error.code), error.retry_after_ms, error.detail)
    return encode([ERROR_REPLY, request_id, body])


def encode_push(kind: PushType, sub: int, offset: int, body: Body) -> bytes:
    """Build a push frame; *offset* is 0 where the stream has no positions."""
    return encode([int(kind), sub, offset, body])


def encode_raw(value: object) -> Raw:
    """Encode one element of a snapshot."""
    return Raw(encode(value))


def decode_whole_request(frame: bytes) -> RequestSent[Any] | None:
    """Read a request in one go; None where `decode_request` must tell what is odd about it."""
    try:
        return _WHOLE_REQUESTS[frame[:2]](frame)
    except (KeyError, MsgspecError, RecursionError):
        return None


def decode_wallets_asked(frames: Sequence[bytes]) -> tuple[list[int], list[PublicKey]] | None:
    """Read frames that are all trust.gets of one wallet each: their ids, and the wallets.

    None when one is anything else.
    """
    if frames[0][:2] != _WALLET_ASKED_HEAD:
        return None  # So that others don't pay for an exception.
    request_ids, wallets = [], []
    try:
        for frame in frames:
            _, request_id, (wallet,) = _decode_wallet_asked(frame)
            request_ids.append(request_id)
            wallets.append(wallet)
    except (MsgspecError, RecursionError):
        return None
    return request_ids, wallets


def encode_wallets_told(request_ids: Sequence[int], trusts: Sequence[object]) -> list[bytes]:
    """Build the reply frames to trust.gets of one wallet each; as many *trusts* as ids."""
    if len(request_ids) == 1:  # Four iterators for one are five times as dear.
        return [encode((_TRUST_REPLY_TYPE, request_ids[0], (trusts[0],)))]
    bodies = zip(trusts, strict=False)
    return list(map(encode, zip(repeat(_TRUST_REPLY_TYPE), request_ids, bodies, strict=False)))


def decode_request(frame: bytes) -> Request:
    """Read a request's envelope; RemoteProtocolError (4500) when it can't be read."""
    try:
        envelope = _decode_request_envelope(frame)
    except (MsgspecError, RecursionError) as error:
        raise _unreadable(error) from error
    return Request(envelope.type, envelope.id, envelope.body)


def decode_request_body(request: Request) -> Any:
    """Read a request's body; RequestError 104 for an unknown type, 103 for a bad body."""
    decoder = _REQUEST_BODIES.get(request.type)
    if decoder is None:
        raise RequestError(
            ErrorCode.UNKNOWN_TYPE, f"request type 0x{request.type:02x} is not served"
        )
    try:
        return decoder.decode(request.body)
    except (MsgspecError, RecursionError) as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, str(error)) from error


def decode_login_scheme(request: Request) -> int | None:
    """Read only the scheme of a login, which a newer client may number higher than this version."""
    try:
        return _decode_login_head(request.body).scheme
    except (MsgspecError, RecursionError):
        return None


def decode_answer(frame: bytes) -> Reply | ErrorReply | Push | None:
    """Read a frame from the hub: None for a push type that this version doesn't know.

    Raises RemoteProtocolError (4500) when the frame can't be read.
    """
    try:
        envelope = _decode_answer_envelope(frame)
        if envelope.type == ERROR_REPLY:
            return ErrorReply(envelope.second, _decode_error(envelope.third))
        if envelope.type < PUSH_TYPE_MIN:
            return Reply(envelope.type & ~REPLY_BIT, envelope.second, envelope.third)
        decoder = _PUSH_BODIES.get(envelope.type)
        if decoder is None:
            return None
        offset = _decode_uint(envelope.third)
        body = decoder.decode(envelope.fourth)
    except (MsgspecError, RecursionError) as error:
        raise _unreadable(error) from error
    return Push(PushType(envelope.type), envelope.second, offset, body)


def decode_reply_body(reply: Reply) -> Any:
    """Read a reply's body by the type of its request; RemoteProtocolError when it is bad."""
    try:
        return _REPLY_BODIES[reply.type].decode(reply.body)
    except (KeyError, MsgspecError, RecursionError) as error:
        raise _unreadable(error) from error


def decode_trust_snapshot(items: list[Raw]) -> list[WalletTrust]:
    """Read the snapshot of a trust channel; RemoteProtocolError when it is bad."""
    return _decode_each(_decode_wallet_trust, items)


def decode_payment_snapshot(items: list[Raw]) -> list[PaymentStatus]:
    """Read the snapshot of a pay channel; RemoteProtocolError when it is bad."""
    return _decode_each(_decode_payment_status, items)


def _decode_each(decode: Callable[[Raw], _Body], items: list[Raw]) -> list[_Body]:
    try:
        return [decode(item) for item in items]
    except (MsgspecError, RecursionError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> RemoteProtocolError:
    reason = str(error) if isinstance(error, ValidationError) else "not a msgpack message"
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"unreadable message: {reason}")
