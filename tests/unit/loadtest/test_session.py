"""The load test's session over a wire in memory, answered by the hub's own codec."""

from collections.abc import Callable
from typing import Any

import pytest

from realtime_loadtest.session import Refused, WalletSession
from realtime_loadtest.wire import WireError
from realtime_protocol.codec import (
    Request,
    decode_request,
    decode_request_body,
    encode_error,
    encode_push,
    encode_reply,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import (
    Challenge,
    Checkpoint,
    Empty,
    LoginReply,
    LoginRequest,
    PushType,
    Quote,
    QuoteOpenReply,
    RequestType,
    ResumeReply,
    ResumeRequest,
)
from realtime_protocol.schnorrq import keypair
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    verify_with_session_key,
)
from realtime_protocol.wallet_signatures import verify_login_signature

WALLET = keypair("wqbdupxgcaimwdsnchitjmsplzclkqokhadgehdxqogeeiovzvadstt")
PAYEE = bytes(range(32))
CHALLENGE = Challenge(
    "4fZk0pQ2v8sT1mYb6cHdNw",
    1_790_000_000_000,
    1_790_000_010_000,
    "127.0.0.1:8080",
    "ws://127.0.0.1:8080/v1",
    "devnet",
    "01JD8Z3K9QX5W7",
    1_790_000_000_123,
    {},
    bytes(8),
)
TOKEN, NEXT_TOKEN = b"t" * 32, b"u" * 32
KEY_SEED = bytes(range(32))
CHECKPOINT = encode_push(PushType.CHECKPOINT, 0, 0, Checkpoint([], 1, backbone_ok=True))
QUOTE = Quote(bytes(16), 1, None, [], 0, 0, 0, executable=False, partial=False, hub_signature=None)


class HubWire:
    """A socket whose other end is *answer*; it begins with the challenge."""

    def __init__(self, answer: Callable[[Request], list[bytes]]) -> None:
        self._answer = answer
        self._frames = [encode_push(PushType.CHALLENGE, 0, 0, CHALLENGE)]
        self.requests: list[Request] = []
        self.closed = False

    def send_binary(self, payload: bytes) -> None:
        sent = decode_request(payload)
        self.requests.append(sent)
        self._frames += self._answer(sent)

    def recv(self) -> Any:
        return self._frames.pop(0) if self._frames else ""

    def close(self) -> None:
        self.closed = True


def serve(sent: Request) -> list[bytes]:
    match sent.type:
        case RequestType.LOGIN:
            body = LoginReply("s", TOKEN, 120_000, 1, None, [])
            return [CHECKPOINT, encode_reply(sent.type, sent.id, body)]
        case RequestType.RESUME:
            return [encode_reply(sent.type, sent.id, ResumeReply("s", NEXT_TOKEN, None, []))]
        case RequestType.QUOTE_OPEN:
            return [
                encode_reply(sent.type, sent.id, QuoteOpenReply(4)),
                CHECKPOINT,
                encode_push(PushType.QUOTE, 4, 0, QUOTE),
            ]
        case _:
            return [encode_reply(sent.type, sent.id, Empty())]


def test_the_login_carries_a_real_signature_over_the_challenges_text() -> None:
    wire = HubWire(serve)
    session = WalletSession(wire, WALLET)
    session.log_in(session.sign())
    login = decode_request_body(wire.requests[0])
    assert isinstance(login, LoginRequest)
    text = build_login_text(
        LoginChallenge(
            CHALLENGE.nonce,
            CHALLENGE.issued_ms,
            CHALLENGE.expires_ms,
            CHALLENGE.domain,
            CHALLENGE.uri,
            CHALLENGE.chain,
            CHALLENGE.request_id,
        ),
        WALLET.public_key,
    )
    assert verify_login_signature(login.scheme, login.wallet, text, login.signature)


def test_a_resumption_proves_the_session_key_that_the_login_named() -> None:
    session = WalletSession(HubWire(serve), WALLET, key_seed=KEY_SEED)
    session.log_in(session.sign())
    assert session.resumable
    tokens = []
    for _ in range(2):
        wire = HubWire(serve)
        session.resume(wire)
        sent = decode_request_body(wire.requests[0])
        assert isinstance(sent, ResumeRequest)
        proven = resume_body(
            domain=CHALLENGE.domain, uri=CHALLENGE.uri, sid="s", nonce=CHALLENGE.nonce
        )
        key = session_public_key(KEY_SEED)
        assert verify_with_session_key(key, Kind.RESUME, proven, sent.proof)
        tokens.append(sent.token)
    assert tokens == [TOKEN, NEXT_TOKEN]


def test_a_session_without_a_key_of_its_own_is_not_resumed() -> None:
    session = WalletSession(HubWire(serve), WALLET)
    with pytest.raises(ValueError, match="key of its own"):
        session.resume(HubWire(serve))


def test_a_quote_is_opened_taken_and_closed() -> None:
    wire = HubWire(serve)
    session = WalletSession(wire, WALLET)
    session.log_in(session.sign())
    assert session.quote(PAYEE, 1_000)[0] == QUOTE.quote_id
    opened = decode_request_body(wire.requests[1])
    assert (opened.intent.destination, opened.intent.amount_qu) == (PAYEE, 1_000)
    assert [sent.type for sent in wire.requests[1:]] == [
        RequestType.QUOTE_OPEN,
        RequestType.QUOTE_CLOSE,
    ]


def test_a_refusal_names_its_code() -> None:
    blocked = RequestError(ErrorCode.WALLET_BLOCKED, "blocked")
    session = WalletSession(HubWire(lambda sent: [encode_error(sent.id, blocked)]), WALLET)
    with pytest.raises(Refused) as refused:
        session.log_in(session.sign())
    assert refused.value.code == ErrorCode.WALLET_BLOCKED


def test_a_closed_connection_is_an_error_not_a_wait() -> None:
    session = WalletSession(HubWire(lambda _: []), WALLET)
    with pytest.raises(WireError):
        session.log_in(session.sign())


def test_an_answer_to_nothing_is_an_error() -> None:
    answer = encode_reply(RequestType.LOGIN, 99, Empty())
    session = WalletSession(HubWire(lambda _: [answer]), WALLET)
    with pytest.raises(WireError):
        session.log_in(session.sign())
