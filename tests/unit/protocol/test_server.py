"""The hub's session machine, fed messages without a network."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from realtime_protocol.codec import (
    ErrorReply,
    Push,
    Reply,
    decode_answer,
    decode_reply_body,
    encode_request,
)
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import LocalProtocolError, RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits, TokenBucket
from realtime_protocol.messages import (
    AckRequest,
    Challenge,
    ChallengeRequest,
    Empty,
    LoginReply,
    LoginRequest,
    LogoutRequest,
    PingRequest,
    PushType,
    RequestType,
    Scheme,
    ServiceRequest,
)
from realtime_protocol.server import (
    MESSAGE_TOO_BIG,
    MOVES,
    ChallengeWanted,
    Closing,
    Event,
    LoginSent,
    Refused,
    RequestSent,
    ServerSession,
    ServiceSent,
    SessionState,
)

WALLET = PublicKey(bytes(range(32)))
NOW_MS = 1_790_000_000_000
LIMITS = Limits()


def challenge(number: int = 1, *, ttl_ms: int = 10_000, now_ms: int = NOW_MS) -> Challenge:
    return Challenge(
        f"{number:022d}", now_ms, now_ms + ttl_ms, "app.example.org", "wss://hub.example.org/v1",
        "devnet", "request", now_ms, {}, bytes(8),
    )  # fmt: skip


class Bench:
    """A session and the clock it is fed with."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.seconds = 100.0
        self.session = ServerSession(limits, now_s=self.seconds)
        self.first_frame = self.session.open(challenge(), now_s=self.seconds)
        self._id = 0

    @property
    def now_ms(self) -> int:
        return NOW_MS + round((self.seconds - 100.0) * 1_000)

    def feed(self, frame: bytes) -> Event:
        return self.session.receive(frame, now_s=self.seconds, now_ms=self.now_ms)

    def send(self, kind: RequestType, body: object, *, request_id: int | None = None) -> Event:
        self._id += 1
        return self.feed(encode_request(kind, request_id or self._id, body))

    def ask_challenge(self, ttl_ms: int = 10_000) -> None:
        event = self.send(RequestType.CHALLENGE, ChallengeRequest(ttl_ms))
        assert isinstance(event, ChallengeWanted)
        fresh = challenge(1_000 + event.id, ttl_ms=ttl_ms, now_ms=self.now_ms)
        self.session.answer_challenge(event.id, fresh, ttl_ms=event.ttl_ms, now_s=self.seconds)

    def login(self, *scopes: str) -> None:
        event = self.send(RequestType.LOGIN, proof())
        assert isinstance(event, LoginSent)
        self.prove(event, *scopes)

    def prove(self, event: LoginSent, *scopes: str) -> bytes:
        reply = LoginReply("sid", b"", 0, NOW_MS + 60_000, None, list(scopes))
        granted = frozenset(scopes or ("trust", "quote", "pay"))
        return self.session.login_proven(
            event.id, reply, wallet=WALLET, scopes=granted, expires_s=self.seconds + 60
        )

    def fail_login(self) -> None:
        event = self.send(RequestType.LOGIN, proof())
        assert isinstance(event, LoginSent)
        self.session.login_refused(event.id, RequestError(ErrorCode.BAD_SIGNATURE))


def proof(wallet: bytes = WALLET) -> LoginRequest:
    return LoginRequest(Scheme.K12, wallet, bytes(64), [])


def error_of(event: Event) -> ErrorReply:
    assert isinstance(event, Refused)
    answer = decode_answer(event.frame)
    assert isinstance(answer, ErrorReply)
    assert answer.error.code == event.code
    return answer


def test_the_first_frame_is_the_challenge() -> None:
    push = decode_answer(Bench().first_frame)
    assert isinstance(push, Push)
    assert (push.type, push.sub, push.offset) == (PushType.CHALLENGE, 0, 0)
    assert push.body == challenge()


def test_a_login_opens_the_session_and_its_reply_carries_its_id() -> None:
    bench = Bench()
    event = bench.send(RequestType.LOGIN, proof(), request_id=77)
    assert isinstance(event, LoginSent)
    assert event.challenge == challenge()
    assert not event.refresh
    reply = decode_answer(bench.prove(event, "trust"))
    assert isinstance(reply, Reply)
    assert (reply.type, reply.id) == (RequestType.LOGIN, 77)
    assert decode_reply_body(reply).sid == "sid"
    assert bench.session.state is SessionState.OPEN
    assert bench.session.wallet == WALLET


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RequestType.PING, PingRequest(1)),
        (RequestType.TRUST_GET, [WALLET]),
        (RequestType.LOGOUT, LogoutRequest(everywhere=False)),
        (RequestType.REFRESH, proof()),
    ],
)
def test_before_login_only_challenge_and_login_are_taken(kind: RequestType, body: object) -> None:
    assert error_of(Bench().send(kind, body)).error.code == ErrorCode.NOT_AUTHENTICATED


@pytest.mark.parametrize("kind", [0x07, 0x15, 0x32, 0x3D, 0x3E])
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_type_that_is_not_served_is_104(kind: int, logged_in: bool) -> None:
    bench = Bench()
    if logged_in:
        bench.login()
    refused = error_of(bench.feed(msgspec.msgpack.encode([kind, 5, []])))
    assert refused.error.code == ErrorCode.UNKNOWN_TYPE
    assert refused.id == 5
    assert bench.session.closing is None


@pytest.mark.parametrize(
    "body", [None, [], ["1"], [True], [1.5], [-1], [2**53], {"client_ms": 1}, b"\x01"]
)
def test_a_bad_body_is_103_and_the_session_goes_on(body: Any) -> None:
    bench = Bench()
    bench.login()
    refused = error_of(bench.feed(msgspec.msgpack.encode([0x30, 5, body])))
    assert refused.error.code == ErrorCode.BAD_MESSAGE
    assert isinstance(bench.send(RequestType.PING, PingRequest(1)), RequestSent)


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\xc1", b"\x93", b"\x80", b"{}", msgspec.msgpack.encode([]),
        msgspec.msgpack.encode([0x30]), msgspec.msgpack.encode([0x30, 0, []]),
        msgspec.msgpack.encode([0x30, -1, []]), msgspec.msgpack.encode([0x30, 2**32, []]),
        msgspec.msgpack.encode([0x30, True, []]), msgspec.msgpack.encode([0, 1, []]),
        msgspec.msgpack.encode([0x3F, 1, []]), msgspec.msgpack.encode([0x80, 1, []]),
        msgspec.msgpack.encode([0x30, 1, []]) + b"\x00", b"\x91" * 4_000,
    ],
)  # fmt: skip
def test_an_unreadable_envelope_closes_4500(frame: bytes) -> None:
    event = Bench().feed(frame)
    assert isinstance(event, Closing)
    assert event.code == CloseCode.PROTOCOL_ERROR


def arrays(room_bytes: int) -> bytes:
    return b"\x91" * (room_bytes - 1) + b"\xc0"


def maps(room_bytes: int) -> bytes:
    return b"\x81\x01" * ((room_bytes - 1) // 2) + b"\xc0"


def maps_as_keys(room_bytes: int) -> bytes:
    depth = (room_bytes - 1) // 2
    return b"\x81" * depth + b"\xc0" * (depth + 1)


@pytest.mark.parametrize("nested", [arrays, maps, maps_as_keys])
@pytest.mark.parametrize("frame_bytes", [256, 8_192, LIMITS.frame_bytes_max])
@pytest.mark.parametrize(
    "head",
    [b"\x93\x30\x05", b"\x93\x30\x05\x92\x01", b"\x94\x30\x05\x91\x01"],
    ids=["body", "after what is known of a body", "after the body"],
)
def test_however_deep_a_frame_is_nested_the_session_goes_on_or_is_closed(
    head: bytes, frame_bytes: int, nested: Callable[[int], bytes]
) -> None:
    """Which of the two is left to the decoder: how deep it follows depends on the Python."""
    bench = Bench()
    bench.login()
    event = bench.feed(head + nested(frame_bytes - len(head)))
    if isinstance(event, Closing):
        assert event.code == CloseCode.PROTOCOL_ERROR
        assert bench.session.closing == event
        return
    if isinstance(event, Refused):
        assert error_of(event).error.code == ErrorCode.BAD_MESSAGE
    else:
        assert event == RequestSent(RequestType.PING, 5, PingRequest(1))
    assert isinstance(bench.send(RequestType.PING, PingRequest(2), request_id=6), RequestSent)


def test_elements_after_those_that_are_known_are_ignored() -> None:
    bench = Bench()
    bench.login()
    event = bench.feed(msgspec.msgpack.encode([0x30, 9, [5, "new", {}], "newer"]))
    assert event == RequestSent(RequestType.PING, 9, PingRequest(5))


def test_a_text_frame_closes_4500() -> None:
    session = Bench().session
    assert session.receive_misframed().code == CloseCode.PROTOCOL_ERROR
    assert session.closing is not None


def test_a_message_above_the_limit_closes_1009_and_the_limit_grows_with_the_login() -> None:
    large = msgspec.msgpack.encode([0x12, 1, [WALLET] * 64, bytes(4_000)])
    event = Bench().feed(large)
    assert event == Closing(MESSAGE_TOO_BIG, "at most 4096 bytes")
    bench = Bench()
    bench.login()
    assert isinstance(bench.feed(large), RequestSent)
    event = bench.feed(msgspec.msgpack.encode([0x12, 2, [WALLET], bytes(16_384)]))
    assert event == Closing(MESSAGE_TOO_BIG, "at most 16384 bytes")


def test_an_id_that_is_in_flight_closes_4500_and_may_be_used_again_after_its_answer() -> None:
    bench = Bench()
    bench.login()
    assert isinstance(bench.send(RequestType.PING, PingRequest(1), request_id=9), RequestSent)
    bench.session.answer(9, Empty())
    assert isinstance(bench.send(RequestType.PING, PingRequest(1), request_id=9), RequestSent)
    event = bench.send(RequestType.PING, PingRequest(1), request_id=9)
    assert isinstance(event, Closing)
    assert event.code == CloseCode.PROTOCOL_ERROR


def test_a_request_gets_exactly_one_answer() -> None:
    bench = Bench()
    bench.login()
    bench.send(RequestType.PING, PingRequest(1), request_id=9)
    bench.session.refuse(9, RequestError(ErrorCode.INTERNAL))
    with pytest.raises(LocalProtocolError, match="9 is not in flight"):
        bench.session.answer(9, Empty())


def test_more_requests_in_flight_than_the_limit_are_106() -> None:
    bench = Bench(Limits(in_flight_max=2))
    bench.login()
    for request_id in (11, 12):
        bench.send(RequestType.PING, PingRequest(1), request_id=request_id)
    refused = error_of(bench.send(RequestType.PING, PingRequest(1), request_id=13))
    assert refused.error.code == ErrorCode.RATE_LIMITED
    assert refused.error.retry_after_ms
    bench.session.answer(11, Empty())
    assert isinstance(bench.send(RequestType.PING, PingRequest(1), request_id=13), RequestSent)


def test_requests_faster_than_the_rate_are_106_with_the_time_to_wait() -> None:
    bench = Bench()
    bench.login()  # Weight 5 of the burst of 40.
    for request_id in range(100, 135):
        event = bench.send(RequestType.PING, PingRequest(1), request_id=request_id)
        assert isinstance(event, RequestSent)
        bench.session.answer(request_id, Empty())
    refused = error_of(bench.send(RequestType.PING, PingRequest(1)))
    assert (refused.error.code, refused.error.retry_after_ms) == (ErrorCode.RATE_LIMITED, 50)
    bench.seconds += 0.05
    assert isinstance(bench.send(RequestType.PING, PingRequest(1)), RequestSent)


def test_heavier_requests_use_more_of_the_rate() -> None:
    limits = Limits()
    assert limits.weight_of(RequestType.LOGIN) == limits.weight_of(RequestType.REFRESH) == 5
    assert limits.weight_of(RequestType.QUOTE_OPEN) == 2
    assert limits.weight_of(RequestType.PAY) == limits.weight_of(RequestType.PAY_PREPARE) == 2
    assert limits.weight_of(RequestType.PING) == 1


@pytest.mark.parametrize(
    ("kind", "body", "missing"),
    [
        (RequestType.TRUST_GET, [WALLET], "trust"),
        (RequestType.PAYMENT_GET, [bytes(16)], "pay"),
        (RequestType.TRUST_SET, [bytes(144)], "admin"),
        (RequestType.SESSIONS_LIST, ["", 1], "admin"),
        (RequestType.DRAIN, [], "admin"),
        (RequestType.QUOTE_CLOSE, [1], "quote"),
    ],
)
def test_a_request_without_its_scope_is_102(kind: RequestType, body: object, missing: str) -> None:
    bench = Bench()
    bench.login(*({"trust", "quote", "pay"} - {missing}))
    assert error_of(bench.send(kind, body)).error.code == ErrorCode.FORBIDDEN_SCOPE
    bench = Bench()
    bench.login(missing)
    assert isinstance(bench.send(kind, body), RequestSent)


# Logins -----------------------------------------------------------------------------------------


def test_a_nonce_is_used_up_by_its_first_attempt_even_a_bad_one() -> None:
    bench = Bench()
    bench.fail_login()
    refused = error_of(bench.send(RequestType.LOGIN, proof()))
    assert refused.error.code == ErrorCode.NONCE_UNKNOWN_OR_USED


def test_a_login_that_cannot_be_read_uses_its_nonce_up_too() -> None:
    bench = Bench()
    refused = error_of(bench.feed(msgspec.msgpack.encode([2, 1, [2, WALLET, bytes(63), []]])))
    assert refused.error.code == ErrorCode.BAD_MESSAGE
    refused = error_of(bench.send(RequestType.LOGIN, proof()))
    assert refused.error.code == ErrorCode.NONCE_UNKNOWN_OR_USED


def test_a_second_login_while_the_first_is_checked_finds_no_challenge() -> None:
    bench = Bench()
    event = bench.send(RequestType.LOGIN, proof())
    assert isinstance(event, LoginSent)
    refused = error_of(bench.send(RequestType.LOGIN, proof()))
    assert refused.error.code == ErrorCode.NONCE_UNKNOWN_OR_USED
    refused = error_of(bench.send(RequestType.CHALLENGE, ChallengeRequest(10_000)))
    assert refused.error.code == ErrorCode.RATE_LIMITED
    bench.prove(event)
    assert bench.session.logged_in


def test_an_unknown_scheme_is_205() -> None:
    refused = error_of(Bench().feed(msgspec.msgpack.encode([2, 1, [9, WALLET, bytes(64), []]])))
    assert refused.error.code == ErrorCode.UNSUPPORTED_SCHEME


def test_a_further_try_needs_a_further_challenge() -> None:
    bench = Bench()
    bench.fail_login()
    bench.ask_challenge()
    bench.login()
    assert bench.session.logged_in


def test_a_further_challenge_replaces_the_one_before() -> None:
    bench = Bench()
    bench.ask_challenge(300_000)
    event = bench.send(RequestType.LOGIN, proof())
    assert isinstance(event, LoginSent)
    assert event.challenge.nonce != challenge().nonce


def test_an_expired_challenge_is_200() -> None:
    bench = Bench()
    bench.seconds += 10
    refused = error_of(bench.send(RequestType.LOGIN, proof()))
    assert refused.error.code == ErrorCode.CHALLENGE_EXPIRED


def test_the_third_failed_login_is_answered_and_closes_4502() -> None:
    bench = Bench()
    bench.fail_login()
    bench.ask_challenge()
    bench.fail_login()
    assert bench.session.closing is None
    refused = error_of(bench.send(RequestType.LOGIN, proof()))
    assert refused.error.code == ErrorCode.NONCE_UNKNOWN_OR_USED
    assert bench.session.closing == Closing(CloseCode.AUTH_FAILED, "auth_failed")


def test_a_login_that_failed_for_the_hubs_reasons_costs_no_try() -> None:
    bench = Bench(Limits(challenges_before_login_max=9, requests_burst=99))
    for _ in range(5):
        event = bench.send(RequestType.LOGIN, proof())
        assert isinstance(event, LoginSent)
        bench.session.login_refused(event.id, RequestError(ErrorCode.OVERLOADED))
        bench.ask_challenge()
    assert bench.session.closing is None
    bench.login()
    assert bench.session.logged_in


def test_before_login_at_most_five_challenges_may_be_asked_for() -> None:
    bench = Bench()
    for _ in range(5):
        bench.ask_challenge()
    refused = error_of(bench.send(RequestType.CHALLENGE, ChallengeRequest(10_000)))
    assert refused.error.code == ErrorCode.RATE_LIMITED
    bench.login()
    bench.ask_challenge()


@pytest.mark.parametrize("ttl_ms", [0, -1, 300_001])
def test_a_challenge_for_longer_than_allowed_is_103(ttl_ms: int) -> None:
    refused = error_of(Bench().feed(msgspec.msgpack.encode([1, 1, [ttl_ms]])))
    assert refused.error.code == ErrorCode.BAD_MESSAGE


def test_the_login_is_due_after_ten_seconds_or_the_ttl_that_was_asked_for() -> None:
    bench = Bench()
    bench.seconds += 9.9
    assert bench.session.overdue(now_s=bench.seconds) is None
    bench.ask_challenge(60_000)
    bench.seconds += 59.9
    assert bench.session.overdue(now_s=bench.seconds) is None
    bench.seconds += 0.1
    closing = bench.session.overdue(now_s=bench.seconds)
    assert closing == Closing(CloseCode.AUTH_TIMEOUT, "auth_timeout")


def test_a_short_ttl_leaves_the_usual_ten_seconds() -> None:
    bench = Bench()
    bench.ask_challenge(1_000)
    assert bench.session.overdue(now_s=bench.seconds + 9.9) is None
    assert bench.session.overdue(now_s=bench.seconds + 10) is not None


def test_a_proof_that_came_in_time_is_not_cut_off_while_it_is_checked() -> None:
    bench = Bench()
    event = bench.send(RequestType.LOGIN, proof())
    assert isinstance(event, LoginSent)
    bench.seconds += 11
    assert bench.session.overdue(now_s=bench.seconds) is None
    bench.session.login_refused(event.id, RequestError(ErrorCode.BAD_SIGNATURE))
    assert bench.session.overdue(now_s=bench.seconds) is not None


def test_a_session_ends_at_its_expiry_unless_it_is_refreshed_on_the_living_socket() -> None:
    bench = Bench()
    bench.login()
    bench.seconds += 59
    bench.ask_challenge()
    event = bench.send(RequestType.REFRESH, proof())
    assert isinstance(event, LoginSent)
    assert event.refresh
    assert isinstance(bench.send(RequestType.PING, PingRequest(1)), RequestSent)
    bench.prove(event)
    bench.seconds += 59
    assert bench.session.overdue(now_s=bench.seconds) is None
    bench.seconds += 1
    closing = bench.session.overdue(now_s=bench.seconds)
    assert closing == Closing(CloseCode.SESSION_EXPIRED, "session_expired")


def test_a_refresh_needs_a_challenge_and_a_failed_one_leaves_the_session_open() -> None:
    bench = Bench()
    bench.login()
    refused = error_of(bench.send(RequestType.REFRESH, proof()))
    assert refused.error.code == ErrorCode.NONCE_UNKNOWN_OR_USED
    bench.ask_challenge()
    event = bench.send(RequestType.REFRESH, proof())
    assert isinstance(event, LoginSent)
    bench.session.login_refused(event.id, RequestError(ErrorCode.BAD_SIGNATURE))
    assert bench.session.state is SessionState.OPEN


def test_a_refresh_by_another_wallet_is_refused() -> None:
    bench = Bench()
    bench.login()
    bench.ask_challenge()
    refused = error_of(bench.send(RequestType.REFRESH, proof(bytes(32))))
    assert refused.error.code == ErrorCode.BAD_SIGNATURE
    assert bench.session.wallet == WALLET


def test_a_second_login_on_an_open_session_is_103() -> None:
    bench = Bench()
    bench.login()
    assert error_of(bench.send(RequestType.LOGIN, proof())).error.code == ErrorCode.BAD_MESSAGE


def test_a_closed_session_takes_nothing() -> None:
    bench = Bench()
    bench.session.close()
    with pytest.raises(LocalProtocolError):
        bench.send(RequestType.LOGIN, proof())


def test_every_state_but_closed_is_reached_by_a_move_or_is_the_first() -> None:
    reached = set(MOVES.values()) | {SessionState.NEW, SessionState.CLOSED}
    assert reached == set(SessionState)
    with pytest.raises(LocalProtocolError, match="login_proven in state login"):
        Bench().session.login_proven(1, Empty(), wallet=WALLET, scopes=frozenset(), expires_s=0)


# Limits -----------------------------------------------------------------------------------------


def test_the_limits_fit_into_the_challenge() -> None:
    detail = Limits().as_detail()
    assert len(detail) <= 32
    assert detail["frame_bytes_max"] == 16_384
    assert detail["in_flight_max"] == 32


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 3, now_s=0)
    assert [bucket.take(1, now_s=0) for _ in range(4)] == [0, 0, 0, 100]
    assert bucket.take(1, now_s=0.1) == 0
    assert not bucket.is_full(now_s=0.3)
    assert bucket.is_full(now_s=0.4)


def test_a_bucket_takes_back_what_was_not_used_and_no_more_than_its_burst() -> None:
    bucket = TokenBucket(10, 3, now_s=0)
    assert bucket.take(3, now_s=0) == 0
    bucket.give_back(2)
    assert [bucket.take(1, now_s=0) for _ in range(3)] == [0, 0, 100]
    bucket.give_back(5)
    assert [bucket.take(1, now_s=0) for _ in range(4)] == [0, 0, 0, 100]


def test_a_bucket_never_gives_more_than_its_burst_however_long_it_waited() -> None:
    bucket = TokenBucket(10, 3, now_s=0)
    assert [bucket.take(1, now_s=1e6) for _ in range(4)] == [0, 0, 0, 100]


# Backends ---------------------------------------------------------------------------------------


def open_service(bench: Bench, rate: TokenBucket) -> None:
    event = bench.send(RequestType.SERVICE, ServiceRequest("rtk_0badcafe_x"))
    assert isinstance(event, ServiceSent)
    assert "rtk_" not in repr(event)
    bench.session.service_proven(
        event.id, Empty(), scopes=frozenset({"service"}), expires_s=1e9, rate=rate
    )


def test_a_backend_has_the_rate_of_its_key_and_no_wallet() -> None:
    bench = Bench()
    open_service(bench, TokenBucket(0.001, 1, now_s=0))
    assert bench.session.wallet is None
    assert isinstance(bench.send(RequestType.ACK, AckRequest(1, 1)), RequestSent)
    assert error_of(bench.send(RequestType.ACK, AckRequest(1, 1))).error.code == 106


def test_a_request_without_a_reply_is_settled_once() -> None:
    bench = Bench()
    open_service(bench, TokenBucket(9, 9, now_s=0))
    event = bench.send(RequestType.ACK, AckRequest(1, 1))
    assert isinstance(event, RequestSent)
    bench.session.settle(event.id)
    with pytest.raises(LocalProtocolError):
        bench.session.settle(event.id)
