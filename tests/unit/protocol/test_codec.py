"""The codec's edges; its golden frames are in test_message_vectors."""

import msgspec
import pytest

from realtime_protocol.codec import (
    WALLET_ASKED_BYTES_MAX,
    decode_answer,
    decode_login_scheme,
    decode_request,
    decode_request_body,
    decode_wallets_asked,
    encode_error,
    encode_push,
    encode_request,
)
from realtime_protocol.codes import CLOSE_REASON_BYTES_MAX, CloseCode, ErrorCode, close_reason
from realtime_protocol.errors import RemoteProtocolError, RequestError
from realtime_protocol.messages import (
    PUSHES,
    REQUESTS,
    Initiator,
    PushType,
    RequestType,
    TrustChanged,
    TrustStatus,
)

WALLET = bytes(range(32))


def test_each_request_type_that_is_served_has_a_form_for_its_body_and_its_reply() -> None:
    assert all(0x01 <= kind <= 0x3E for kind in REQUESTS)
    assert all(len(forms) == 2 for forms in REQUESTS.values())
    assert set(PUSHES) == set(PushType)


@pytest.mark.parametrize(
    "amount", [0, -1, 1.5, True, "100", 200_000_000_000_001, 2**53, 2**63, 2**64 - 1, None]
)
def test_an_amount_that_is_none_is_refused_with_103(amount: object) -> None:
    intent = [WALLET, bytes(32), amount, 0, 0, 1_000]
    frame = msgspec.msgpack.encode([int(RequestType.QUOTE_OPEN), 1, [intent]])
    with pytest.raises(RequestError) as caught:
        decode_request_body(decode_request(frame))
    assert caught.value.code is ErrorCode.BAD_MESSAGE


def test_wallets_asked_for_are_read_together_only_where_each_frame_asks_for_one() -> None:
    asked = [encode_request(RequestType.TRUST_GET, number, [WALLET]) for number in (7, 2**32 - 1)]
    assert decode_wallets_asked(asked) == ([7, 2**32 - 1], [WALLET, WALLET])
    for other in (
        encode_request(RequestType.TRUST_GET, 1, [WALLET, WALLET]),
        encode_request(RequestType.TRUST_GET, 1, [WALLET[1:]]),
        encode_request(RequestType.TRUST_GET, 0, [WALLET]),
        encode_request(RequestType.KEYS_LIST, 1, [WALLET]),
        asked[0] + b"\x00",
        asked[0][:-1],
        b"",
    ):
        assert decode_wallets_asked([other]) is None
        assert decode_wallets_asked([asked[0], other]) is None


def test_a_wallet_asked_for_in_the_longest_way_has_the_length_that_is_named() -> None:
    long = b"\xdd\0\0\0\x03" + b"\xcf" + (0x12).to_bytes(8) + b"\xcf" + (7).to_bytes(8)
    frame = long + b"\xdd\0\0\0\x01" + b"\xc6\0\0\0\x20" + WALLET
    first = encode_request(RequestType.TRUST_GET, 1, [WALLET])
    assert decode_wallets_asked([first, frame]) == ([1, 7], [WALLET, WALLET])
    assert len(frame) == WALLET_ASKED_BYTES_MAX


@pytest.mark.parametrize("amount", [1, 200_000_000_000_000])
def test_the_least_and_the_greatest_amount_are_taken(amount: int) -> None:
    intent = [WALLET, bytes(32), amount, 0, 0, 1_000]
    frame = msgspec.msgpack.encode([int(RequestType.QUOTE_OPEN), 1, [intent]])
    assert decode_request_body(decode_request(frame)).intent.amount_qu == amount


def test_the_body_of_a_request_may_be_left_out_only_where_that_is_a_form_of_it() -> None:
    request = decode_request(msgspec.msgpack.encode([int(RequestType.PING), 1]))
    with pytest.raises(RequestError) as caught:
        decode_request_body(request)
    assert caught.value.code is ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize(("body", "scheme"), [([7, "else"], 7), ([], None), ([300], None)])
def test_the_scheme_of_a_login_is_read_from_a_body_that_is_otherwise_unknown(
    body: list[object], scheme: int | None
) -> None:
    frame = encode_request(RequestType.LOGIN, 1, body)
    assert decode_login_scheme(decode_request(frame)) == scheme


def test_an_unknown_push_type_is_skipped_and_an_unreadable_frame_is_not() -> None:
    assert decode_answer(msgspec.msgpack.encode([0xBE, 1, 2, ["new"]])) is None
    with pytest.raises(RemoteProtocolError):
        decode_answer(b"\xc1")


def test_an_error_reply_carries_code_wait_and_named_facts() -> None:
    error = RequestError(ErrorCode.RATE_LIMITED, "too fast", retry_after_ms=50, fields={"rate": 20})
    assert msgspec.msgpack.decode(encode_error(7, error)) == [
        0x7F, 7, [106, 50, {"message": "too fast", "rate": 20}],
    ]  # fmt: skip


def test_a_trust_change_is_no_longer_than_72_bytes() -> None:
    body = TrustChanged(
        WALLET, TrustStatus.BLOCKED, 0, 7, Initiator.ADMIN, 1_790_000_000_000,
        1_790_000_005_000, True,
    )  # fmt: skip
    assert len(encode_push(PushType.TRUST_CHANGED, 3, 1_000_000, body)) <= 72


def test_a_close_reason_names_the_code_and_the_facts_and_never_exceeds_a_control_frame() -> None:
    reason = close_reason(CloseCode.SLOW_CONSUMER, retry_ms=5, facts={"queued": 70_000, "age": 9})
    assert reason == "slow_consumer;retry=5;queued=70000;age=9"
    long = close_reason(CloseCode.DRAINING, reference="ä" * 200)
    assert len(long.encode()) <= CLOSE_REASON_BYTES_MAX
