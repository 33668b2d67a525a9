"""JSON says the same as msgpack, for every message of the table, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from message_strategies import frames_of
from realtime_protocol import codec, json_codec
from realtime_protocol.codec import encode, encode_push, encode_request
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError, RequestError
from realtime_protocol.identity import encode_identity
from realtime_protocol.json_codec import decode_json, encode_json
from realtime_protocol.messages import (
    ERROR_REPLY,
    PUSHES,
    REPLY_BIT,
    REQUESTS,
    ErrorBody,
    Goaway,
    GoawayCause,
    Initiator,
    KeysRevokeRequest,
    LoginRequest,
    PushType,
    RequestType,
    Scheme,
    TrustChanged,
    TrustStatus,
)

WALLET = bytes(range(32))
LETTERS = encode_identity(WALLET)
EVERY_MESSAGE: dict[int, Any] = {
    **{int(kind): bodies[0] for kind, bodies in REQUESTS.items()},
    **{kind | REPLY_BIT: bodies[1] for kind, bodies in REQUESTS.items()},
    **{int(kind): body for kind, body in PUSHES.items()},
    ERROR_REPLY: ErrorBody,
}


def body_of(text: str) -> Any:
    """Read a request's body from JSON."""
    return json_codec.decode_request_body(json_codec.decode_request(text.encode()))


@pytest.mark.parametrize("kind", EVERY_MESSAGE, ids=lambda kind: f"0x{kind:02x}")
def test_any_message_comes_back_from_json_byte_by_byte(kind: int) -> None:
    @settings(max_examples=25, deadline=None)
    @given(frames_of(kind, EVERY_MESSAGE[kind]))
    def comes_back(message: list[Any]) -> None:
        frame = encode(message)
        text = encode_json(frame)
        assert decode_json(text) == frame
        assert decode_json(json.dumps(json.loads(text), indent=2).encode()) == frame

    comes_back()


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.name)
def test_a_request_in_json_is_read_as_its_msgpack_is(kind: RequestType) -> None:
    @settings(max_examples=25, deadline=None)
    @given(frames_of(int(kind), REQUESTS[kind][0]))
    def is_read_alike(message: list[Any]) -> None:
        frame = encode(message)
        plain, text = codec.decode_request(frame), json_codec.decode_request(encode_json(frame))
        assert (text.type, text.id) == (plain.type, plain.id)
        assert json_codec.decode_request_body(text) == codec.decode_request_body(plain)

    is_read_alike()


def test_wallets_are_letters_and_other_bytes_base64url_without_padding() -> None:
    login = encode_request(
        RequestType.LOGIN, 2, LoginRequest(Scheme.WC, WALLET, b"\xfb\xef\xbe" * 21 + b"\xff", ["x"])
    )
    signature = "-" * 84 + "_w"
    assert encode_json(login).decode() == f'[2,2,[1,"{LETTERS}","{signature}",["x"]]]'
    changed = TrustChanged(WALLET, TrustStatus.BLOCKED, 0, 7, Initiator.ADMIN, 5, 9, pending=True)
    told = encode_json(encode_push(PushType.TRUST_CHANGED, 1, 42, changed))
    assert told.decode() == f'[144,1,42,["{LETTERS}",2,0,7,1,5,9,true]]'
    revoke = encode_request(RequestType.KEYS_REVOKE, 1, KeysRevokeRequest(bytes(32)))
    assert encode_json(revoke).decode() == f'[58,1,["{"A" * 43}"]]'  # An Ed25519 key, no wallet.


BAD_BODIES = {
    "an identity in small letters": f'["{LETTERS.lower()}"]',
    "a mistyped letter": f'["{LETTERS[:-1]}Z"]',
    "a wallet in base64url": f'["{"A" * 43}"]',
    "a number for a wallet": "[1]",
    "a wallet twice as long": f'["{LETTERS * 2}"]',
    "no list": "7",
    "an object": f'{{"0":"{LETTERS}"}}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_wallet_that_is_none_is_refused_with_103(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        body_of(f"[18,1,{BAD_BODIES[name]}]")
    assert caught.value.code is ErrorCode.BAD_MESSAGE


BAD_BYTES = {
    "padding": "AAAAAAAAAAAAAAAAAAAAAA==",
    "bits that stand for nothing": "AAAAAAAAAAAAAAAAAAAAAB",
    "plain base64": "++++++++++++++++++++AA",
    "a space": "AAAAAAAAAAAAAAAAAAAAA A",
    "a letter too many": "AAAAAAAAAAAAAAAAAAAAAAAAA",
    "letters beyond ASCII": "äAAAAAAAAAAAAAAAAAAAAA",
}


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bytes_have_one_text_and_the_refusal_says_where_another_stands(name: str) -> None:
    assert body_of(f'[35,1,["{"A" * 22}"]]').payment_id == bytes(16)
    with pytest.raises(RequestError) as caught:
        body_of(json.dumps([35, 1, [BAD_BYTES[name]]]))
    assert caught.value.code is ErrorCode.BAD_MESSAGE
    assert str(caught.value.detail) == str(
        {"message": "Expected base64url without padding - at `$[0]`"}
    )


@pytest.mark.parametrize(
    "ttl", ["1000.0", "1e3", "true", '"1000"', "null", "-1000", "9007199254740992", "1" * 5_000]
)
def test_an_integer_that_is_none_is_refused_with_103(ttl: str) -> None:
    assert body_of("[1,1,[1000]]").ttl_ms == 1_000
    with pytest.raises(RequestError) as caught:
        body_of(f"[1,1,[{ttl}]]")
    assert caught.value.code is ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize(
    "rest",
    ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', "[" * 8 + "]" * 8, "9" * 20, "9" * 5_000],
    ids=[
        "a key twice",
        "a key twice, written otherwise",
        "nested too deep",
        "a large number",
        "a huge one",
    ],
)
def test_what_nobody_asked_for_must_be_readable_in_one_way_too(rest: str) -> None:
    assert body_of('[48,1,[5,{"new":[]}],"newer"]').client_ms == 5
    with pytest.raises(RequestError) as caught:
        body_of(f"[48,1,[5,{rest}]]")
    assert caught.value.code is ErrorCode.BAD_MESSAGE


UNREADABLE = [
    "", " ", "hello", "{}", "[]", "[48]", "[48,0,[5]]", "[48,-1,[5]]", "[48,1.0,[5]]", "[48,1e0]",
    "[true,1,[5]]", '["48",1,[5]]', "[63,1,[]]", "[0,1,[]]", "[48,4294967296,[5]]", "[48,1,[5]",
    "[48,1,[5,]]", "[48,1,[05]]", "[48,1,[NaN]]", "[48,1,[5]]]", "[48,1,[5]] [", "\ufeff[48,1,[5]]",
    '[48,1,["\\ud83d"]]', '[48,1,["\\udc00"]]', "[48,1,['a']]", '[48,1,["\n"]]',
    "[48,1,[5]] // five", "[48,1,[" + "[" * 8_000,
]  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: repr(text[:20]))
def test_an_envelope_that_cannot_be_read_closes_4500(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        json_codec.decode_request(text.encode())
    assert caught.value.close_code is CloseCode.PROTOCOL_ERROR


def test_a_type_that_is_not_served_is_104_whatever_its_body() -> None:
    for text in ("[61,1]", "[61,1,[0.5]]", '[61,1,{"a":1,"a":2}]'):
        with pytest.raises(RequestError) as caught:
            body_of(text)
        assert caught.value.code is ErrorCode.UNKNOWN_TYPE


def test_a_body_nested_as_deep_as_a_frame_allows_is_refused_without_harm() -> None:
    for deep in ("[" * 8_000 + "]" * 8_000, '{"a":' * 2_000 + "1" + "}" * 2_000):
        with pytest.raises((RequestError, RemoteProtocolError)):
            body_of(f"[48,1,[5,{deep}]]")


@given(st.text(max_size=60) | st.from_regex(r"\[[0-9]{1,2},[0-9],[\[\]{}\"a-z0-9,:.-]*\]"))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    for read in (decode_json, lambda data: body_of(data.decode("utf-8", "surrogatepass"))):
        try:
            read(data)
        except (RemoteProtocolError, RequestError):
            pass
        except UnicodeEncodeError:
            pass  # The test's own reader.


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"[]", b"{}", b"[300,1]", b"[true,1]", b'[144,1,42,["short"]]', b'"x"', b"[1.0]",
     b"[144,1,42,{}"],
)  # fmt: skip
def test_a_frame_that_is_no_message_is_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_json(text)


def test_a_type_without_a_place_in_the_table_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="0xbf"):
        encode_json(encode([0xBF, 1, 0, []]))


def test_the_scheme_of_a_later_versions_login_can_be_told() -> None:
    read = json_codec.decode_request
    assert json_codec.decode_login_scheme(read(b'[2,1,[9,"whatever",{}]]')) == 9
    assert json_codec.decode_login_scheme(read(b'[2,1,["9"]]')) is None


def test_a_push_without_bytes_stays_as_it_is() -> None:
    goaway = Goaway(100, 2_000, GoawayCause.DRAINING, resume_ok=True)
    text = encode_json(encode_push(PushType.GOAWAY, 0, 0, goaway))
    assert text == b"[159,0,0,[100,2000,0,true]]"
