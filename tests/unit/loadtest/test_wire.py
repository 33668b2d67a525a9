"""The load test's codec against the golden frames."""

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from realtime_loadtest.wire import Answer, Pushed, WireError, pack, read, request, unpack
from realtime_protocol.messages import RequestType

VECTORS = json.loads(
    (Path(__file__).parents[3] / "protocol" / "vectors" / "messages.json").read_text()
)


def from_plain(value: Any) -> Any:
    """Turn the vectors' JSON into what msgpack packs: bytes and maps are marked there."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if "hex" in value else value["map"]
    return value


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_msgpack_writes_and_reads_the_golden_frame(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    assert unpack(frame) == from_plain(vector["frame"])
    assert pack(from_plain(vector["frame"])) == frame


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_a_golden_frame_is_an_answer_or_a_push_as_its_kind_says(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    if vector["kind"] == "request":
        with pytest.raises(WireError):
            read(frame)
        return
    got = read(frame)
    assert isinstance(got, Pushed if vector["kind"] == "push" else Answer)
    if isinstance(got, Answer):
        assert (got.error_code is not None) == (vector["kind"] == "error")


def test_a_request_is_type_id_and_body() -> None:
    assert request(RequestType.PING, 7, [5]) == bytes.fromhex("9330079105")


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xc1", b"\x05", b"\x93\x70", msgpack.packb([1, 2]), msgpack.packb([0xC0, 1, 1, []])],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(WireError):
        read(frame)
