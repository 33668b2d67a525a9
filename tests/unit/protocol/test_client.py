"""The client machine signs only its own hub's challenge and takes only answers it asked for."""

from typing import Any

import msgspec
import pytest

from realtime_protocol.client import (
    IN_FLIGHT_MAX,
    ChallengeReceived,
    ClientSession,
    ClientState,
    PushReceived,
    RefusalReceived,
    ReplyReceived,
    UntrustedChallengeError,
)
from realtime_protocol.codec import encode_error, encode_push, encode_reply, encode_request
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError, RequestError
from realtime_protocol.login_text import parse_login_text
from realtime_protocol.messages import (
    Body,
    Challenge,
    Empty,
    Goaway,
    GoawayCause,
    LoginReply,
    PaymentGetRequest,
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PingReply,
    PingRequest,
    PushType,
    RequestType,
    Scheme,
)
from realtime_protocol.schnorrq import keypair

NOW_MS = 1_790_000_000_123
URI = "wss://hub.example.org/v1"
DOMAIN = "app.example.org"
CHALLENGE = Challenge(
    "4fZk0pQ2v8sT1mYb6cHdNw",
    1_790_000_000_000,
    1_790_000_010_000,
    DOMAIN,
    URI,
    "devnet",
    "r-1",
    1_790_000_000_123,
    {"in_flight_max": 32},
    bytes(8),
)
WALLET = keypair("a" * 55).public_key
LOGGED_IN = LoginReply("s-1", b"", 0, 1_790_086_400_000, None, ["trust"])


def machine(**options: Any) -> ClientSession:
    return ClientSession(uri=URI, domain=DOMAIN, **options)


def challenged(challenge: Challenge = CHALLENGE) -> ClientSession:
    session = machine()
    session.receive(push(challenge), now_ms=NOW_MS)
    return session


def opened() -> ClientSession:
    session = challenged()
    request_id, _ = login(session)
    session.receive(encode_reply(RequestType.LOGIN, request_id, LOGGED_IN), now_ms=NOW_MS)
    return session


def push(challenge: Challenge) -> bytes:
    return encode_push(PushType.CHALLENGE, 0, 0, challenge)


def login(session: ClientSession) -> tuple[int, bytes]:
    return session.login(scheme=Scheme.K12, wallet=WALLET, signature=bytes(64), resources=[])


def state_of(session: ClientSession) -> ClientState:
    return session.state  # Through a function, since a type checker holds states to be constant.


def changed(**fields: Any) -> Challenge:
    return msgspec.structs.replace(CHALLENGE, **fields)


def test_a_login_goes_from_challenge_to_open() -> None:
    session = machine()
    event = session.receive(push(CHALLENGE), now_ms=NOW_MS)
    assert event == ChallengeReceived(CHALLENGE)
    assert state_of(session) is ClientState.CHALLENGED
    text = session.login_text(WALLET, [], now_ms=NOW_MS)
    assert parse_login_text(text).challenge.nonce == CHALLENGE.nonce
    request_id, frame = login(session)
    assert frame == encode_request(RequestType.LOGIN, request_id, [2, WALLET, bytes(64), []])
    event = session.receive(encode_reply(RequestType.LOGIN, request_id, LOGGED_IN), now_ms=NOW_MS)
    assert event == ReplyReceived(request_id, RequestType.LOGIN, LOGGED_IN)
    assert state_of(session) is ClientState.OPEN
    assert session.session == LOGGED_IN


@pytest.mark.parametrize(
    ("challenge", "reason"),
    [
        (changed(uri="wss://evil.example.org/v1"), "was opened"),
        (changed(uri="wss://hub.example.org/v1/"), "was opened"),
        (changed(domain="evil.example.org"), "domain"),
        (changed(expires_ms=1_790_000_301_000), "longer than 300 s"),
        (changed(server_ms=1_790_000_010_000), "not for now"),
        (changed(server_ms=1_789_999_990_000), "not for now"),
        (changed(nonce="short"), "can't be signed"),
        (changed(issued_ms=1_790_000_000_001), "can't be signed"),
        (changed(request_id="r\n1"), "can't be signed"),
    ],
)
def test_a_challenge_for_anything_else_is_refused(challenge: Challenge, reason: str) -> None:
    session = machine()
    with pytest.raises(UntrustedChallengeError, match=reason):
        session.receive(push(challenge), now_ms=NOW_MS)
    with pytest.raises(LocalProtocolError):
        session.login_text(WALLET, [], now_ms=NOW_MS)


def test_another_chain_is_refused_where_one_is_named() -> None:
    with pytest.raises(UntrustedChallengeError, match="chain"):
        machine(chain="mainnet").receive(push(CHALLENGE), now_ms=NOW_MS)


def test_a_challenge_that_was_asked_for_is_checked_like_the_first() -> None:
    session = challenged()
    request_id, _ = session.ask_challenge(300_000)
    evil = changed(domain="evil.example.org")
    with pytest.raises(UntrustedChallengeError):
        session.receive(encode_reply(RequestType.CHALLENGE, request_id, evil), now_ms=NOW_MS)


def test_the_life_of_a_challenge_does_not_depend_on_the_clients_clock() -> None:
    session = machine()
    wrong_clock_ms = 1_000
    session.receive(push(CHALLENGE), now_ms=wrong_clock_ms)
    assert session.challenge_left_ms(wrong_clock_ms) == 9_877
    assert session.login_text(WALLET, [], now_ms=wrong_clock_ms + 9_876)
    with pytest.raises(LocalProtocolError, match="expired"):
        session.login_text(WALLET, [], now_ms=wrong_clock_ms + 9_877)


def test_a_refused_login_needs_a_new_challenge() -> None:
    session = challenged()
    request_id, _ = login(session)
    refusal = encode_error(request_id, RequestError(ErrorCode.BAD_SIGNATURE, "no"))
    event = session.receive(refusal, now_ms=NOW_MS)
    assert isinstance(event, RefusalReceived)
    assert event.error.code == ErrorCode.BAD_SIGNATURE
    assert state_of(session) is ClientState.REFUSED
    with pytest.raises(LocalProtocolError, match="no unused challenge"):
        login(session)
    request_id, _ = session.ask_challenge(10_000)
    session.receive(encode_reply(RequestType.CHALLENGE, request_id, CHALLENGE), now_ms=NOW_MS)
    assert state_of(session) is ClientState.CHALLENGED


def test_an_open_session_refreshes_under_a_new_challenge() -> None:
    session = opened()
    request_id, _ = session.ask_challenge(10_000)
    session.receive(encode_reply(RequestType.CHALLENGE, request_id, CHALLENGE), now_ms=NOW_MS)
    request_id, frame = login(session)
    assert frame[1] == RequestType.REFRESH
    later = msgspec.structs.replace(LOGGED_IN, session_exp_ms=1_790_172_800_000)
    session.receive(encode_reply(RequestType.REFRESH, request_id, later), now_ms=NOW_MS)
    assert session.session == later


def test_nothing_but_a_login_is_sent_before_the_session_is_open() -> None:
    with pytest.raises(LocalProtocolError, match="while new"):
        machine().request(RequestType.PING, PingRequest(1))
    with pytest.raises(LocalProtocolError, match="needs a login"):
        challenged().request(RequestType.PING, PingRequest(1))


def test_replies_find_their_requests_in_any_order() -> None:
    session = opened()
    first, _ = session.request(RequestType.PING, PingRequest(1))
    second, _ = session.request(RequestType.PING, PingRequest(2))
    body = PingReply(2, 3, [], backbone_ok=True)
    event = session.receive(encode_reply(RequestType.PING, second, body), now_ms=NOW_MS)
    assert event == ReplyReceived(second, RequestType.PING, body)
    session.receive(encode_reply(RequestType.PING, first, body), now_ms=NOW_MS)
    assert session.in_flight == 0


def test_in_flight_requests_are_bounded() -> None:
    session = opened()
    for number in range(IN_FLIGHT_MAX):
        session.request(RequestType.PING, PingRequest(number))
    with pytest.raises(LocalProtocolError, match="wait for their replies"):
        session.request(RequestType.PING, PingRequest(0))


def test_a_hub_that_names_fewer_requests_in_flight_is_heard() -> None:
    session = challenged(changed(limits={"in_flight_max": 1}))
    session.ask_challenge(10_000)
    with pytest.raises(LocalProtocolError, match="1 requests wait"):
        session.ask_challenge(10_000)


@pytest.mark.parametrize(
    "frame",
    [
        encode_reply(RequestType.PING, 99, PingReply(1, 1, [], backbone_ok=True)),
        encode_reply(RequestType.UNSUBSCRIBE, 2, Empty()),  # Id 2 is the ping below.
        encode_error(99, RequestError(ErrorCode.INTERNAL)),
        push(CHALLENGE),
        b"\xc1",
        b"\x93\x70\x02\x80",
    ],
)
def test_answers_to_nothing_are_protocol_errors(frame: bytes) -> None:
    session = opened()
    session.request(RequestType.PING, PingRequest(1))
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive(frame, now_ms=NOW_MS)
    assert caught.value.close_code is CloseCode.PROTOCOL_ERROR


def test_the_first_frame_must_be_the_challenge() -> None:
    goaway = encode_push(PushType.GOAWAY, 0, 0, Goaway(0, 1, GoawayCause.DRAINING, resume_ok=False))
    with pytest.raises(RemoteProtocolError, match="not a challenge"):
        machine().receive(goaway, now_ms=NOW_MS)


def test_pushes_before_the_login_are_protocol_errors() -> None:
    status = PaymentStatus(bytes(16), 0, PaymentState.SETTLED, 1, bytes(32), PaymentLevel.NONE)
    frame = encode_push(PushType.PAYMENT_STATUS, 1, 1, status)
    with pytest.raises(RemoteProtocolError, match="before the login"):
        challenged().receive(frame, now_ms=NOW_MS)
    event = opened().receive(frame, now_ms=NOW_MS)
    assert isinstance(event, PushReceived)
    assert event.push.body == status


def test_pushes_of_an_unknown_type_are_skipped() -> None:
    frame = msgspec.msgpack.encode([0xBE, 0, 0, [1, 2]])
    assert opened().receive(frame, now_ms=NOW_MS) is None


def with_repeated_key(body: Body, map_at: int) -> msgspec.Raw:
    """Encode *body* with a map at that place which holds one key twice."""
    parts = [msgspec.Raw(msgspec.msgpack.encode(part)) for part in msgspec.structs.astuple(body)]
    parts[map_at] = msgspec.Raw(bytes.fromhex("82a16101a16102"))
    return msgspec.Raw(msgspec.msgpack.encode(parts))


def test_a_map_that_holds_a_key_twice_is_refused() -> None:
    evil = msgspec.msgpack.encode([int(PushType.CHALLENGE), 0, 0, with_repeated_key(CHALLENGE, 8)])
    with pytest.raises(RemoteProtocolError, match="twice"):
        machine().receive(evil, now_ms=NOW_MS)
    session = opened()
    status = PaymentStatus(bytes(16), 0, PaymentState.SETTLED, 1, bytes(32), PaymentLevel.NONE, {})
    request_id, _ = session.request(RequestType.PAYMENT_GET, PaymentGetRequest(bytes(16)))
    reply = encode_reply(RequestType.PAYMENT_GET, request_id, with_repeated_key(status, 6))
    with pytest.raises(RemoteProtocolError, match="twice"):
        session.receive(reply, now_ms=NOW_MS)
    error = msgspec.msgpack.encode(
        [0x7F, request_id, [100, None, msgspec.Raw(bytes.fromhex("82a16101a16102"))]]
    )
    with pytest.raises(RemoteProtocolError, match="twice"):
        session.receive(error, now_ms=NOW_MS)


def test_an_error_code_of_a_later_version_reaches_the_caller() -> None:
    session = opened()
    request_id, _ = session.request(RequestType.PING, PingRequest(1))
    frame = msgspec.msgpack.encode([0x7F, request_id, [999, 50, {"message": "new"}]])
    event = session.receive(frame, now_ms=NOW_MS)
    assert isinstance(event, RefusalReceived)
    assert (event.error.code, event.error.retry_after_ms) == (999, 50)


def test_a_closed_session_takes_and_sends_nothing() -> None:
    session = opened()
    session.close()
    with pytest.raises(LocalProtocolError):
        session.request(RequestType.PING, PingRequest(1))
    with pytest.raises(LocalProtocolError):
        session.receive(push(CHALLENGE), now_ms=NOW_MS)
