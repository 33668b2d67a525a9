"""Write protocol/vectors/messages.json: the golden frames that every client and hub must agree on.

``--check`` writes nothing and fails when the file isn't what this program makes. In the file a
frame stands twice: as hex, and as the array that msgpack reads from it, in which a byte string is
``{"hex": "..."}`` and a map is ``{"map": {...}}``. ``text`` is the same message on the JSON
subprotocol; ``fields`` names the parts of the body.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Raw, Struct, msgpack, structs

from generated_files import ROOT, write_or_check
from realtime_protocol.codec import encode_error, encode_push, encode_raw, encode_reply
from realtime_protocol.codec import encode_request as encode_request_frame
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import parse_identity
from realtime_protocol.json_codec import encode_json
from realtime_protocol.login_resources import encode_key
from realtime_protocol.messages import (
    AMOUNT_QU_MAX,
    INTEGER_MAX,
    AckRequest,
    Alternative,
    Challenge,
    ChallengeRequest,
    Checkpoint,
    DeadlineOf,
    DecisionReply,
    DecisionRequest,
    Empty,
    Gap,
    GapCause,
    Goaway,
    GoawayCause,
    GrantedKey,
    Head,
    Initiator,
    Intent,
    KeysListReply,
    KeysListRequest,
    KeysRevokeReply,
    KeysRevokeRequest,
    ListedSession,
    LoginReply,
    LoginRequest,
    LogoutRequest,
    PaymentGetRequest,
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PayReply,
    PayRequest,
    PayResign,
    PingReply,
    PingRequest,
    Position,
    PrepareKind,
    PrepareReply,
    PrepareRequest,
    Priority,
    PushType,
    Quote,
    QuoteCloseRequest,
    QuoteOpenReply,
    QuoteOpenRequest,
    RequestType,
    ResignReason,
    ResumedSub,
    ResumeOutcome,
    ResumeReply,
    ResumeRequest,
    ResumeSub,
    Route,
    Scheme,
    ServiceRequest,
    SessionsListReply,
    SessionsListRequest,
    SignedText,
    SpendGetReply,
    SpendGetRequest,
    SpendTerms,
    SubscribeReply,
    SubscribeRequest,
    Trust,
    TrustChanged,
    TrustChangeState,
    TrustReason,
    TrustSetReply,
    TrustSetRequest,
    TrustStatus,
    TrustTier,
    UnsubscribeRequest,
    Verdict,
    WalletTrust,
)
from realtime_protocol.transaction import build_unsigned

PATH: Final = ROOT / "protocol/vectors/messages.json"

PAYER: Final = parse_identity("SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK")
PAYEE: Final = bytes(range(32))
OTHER: Final = bytes(range(32, 64))
SIGNATURE: Final = bytes(range(64, 128))
EPOCH: Final = bytes.fromhex("00017f80ff10a5c3")
QUOTE_ID: Final = bytes(range(0x10, 0x20))
PAYMENT_ID: Final = bytes(range(0x20, 0x30))
IDEM: Final = bytes(range(0x30, 0x40))
TXID: Final = bytes(range(0xE0, 0x100))
UNSIGNED: Final = build_unsigned(PAYER, parse_identity("A" * 56 + "FXIB"), 1_000, 1_000_123)

TRUST: Final = Trust(TrustStatus.ACTIVE, 80, 7, 0, TrustTier.L1, 12, 1_790_000_005_000)
NOT_LISTED: Final = Trust(
    TrustStatus.UNKNOWN, 0, 0, TrustReason.NOT_LISTED, TrustTier.L3, 0, 1_790_000_005_000
)
LIMITS: Final[dict[str, int | str]] = {
    "frame_bytes_max": 16_384,
    "frame_before_login_bytes_max": 4_096,
    "in_flight_max": 32,
    "subscriptions_max": 64,
    "quotes_max": 16,
    "requests_per_s": 20,
    "note": "text is allowed too",
}
CHALLENGE: Final = Challenge(
    "4fZk0pQ2v8sT1mYb6cHdNw",
    1_790_000_000_000,
    1_790_000_010_000,
    "app.example.org",
    "wss://hub.example.org/v1",
    "devnet",
    "01JD8Z3K9QX5W7",
    1_790_000_000_123,
    LIMITS,
    EPOCH,
)
INTENT: Final = Intent(PAYER, PAYEE, 1_000, Priority.SPEED, 0, 5_000)
FULL_INTENT: Final = Intent(
    PAYER,
    PAYEE,
    AMOUNT_QU_MAX,
    Priority.RELIABILITY,
    250_000,
    600_000,
    DeadlineOf.SETTLED,
    999_000,
    ["operator-a", "operator-b"],
    4,
)
LOGIN: Final = LoginRequest(
    Scheme.K12, PAYER, SIGNATURE, ["urn:qubic:realtime:scope:trust", "urn:qubic:realtime:scope:pay"]
)
LOGIN_BY_KEY: Final = LoginRequest(
    Scheme.KEY, PAYER, SIGNATURE, [encode_key(OTHER, until_ms=1_790_086_400_000)]
)
GRANTED_KEY: Final = GrantedKey(
    OTHER,
    ["trust", "quote"],
    1_790_086_400_000,
    "app.example.org",
    1_790_000_000_123,
    1_790_000_500_456,
    [],
)
GRANTED_TO_SPEND: Final = GrantedKey(
    PAYEE,
    ["trust", "quote", "pay"],
    1_790_086_400_000,
    "app.example.org",
    1_790_000_000_123,
    1_790_000_000_123,
    [SpendTerms(OTHER, 1_000, 1_790_003_600_000)],
)
LOGGED_IN: Final = LoginReply(
    "s-01JD8Z3K9QX5W8", b"", 0, 1_790_086_400_000, TRUST, ["trust", "quote", "pay"]
)
RESUMABLE: Final = LoginReply(
    "s-01JD8Z3K9QX5W9", OTHER, 120_000, 1_790_086_400_000, None, ["service"]
)
SETTLED: Final = PaymentStatus(
    PAYMENT_ID, 4, PaymentState.SETTLED, 1_000_123, TXID, PaymentLevel.NONE
)
HELD_UP: Final = PaymentStatus(
    PAYMENT_ID,
    3,
    PaymentState.INCLUDED,
    4_294_967_295,
    TXID,
    PaymentLevel.GUARANTEED,
    {"message": "two transactions of this payer in the tick", "attempt": 1},
)
DIRECT: Final = Route("direct", "direct", [PAYER, PAYEE])
QUOTE: Final = Quote(
    QUOTE_ID,
    INTEGER_MAX,
    DIRECT,
    [Alternative(Route("hub-a", "channel", [PAYER, OTHER, PAYEE]), 3, 40, False)],
    0,
    5_000,
    1_000_128,
    True,
    False,
    None,
)

R = RequestType
REQUEST_SAMPLES: Final[list[tuple[str, RequestType, int, object]]] = [
    ("challenge.request", R.CHALLENGE, 1, ChallengeRequest(300_000)),
    ("login.request", R.LOGIN, 2, LOGIN),
    (
        "login.request.no_resources",
        R.LOGIN,
        2**32 - 1,
        LoginRequest(Scheme.WC, PAYER, SIGNATURE, []),
    ),
    (
        "resume.request",
        R.RESUME,
        15,
        ResumeRequest(
            TXID,
            SIGNATURE,
            [
                ResumeSub(1, "trust:@me", EPOCH, 41),
                ResumeSub(2, "trust", EPOCH, 41, [PAYEE, OTHER]),
                ResumeSub(5, "pay:@me", EPOCH, 9),
            ],
        ),
    ),
    ("resume.request.alone", R.RESUME, 16, ResumeRequest(OTHER, SIGNATURE, [])),
    ("logout.request", R.LOGOUT, 3, LogoutRequest(everywhere=False)),
    ("refresh.request", R.REFRESH, 4, LOGIN),
    ("subscribe.request", R.SUBSCRIBE, 5, SubscribeRequest("trust:@me")),
    (
        "subscribe.request.position",
        R.SUBSCRIBE,
        6,
        SubscribeRequest("pay:@me", Position(EPOCH, 41)),
    ),
    ("subscribe.request.wallets", R.SUBSCRIBE, 7, SubscribeRequest("trust", None, [PAYER, PAYEE])),
    ("unsubscribe.request", R.UNSUBSCRIBE, 8, UnsubscribeRequest(3)),
    ("trust.get.request", R.TRUST_GET, 9, [PAYER, PAYEE]),
    ("service.request", R.SERVICE, 17, ServiceRequest("rtk_0badcafe_" + 43 * "A")),
    (
        "verify.request",
        R.VERIFY,
        18,
        [
            SignedText(PAYER, Scheme.RAW, b"one line", SIGNATURE),
            SignedText(PAYEE, Scheme.WC, b"", SIGNATURE),
        ],
    ),
    ("ack.request", R.ACK, 19, AckRequest(3, 41)),
    ("decision.get.request", R.DECISION_GET, 15, DecisionRequest("door-7")),
    ("decision.get.request.nonce", R.DECISION_GET, 16, DecisionRequest("door-7", "n-1")),
    ("quote.open.request", R.QUOTE_OPEN, 10, QuoteOpenRequest(INTENT)),
    ("quote.open.request.full", R.QUOTE_OPEN, 127, QuoteOpenRequest(FULL_INTENT)),
    ("quote.close.request", R.QUOTE_CLOSE, 128, QuoteCloseRequest(4)),
    (
        "pay.prepare.request.quote",
        R.PAY_PREPARE,
        255,
        PrepareRequest(PrepareKind.QUOTE, QUOTE_ID, None, 0),
    ),
    (
        "pay.prepare.request.intent",
        R.PAY_PREPARE,
        256,
        PrepareRequest(PrepareKind.INTENT, None, INTENT, 0),
    ),
    (
        "pay.prepare.request.again",
        R.PAY_PREPARE,
        65_536,
        PrepareRequest(PrepareKind.AGAIN, None, PAYMENT_ID, 30_000),
    ),
    ("pay.request", R.PAY, 11, PayRequest(IDEM, QUOTE_ID, UNSIGNED + SIGNATURE, 0)),
    ("payment.get.request", R.PAYMENT_GET, 12, PaymentGetRequest(PAYMENT_ID)),
    ("ping.request", R.PING, 13, PingRequest(1_790_000_000_001)),
    ("trust.set.request", R.TRUST_SET, 14, TrustSetRequest(UNSIGNED + SIGNATURE)),
    ("sessions.list.request", R.SESSIONS_LIST, 17, SessionsListRequest("", 128)),
    ("drain.request", R.DRAIN, 18, Empty()),
    ("login.request.key", R.LOGIN, 16, LOGIN_BY_KEY),
    ("keys.list.request", R.KEYS_LIST, 17, KeysListRequest()),
    ("keys.revoke.request.one", R.KEYS_REVOKE, 18, KeysRevokeRequest(OTHER)),
    ("spend.get.request", R.SPEND_GET, 20, SpendGetRequest(OTHER)),
    ("keys.revoke.request.all", R.KEYS_REVOKE, 19, KeysRevokeRequest()),
]
REPLY_SAMPLES: Final[list[tuple[str, RequestType, int, object]]] = [
    ("challenge.reply", R.CHALLENGE, 1, CHALLENGE),
    ("login.reply", R.LOGIN, 2, LOGGED_IN),
    ("login.reply.resumable", R.LOGIN, 3, RESUMABLE),
    (
        "resume.reply",
        R.RESUME,
        15,
        ResumeReply(
            "s-01JD8Z3K9QX5W9",
            OTHER,
            TRUST,
            [
                ResumedSub(1, ResumeOutcome.CAUGHT_UP, EPOCH, 41),
                ResumedSub(2, ResumeOutcome.REPLAYING, EPOCH, 44),
                ResumedSub(5, ResumeOutcome.GAP, EPOCH, 12),
            ],
        ),
    ),
    ("logout.reply", R.LOGOUT, 3, Empty()),
    ("refresh.reply", R.REFRESH, 4, LOGGED_IN),
    (
        "subscribe.reply",
        R.SUBSCRIBE,
        5,
        SubscribeReply(
            1,
            EPOCH,
            41,
            [encode_raw(WalletTrust(PAYER, TRUST)), encode_raw(WalletTrust(PAYEE, NOT_LISTED))],
            recovered=False,
        ),
    ),
    (
        "subscribe.reply.recovered",
        R.SUBSCRIBE,
        6,
        SubscribeReply(2, EPOCH, INTEGER_MAX, None, recovered=True),
    ),
    (
        "subscribe.reply.payments",
        R.SUBSCRIBE,
        7,
        SubscribeReply(3, EPOCH, 9, [encode_raw(SETTLED), encode_raw(HELD_UP)], recovered=False),
    ),
    ("unsubscribe.reply", R.UNSUBSCRIBE, 8, Empty()),
    ("trust.get.reply", R.TRUST_GET, 9, [TRUST, NOT_LISTED]),
    (
        "service.reply",
        R.SERVICE,
        17,
        LoginReply("5c1d", b"", 0, 1_790_000_900_000, None, ["service", "trust"]),
    ),
    ("verify.reply", R.VERIFY, 18, [Verdict(True, TRUST), Verdict(False, NOT_LISTED)]),
    ("decision.get.reply", R.DECISION_GET, 15, DecisionReply(SIGNATURE + b"\x9c")),
    ("quote.open.reply", R.QUOTE_OPEN, 10, QuoteOpenReply(4)),
    ("quote.close.reply", R.QUOTE_CLOSE, 128, Empty()),
    ("pay.prepare.reply", R.PAY_PREPARE, 255, PrepareReply(UNSIGNED, 1_000_123, QUOTE_ID, 0)),
    ("pay.reply", R.PAY, 11, PayReply(PAYMENT_ID, PaymentState.ACCEPTED, 0)),
    ("payment.get.reply", R.PAYMENT_GET, 12, SETTLED),
    (
        "ping.reply",
        R.PING,
        13,
        PingReply(1_790_000_000_001, 1_790_000_000_002, [Head(1, EPOCH, 41)], backbone_ok=True),
    ),
    ("trust.set.reply", R.TRUST_SET, 14, TrustSetReply(42, TrustChangeState.PENDING)),
    (
        "sessions.list.reply",
        R.SESSIONS_LIST,
        17,
        SessionsListReply([ListedSession("5f" * 16, OTHER, 61_250, 4_096, 3, 1)], "5f" * 16),
    ),
    ("drain.reply", R.DRAIN, 18, Empty()),
    ("keys.list.reply", R.KEYS_LIST, 17, KeysListReply([GRANTED_KEY, GRANTED_TO_SPEND])),
    ("keys.list.reply.none", R.KEYS_LIST, 17, KeysListReply([])),
    (
        "spend.get.reply",
        R.SPEND_GET,
        20,
        SpendGetReply(1_000, 1_790_003_600_000, 250, 750, 100, 1_000_123),
    ),
    ("keys.revoke.reply", R.KEYS_REVOKE, 18, KeysRevokeReply(1)),
]
P = PushType
PUSH_SAMPLES: Final[list[tuple[str, PushType, int, int, Any]]] = [
    ("challenge.push", P.CHALLENGE, 0, 0, CHALLENGE),
    (
        "trust.changed.push",
        P.TRUST_CHANGED,
        1,
        42,
        TrustChanged(
            PAYER,
            TrustStatus.BLOCKED,
            0,
            3,
            Initiator.ADMIN,
            1_790_000_000_500,
            1_790_000_005_500,
            pending=True,
        ),
    ),
    (
        "checkpoint.push",
        P.CHECKPOINT,
        0,
        0,
        Checkpoint([Head(1, EPOCH, 42), Head(2, EPOCH, 0)], 1_790_000_001_000, backbone_ok=False),
    ),
    ("gap.push", P.GAP, 1, 0, Gap(1, 43, 99, GapCause.EPOCH)),
    ("goaway.push", P.GOAWAY, 0, 0, Goaway(0, 3_000, GoawayCause.DRAINING, resume_ok=False)),
    ("quote.push", P.QUOTE, 4, 0, QUOTE),
    (
        "quote.push.no_route",
        P.QUOTE,
        4,
        0,
        Quote(QUOTE_ID, 1, None, [], 0, 0, 0, False, False, SIGNATURE),
    ),
    ("payment.status.push", P.PAYMENT_STATUS, 3, 10, SETTLED),
    ("payment.status.push.detail", P.PAYMENT_STATUS, 3, 9, HELD_UP),
    (
        "pay.resign.push",
        P.PAY_RESIGN,
        3,
        11,
        PayResign(PAYMENT_ID, ResignReason.TICK_EMPTY, 1_790_000_600_000),
    ),
]


def plain(value: object) -> object:
    """Turn what msgpack reads into JSON: bytes and maps are marked."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {"map": value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def named(value: object) -> object:
    """Turn a body into named fields; byte strings are plain hex."""
    if isinstance(value, Struct):
        return {field: named(part) for field, part in structs.asdict(value).items()}
    if isinstance(value, Raw):
        return plain(msgpack.decode(value))
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [named(item) for item in value]
    return value


def entry(name: str, kind: str, frame: bytes, body: object) -> dict[str, object]:
    """Describe one frame."""
    return {
        "name": name,
        "kind": kind,
        "hex": frame.hex(),
        "frame": plain(msgpack.decode(frame)),
        "text": encode_json(frame).decode(),
        "fields": named(body),
    }


def messages() -> Iterator[dict[str, object]]:
    """Make the entry of every message."""
    for name, request, identifier, body in REQUEST_SAMPLES:
        yield entry(name, "request", encode_request_frame(request, identifier, body), body)
    for name, request, identifier, body in REPLY_SAMPLES:
        yield entry(name, "reply", encode_reply(request, identifier, body), body)
    for name, push, sub, offset, body in PUSH_SAMPLES:
        yield entry(name, "push", encode_push(push, sub, offset, body), body)
    for code in ErrorCode:
        error = RequestError(code, code.advice)
        yield error_entry(f"error.{code.wire_name}", error)
    full = RequestError(ErrorCode.FEE_ABOVE_MAX, "", retry_after_ms=250, fields={"fee_qu": 12})
    yield error_entry("error.fee_above_max.fields", full)
    yield error_entry("error.internal.bare", RequestError(ErrorCode.INTERNAL))


def error_entry(name: str, error: RequestError) -> dict[str, object]:
    """Describe an error reply."""
    fields = {
        "code": int(error.code),
        "retry_after_ms": error.retry_after_ms,
        "detail": error.detail,
    }
    return entry(name, "error", encode_error(9, error), fields)


def tolerated() -> list[dict[str, object]]:
    """Make frames of a later version that today's clients must take."""
    grown = msgpack.encode([0x81, 0, 0, ["a push type of tomorrow"]])
    base = msgpack.decode(encode_push(P.GOAWAY, 0, 0, PUSH_SAMPLES[4][4]))
    base[3].append("a field of tomorrow")
    base.append("an element of tomorrow")
    return [
        {"name": "unknown push", "hex": grown.hex(), "same_as": None},
        {"name": "grown push", "hex": msgpack.encode(base).hex(), "same_as": "goaway.push"},
    ]


def document() -> str:
    """Return the file's text."""
    content = {
        "protocol_version": 1,
        "about": "Made by scripts/generate_vectors.py; there stands how to read it.",
        "messages": list(messages()),
        "tolerated": tolerated(),
    }
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, {PATH: document}))
