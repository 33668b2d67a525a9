"""Every golden frame is made and read by our codec and by an independent msgpack."""

import json
import runpy
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import msgpack
import pytest

from realtime_protocol.codec import (
    ErrorReply,
    Push,
    Reply,
    decode_answer,
    decode_reply_body,
    decode_request,
    decode_request_body,
    encode_error,
    encode_push,
    encode_reply,
    encode_request,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import encode_identity
from realtime_protocol.json_codec import decode_json, encode_json
from realtime_protocol.messages import PUSHES, REQUESTS, RequestType

ROOT = Path(__file__).parents[3]
VECTORS: dict[str, Any] = json.loads((ROOT / "protocol/vectors/messages.json").read_text("ascii"))
CODES = {int(code): code for code in ErrorCode}
MESSAGES: list[dict[str, Any]] = VECTORS["messages"]
EVERY = pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector["name"])


def unmarked(value: Any) -> Any:
    """Undo the marks for bytes and maps."""
    if isinstance(value, list):
        return [unmarked(item) for item in value]
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if "hex" in value else value["map"]
    return value


def reencoded(frame: bytes, kind: str) -> bytes:
    """Read a frame into typed values and write it again."""
    if kind == "request":
        request = decode_request(frame)
        return encode_request(RequestType(request.type), request.id, decode_request_body(request))
    answer = decode_answer(frame)
    match answer:
        case Reply(request_type, request_id):
            return encode_reply(request_type, request_id, decode_reply_body(answer))
        case Push(push_type, sub, offset, body):
            return encode_push(push_type, sub, offset, body)
        case ErrorReply(request_id, error):
            fields = dict(error.detail or {})
            refusal = RequestError(
                CODES[error.code],
                str(fields.pop("message", "")),
                retry_after_ms=error.retry_after_ms,
                fields=fields,
            )
            return encode_error(request_id, refusal)
    raise AssertionError(answer)


def test_the_file_is_what_the_program_makes() -> None:
    made = runpy.run_path(str(ROOT / "scripts/generate_vectors.py"))["document"]()
    assert (ROOT / "protocol/vectors/messages.json").read_text("ascii") == made


@EVERY
def test_our_codec_reads_and_writes_the_frame(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    assert reencoded(frame, vector["kind"]) == frame


@EVERY
def test_an_independent_msgpack_reads_and_writes_the_frame(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    assert msgpack.unpackb(frame) == unmarked(vector["frame"])
    assert msgpack.packb(unmarked(vector["frame"])) == frame


@EVERY
def test_the_text_says_the_same_in_json(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    assert encode_json(frame).decode() == vector["text"]
    assert decode_json(vector["text"].encode()) == frame


@EVERY
def test_an_independent_reader_of_json_finds_the_frame_with_its_bytes_as_text(
    vector: dict[str, Any],
) -> None:
    def spelled(value: Any, text: Any) -> Any:
        if isinstance(value, list):
            return [spelled(one, shown) for one, shown in zip(value, text, strict=True)]
        if isinstance(value, bytes) and len(value) == 32 and len(text) == 60:
            return encode_identity(value)
        return urlsafe_b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else value

    text = json.loads(vector["text"])
    assert text == spelled(unmarked(vector["frame"]), text)


def test_every_message_that_is_served_has_a_vector() -> None:
    def types(kind: str) -> set[int]:
        return {vector["frame"][0] for vector in MESSAGES if vector["kind"] == kind}

    assert types("request") == {int(kind) for kind in REQUESTS}
    answered = REQUESTS.keys() - {RequestType.ACK}
    assert types("reply") == {int(kind) | 0x40 for kind in answered}
    assert types("push") == {int(kind) for kind in PUSHES}
    errors = {vector["frame"][2][0] for vector in MESSAGES if vector["kind"] == "error"}
    assert errors == {int(code) for code in ErrorCode}


@pytest.mark.parametrize("vector", VECTORS["tolerated"], ids=lambda vector: vector["name"])
def test_frames_of_a_later_version_are_taken_or_skipped(vector: dict[str, Any]) -> None:
    by_name = {message["name"]: bytes.fromhex(message["hex"]) for message in MESSAGES}
    same_as = vector["same_as"] and decode_answer(by_name[vector["same_as"]])
    assert decode_answer(bytes.fromhex(vector["hex"])) == same_as
