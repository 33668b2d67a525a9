"""The HTTP API's JSON: names, strings for 64-bit numbers, room for growth."""

import msgspec
import pytest

from realtime_protocol.qubic import http_api as api
from realtime_protocol.qubic.http_api import ApiCode, parse_int64


def test_names_are_those_of_the_public_api() -> None:
    reply = api.TickInfoReply(api.TickInfo(tick=5, duration=1, epoch=2, initial_tick=3))
    assert msgspec.json.encode(reply) == (
        b'{"tickInfo":{"tick":5,"duration":1,"epoch":2,"initialTick":3}}'
    )


def test_members_that_the_api_adds_are_ignored() -> None:
    text = b'{"tickInfo":{"tick":5,"duration":1,"epoch":2,"initialTick":3,"new":1},"more":[]}'
    assert msgspec.json.decode(text, type=api.TickInfoReply).tick_info.tick == 5


def test_an_empty_tick_is_null() -> None:
    assert msgspec.json.encode(api.TickDataReply(None)) == b'{"tickData":null}'


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("-1", -1), ("9223372036854775807", 2**63 - 1)]
)
def test_numbers_in_strings_are_read(text: str, number: int) -> None:
    assert parse_int64(text) == number


@pytest.mark.parametrize(
    "text", ["", "-", "+1", "1.0", " 1", "1_0", "0x1", "9223372036854775808", "٣", "9" * 5000]
)
def test_anything_else_in_them_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_int64(text)


def test_every_code_has_its_http_status() -> None:
    assert {code: code.http_status for code in ApiCode} == {
        3: 400,
        5: 404,
        9: 400,
        11: 400,
        12: 501,
        13: 500,
        14: 503,
    }
