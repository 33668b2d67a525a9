"""Every message of the session protocol, version 1: one table of types, one Struct a body.

Bodies are msgpack arrays with fixed positions; a reader ignores trailing elements, so a body can
grow at its end and nowhere else. Identities are 32-byte public keys. Amounts are QU. A name that
ends in ``_ms`` is epoch milliseconds for issued, expires, server, event, use_until, deadline and
session_exp, and a duration otherwise.
"""

from enum import IntEnum
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

INTEGER_MAX: Final = 2**53 - 1
"""The greatest integer on the wire: JavaScript reads it exactly."""
AMOUNT_QU_MAX: Final = 200_000_000_000_000

REPLY_BIT: Final = 0x40
ERROR_REPLY: Final = 0x7F
REQUEST_TYPE_MAX: Final = 0x3E
PUSH_TYPE_MIN: Final = 0x80
PUSH_TYPE_MAX: Final = 0xBF

Uint = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Uint8 = Annotated[int, Meta(ge=0, le=255)]
Uint32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
RequestId = Annotated[int, Meta(ge=1, le=2**32 - 1)]
AmountQu = Annotated[int, Meta(ge=1, le=AMOUNT_QU_MAX)]
FeeQu = Annotated[int, Meta(ge=0, le=AMOUNT_QU_MAX)]
Score = Annotated[int, Meta(ge=0, le=100)]
JSON_FORM: Final = "json"
"""Names, in a type's annotation, how the JSON subprotocol shows it, where it shows no base64url."""
JSON_IDENTITY: Final = "identity"
"""As the 60 letters of an identity. Else: the types of which an embedded body may be."""

WalletKey = Annotated[bytes, Meta(min_length=32, max_length=32, extra={JSON_FORM: JSON_IDENTITY})]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""An Ed25519 key."""
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
ResumeToken = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Epoch8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
ShortText = Annotated[str, Meta(max_length=256)]
ResourceText = Annotated[str, Meta(max_length=256)]
Detail = Annotated[dict[str, Uint | str], Meta(max_length=32)]
"""Named facts for people and programs, such as limits or the values behind an error."""
DecisionBytes = Annotated[bytes, Meta(min_length=65, max_length=255)]
TransactionBytes = Annotated[bytes, Meta(min_length=80, max_length=80 + 1024 + 64)]


class RequestType(IntEnum):
    """First element of a request; its reply carries it with bit 0x40 set."""

    CHALLENGE = 0x01
    LOGIN = 0x02
    RESUME = 0x03
    LOGOUT = 0x04
    REFRESH = 0x05
    SERVICE = 0x06
    SUBSCRIBE = 0x10
    UNSUBSCRIBE = 0x11
    TRUST_GET = 0x12
    VERIFY = 0x13
    DECISION_GET = 0x14
    QUOTE_OPEN = 0x20
    QUOTE_CLOSE = 0x21
    PAY = 0x22
    PAYMENT_GET = 0x23
    PAY_PREPARE = 0x24
    SPEND_GET = 0x25
    PING = 0x30
    ACK = 0x31
    TRUST_SET = 0x38
    KEYS_LIST = 0x39
    KEYS_REVOKE = 0x3A
    SESSIONS_LIST = 0x3B
    DRAIN = 0x3C


class PushType(IntEnum):
    """First element of a push."""

    CHALLENGE = 0x80
    TRUST_CHANGED = 0x90
    CHECKPOINT = 0x91
    GAP = 0x92
    GOAWAY = 0x9F
    QUOTE = 0xA0
    PAYMENT_STATUS = 0xA1
    PAY_RESIGN = 0xA2


class TrustStatus(IntEnum):
    """What is known of a wallet."""

    UNKNOWN = 0
    ACTIVE = 1
    BLOCKED = 2


class TrustReason(IntEnum):
    """Why a status stands. A chain record's own reason is a u16; the hub's lie above it."""

    NONE = 0
    NOT_LISTED = 0x1_0000
    """UNKNOWN: a source answered that it does not list the wallet."""
    UNAVAILABLE = 0x1_0001
    """UNKNOWN: no source answered."""
    BLOCKED_BY_APP = 0x1_0002
    """BLOCKED: not by the shared records, but by the app that the session belongs to."""


class TrustTier(IntEnum):
    """Where an answer came from."""

    NONE = 0
    L1 = 1
    L2 = 2
    L3 = 3


class Initiator(IntEnum):
    """Who caused a trust change."""

    SYSTEM = 0
    ADMIN = 1
    CHAIN = 2


class TrustChangeState(IntEnum):
    """How far an admin's change has come."""

    PENDING = 0
    ON_CHAIN = 1
    WITHDRAWN = 2


class Scheme(IntEnum):
    """How a login was signed."""

    WC = 1
    K12 = 2
    RAW = 3
    KEY = 4


class Priority(IntEnum):
    """What an intent wants most."""

    SPEED = 0
    COST = 1
    PRIVACY = 2
    RELIABILITY = 3


class DeadlineOf(IntEnum):
    """What an intent's timeout_ms limits."""

    ACCEPTED = 0
    SETTLED = 1


class PaymentState(IntEnum):
    """How far a payment has come. The one table of states that clients see."""

    ACCEPTED = 0
    BROADCAST = 1
    INCLUDED = 2
    SETTLED = 3
    NOT_MOVED = 4
    MISSED = 5
    REJECTED = 6
    EXPIRED = 7
    UNKNOWN = 8

    @property
    def terminal(self) -> bool:
        """Whether nothing can follow."""
        return self in _TERMINAL


_TERMINAL: Final = frozenset(
    {PaymentState.SETTLED, PaymentState.NOT_MOVED, PaymentState.REJECTED, PaymentState.EXPIRED}
)


class PaymentLevel(IntEnum):
    """Who stands for an accepted payment before the chain does."""

    NONE = 0
    GUARANTEED = 1
    CHANNEL = 2


class PrepareKind(IntEnum):
    """What a pay.prepare starts from."""

    QUOTE = 1
    INTENT = 2
    AGAIN = 3


class ResignReason(IntEnum):
    """Why a payment wants a new signature."""

    TICK_WITHOUT_IT = 0
    TICK_EMPTY = 1


class GapCause(IntEnum):
    """Why a stream has a hole before its next snapshot."""

    QUEUE = 0
    EPOCH = 1
    TRIMMED = 2


class ResumeOutcome(IntEnum):
    """What becomes of one subscription of a resumed session."""

    CAUGHT_UP = 0
    """Nothing was missed."""
    REPLAYING = 1
    """What was missed follows."""
    GAP = 2
    """What was missed can't be had: a gap and then a snapshot follow."""


class GoawayCause(IntEnum):
    """Why the hub asks a client to connect elsewhere."""

    DRAINING = 0


class Body(Struct, array_like=True, frozen=True, gc=False):
    """A body: an array with fixed positions."""


# Shapes that bodies share -------------------------------------------------------------------


class Trust(Body, frozen=True):
    """What is known of one wallet, from where, how old, and until when it may be used."""

    status: TrustStatus
    score: Score
    seq: Uint
    reason: Uint
    tier: TrustTier
    age_ms: Uint
    use_until_ms: Uint


class WalletTrust(Body, frozen=True):
    """One wallet's entry in a snapshot."""

    wallet: WalletKey
    trust: Trust


class Position(Body, frozen=True):
    """A place in a stream: offset and epoch are one value."""

    epoch: Epoch8
    offset: Uint


class Head(Body, frozen=True):
    """The newest position of one subscription."""

    sub: Uint32
    epoch: Epoch8
    head: Uint


class Intent(Body, frozen=True):
    """A wish to pay, in its final shape."""

    source: WalletKey
    destination: WalletKey
    amount_qu: AmountQu
    priority: Priority
    max_fee_qu: FeeQu
    timeout_ms: Annotated[int, Meta(ge=1, le=600_000)]
    deadline_of: DeadlineOf = DeadlineOf.ACCEPTED
    min_reliability_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    exclude: Annotated[list[ShortText], Meta(max_length=64)] = []
    max_hops: Annotated[int, Meta(ge=1, le=16)] | None = None


class Route(Body, frozen=True):
    """A way for a payment: its hops run from the payer to the payee."""

    route_id: ShortText
    kind: ShortText
    hops: Annotated[list[WalletKey], Meta(max_length=18)]


class Alternative(Body, frozen=True):
    """A route that was not chosen, with what it would cost."""

    route: Route
    fee_qu: FeeQu
    est_ms: Uint
    executable: bool


# Requests and their replies -----------------------------------------------------------------


class ChallengeRequest(Body, frozen=True):
    """Ask for a challenge to sign, with the time that the signing may take."""

    ttl_ms: Annotated[int, Meta(ge=1_000, le=300_000)]


class Challenge(Body, frozen=True):
    """What the login text is built from; also the hub's limits and its clock."""

    nonce: ShortText
    issued_ms: Uint
    expires_ms: Uint
    domain: ShortText
    uri: ShortText
    chain: ShortText
    request_id: ShortText
    server_ms: Uint
    limits: Detail
    hub_epoch: Epoch8


class LoginRequest(Body, frozen=True):
    """Proof that a wallet signed the login text of the current challenge."""

    scheme: Scheme
    wallet: WalletKey
    signature: Signature
    resources: Annotated[list[ResourceText], Meta(max_length=8)]


class LoginReply(Body, frozen=True):
    """An open session. An empty resume_token with ttl 0 means that this hub can't resume it."""

    sid: ShortText
    resume_token: Annotated[bytes, Meta(max_length=32)]
    resume_ttl_ms: Uint
    session_exp_ms: Uint
    trust: Trust | None
    scopes: Annotated[list[ShortText], Meta(max_length=16)]


class ResumeSub(Body, frozen=True):
    """A subscription as the client knows it: its number, its channel, up to where it has read."""

    sub: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    channel: ShortText
    epoch: Epoch8
    offset: Uint
    wallets: Annotated[list[WalletKey], Meta(max_length=256)] | None = None
    """Of channel trust."""


class ResumeRequest(Body, frozen=True):
    """Take a session up again: its token, and the session key's signature for this connection."""

    token: ResumeToken
    proof: Signature
    subs: Annotated[list[ResumeSub], Meta(max_length=64)]


class ResumedSub(Body, frozen=True):
    """What becomes of a subscription. One that isn't listed must be subscribed to anew."""

    sub: Uint32
    outcome: ResumeOutcome
    epoch: Epoch8
    head: Uint


class ResumeReply(Body, frozen=True):
    """The session goes on; the old token is used up."""

    sid: ShortText
    resume_token: ResumeToken
    trust: Trust | None
    subs: Annotated[list[ResumedSub], Meta(max_length=64)]


class ServiceRequest(Body, frozen=True):
    """Log a backend in, by an API key of its app; the reply is a login's, without trust."""

    api_key: Annotated[str, Meta(min_length=1, max_length=128)]


class LogoutRequest(Body, frozen=True):
    """End this session, or all of this wallet's."""

    everywhere: bool


class Empty(Body, frozen=True):
    """A reply that says only that it was done."""


class SubscribeRequest(Body, frozen=True):
    """Ask for a channel from a position, or from now with a snapshot."""

    channel: ShortText
    position: Position | None = None
    wallets: Annotated[list[WalletKey], Meta(max_length=256)] | None = None


class PaymentStatus(Body, frozen=True):
    """Where a payment stands; state_seq grows by one with each change of it."""

    payment_id: Bytes16
    state_seq: Uint
    state: PaymentState
    tick: Uint32
    txid: Digest
    level: PaymentLevel
    detail: Detail | None = None


SnapshotItem = Annotated[Raw, Meta(extra={JSON_FORM: (WalletTrust, PaymentStatus)})]


class SubscribeReply(Body, frozen=True):
    """The subscription, its head, and the state at that head where the channel has one."""

    sub: Uint32
    epoch: Epoch8
    head: Uint
    snapshot: list[SnapshotItem] | None
    """WalletTrust entries on trust channels, PaymentStatus entries on pay channels."""
    recovered: bool


class UnsubscribeRequest(Body, frozen=True):
    """End a subscription."""

    sub: Uint32


TrustGetWallets = Annotated[list[WalletKey], Meta(min_length=1, max_length=64)]
"""The body of trust.get is the list of wallets itself."""


class SignedText(Body, frozen=True):
    """A text that a wallet is said to have signed under one of the wallets' schemes."""

    wallet: WalletKey
    scheme: Scheme
    message: Annotated[bytes, Meta(max_length=8_192)]
    signature: Signature


VerifyTexts = Annotated[list[SignedText], Meta(min_length=1, max_length=64)]
"""The body of verify is the list of texts itself."""


class Verdict(Body, frozen=True):
    """Whether that wallet signed that text, and what is known of the wallet."""

    valid: bool
    trust: Trust


class DecisionRequest(Body, frozen=True):
    """Sign what is known of this session's wallet, for *audience*, in answer to *nonce* if any."""

    audience: ShortText
    nonce: ShortText | None = None


class DecisionReply(Body, frozen=True):
    """A signed decision; it names the session's key, if the login had one."""

    decision: DecisionBytes


class QuoteOpenRequest(Body, frozen=True):
    """Ask for a stream of quotes."""

    intent: Intent


class QuoteOpenReply(Body, frozen=True):
    """The subscription on which the quotes come."""

    sub: Uint32


class QuoteCloseRequest(Body, frozen=True):
    """End a quote stream."""

    sub: Uint32


class PrepareRequest(Body, frozen=True):
    """Ask for the unsigned transaction of a quote, an intent, or a further attempt."""

    kind: PrepareKind
    quote_id: Bytes16 | None
    of: Intent | Bytes16 | None
    sign_within_ms: Annotated[int, Meta(ge=0, le=300_000)]


class PrepareReply(Body, frozen=True):
    """What to check and then sign: the transaction without its signature."""

    unsigned_tx: TransactionBytes
    tick: Uint32
    quote_id: Bytes16
    attempt: Uint8


class PayRequest(Body, frozen=True):
    """Hand over a signed transaction. The idempotency key is the client's."""

    idem: Bytes16
    quote_id: Bytes16
    signed_tx: TransactionBytes
    attempt: Uint8


class PayReply(Body, frozen=True):
    """The payment, durable from now on."""

    payment_id: Bytes16
    state: PaymentState
    attempt: Uint8


class PaymentGetRequest(Body, frozen=True):
    """Ask where a payment stands."""

    payment_id: Bytes16


class SpendTerms(Body, frozen=True):
    """A wallet that a key may spend from: up to so much in all, and until when."""

    wallet: WalletKey
    max_qu: AmountQu
    until_ms: Uint


class GrantedKey(Body, frozen=True):
    """An Ed25519 key that may log in for the wallet. *domain* is the app's."""

    key: Key
    scopes: Annotated[list[ShortText], Meta(max_length=16)]
    until_ms: Uint
    domain: ShortText
    created_ms: Uint
    last_used_ms: Uint
    spends: Annotated[list[SpendTerms], Meta(max_length=8)]


class KeysListRequest(Body, frozen=True):
    """Ask which keys may log in for this session's wallet."""


class KeysListReply(Body, frozen=True):
    """The living grants, the oldest first; to a session that a key opened, its own only."""

    keys: Annotated[list[GrantedKey], Meta(max_length=64)]


class KeysRevokeRequest(Body, frozen=True):
    """Let a key log in no more, or, without one, none: their sessions end on every hub."""

    key: Key | None = None


class KeysRevokeReply(Body, frozen=True):
    """How many grants that ended."""

    revoked: Uint


class SpendGetRequest(Body, frozen=True):
    """Ask what may still be spent from a wallet that this session's key may spend from."""

    wallet: WalletKey


class SpendGetReply(Body, frozen=True):
    """The terms that were signed, what was spent of them, and what the wallet holds.

    *spent_qu* counts what was accepted and did not turn out dead; *held_qu* is kept for what is
    under way, out of *balance_qu*, which is as of *tick*.
    """

    max_qu: AmountQu
    until_ms: Uint
    spent_qu: Uint
    balance_qu: Uint
    held_qu: Uint
    tick: Uint32


class PingRequest(Body, frozen=True):
    """Ask for a sign of life."""

    client_ms: Uint


class AckRequest(Body, frozen=True):
    """Everything of a subscription up to *offset* has been dealt with. It gets no reply."""

    sub: Uint32
    offset: Uint


class PingReply(Body, frozen=True):
    """The hub's clock, heads and health."""

    client_ms: Uint
    server_ms: Uint
    heads: list[Head]
    backbone_ok: bool


class TrustSetRequest(Body, frozen=True):
    """An administrator's signed transaction to the TurboAuth contract."""

    signed_tx: TransactionBytes


class TrustSetReply(Body, frozen=True):
    """Its place in the log (0 when it only takes effect on chain) and its state."""

    log_seq: Uint
    state: TrustChangeState


class SessionsListRequest(Body, frozen=True):
    """Ask for sessions of the process that answers, in the order of their ids."""

    after: ShortText
    """The id that the page follows; empty for the first."""
    limit: Annotated[int, Meta(ge=1, le=128)]


class ListedSession(Body, frozen=True):
    """A session as an administrator sees it; the wallet of a backend is 32 zero bytes."""

    sid: ShortText
    wallet: WalletKey
    age_ms: Uint
    queued_bytes: Uint
    subscriptions: Uint
    quotes: Uint


class SessionsListReply(Body, frozen=True):
    """A page of sessions; after is None with the last."""

    sessions: Annotated[list[ListedSession], Meta(max_length=128)]
    after: ShortText | None


# Pushes -------------------------------------------------------------------------------------


class TrustChanged(Body, frozen=True):
    """A wallet's trust changed; the push's offset is the log's sequence."""

    wallet: WalletKey
    status: TrustStatus
    score: Score
    reason: Uint
    initiator: Initiator
    event_ms: Uint
    use_until_ms: Uint
    pending: bool


class Checkpoint(Body, frozen=True):
    """Nothing at or below these heads remains unsent."""

    heads: list[Head]
    server_ms: Uint
    backbone_ok: bool


class Gap(Body, frozen=True):
    """Positions that can't be had; a snapshot follows."""

    sub: Uint32
    first: Uint
    last: Uint
    cause: GapCause


class Goaway(Body, frozen=True):
    """Connect elsewhere after a uniform pause in this range."""

    min_ms: Uint
    max_ms: Uint
    cause: GoawayCause
    resume_ok: bool


class Quote(Body, frozen=True):
    """The best route now; replaces the quote before it. No route: None, not executable."""

    quote_id: Bytes16
    graph_version: Uint
    route: Route | None
    alternatives: Annotated[list[Alternative], Meta(max_length=16)]
    fee_qu: FeeQu
    est_ms: Uint
    valid_until_tick: Uint32
    executable: bool
    partial: bool
    hub_signature: Signature | None


class PayResign(Body, frozen=True):
    """The last attempt is proven dead: prepare and sign again before the deadline."""

    payment_id: Bytes16
    reason: ResignReason
    deadline_ms: Uint


class ErrorBody(Body, frozen=True):
    """Why a request was refused."""

    code: Uint
    retry_after_ms: Uint | None = None
    detail: Detail | None = None


# Rule: what a hub serves stands in this table; every other type is answered 104.
REQUESTS: Final[dict[RequestType, tuple[Any, Any]]] = {
    RequestType.CHALLENGE: (ChallengeRequest, Challenge),
    RequestType.LOGIN: (LoginRequest, LoginReply),
    RequestType.RESUME: (ResumeRequest, ResumeReply),
    RequestType.LOGOUT: (LogoutRequest, Empty),
    RequestType.REFRESH: (LoginRequest, LoginReply),
    RequestType.SERVICE: (ServiceRequest, LoginReply),
    RequestType.SUBSCRIBE: (SubscribeRequest, SubscribeReply),
    RequestType.UNSUBSCRIBE: (UnsubscribeRequest, Empty),
    RequestType.TRUST_GET: (TrustGetWallets, list[Trust]),
    RequestType.VERIFY: (VerifyTexts, list[Verdict]),
    RequestType.DECISION_GET: (DecisionRequest, DecisionReply),
    RequestType.QUOTE_OPEN: (QuoteOpenRequest, QuoteOpenReply),
    RequestType.QUOTE_CLOSE: (QuoteCloseRequest, Empty),
    RequestType.PAY_PREPARE: (PrepareRequest, PrepareReply),
    RequestType.PAY: (PayRequest, PayReply),
    RequestType.PAYMENT_GET: (PaymentGetRequest, PaymentStatus),
    RequestType.SPEND_GET: (SpendGetRequest, SpendGetReply),
    RequestType.PING: (PingRequest, PingReply),
    RequestType.ACK: (AckRequest, Empty),
    RequestType.TRUST_SET: (TrustSetRequest, TrustSetReply),
    RequestType.SESSIONS_LIST: (SessionsListRequest, SessionsListReply),
    RequestType.DRAIN: (Empty, Empty),
    RequestType.KEYS_LIST: (KeysListRequest, KeysListReply),
    RequestType.KEYS_REVOKE: (KeysRevokeRequest, KeysRevokeReply),
}
"""Request type -> (body of the request, body of its reply). An ack's is never sent."""

PUSHES: Final[dict[PushType, type[Body]]] = {
    PushType.CHALLENGE: Challenge,
    PushType.TRUST_CHANGED: TrustChanged,
    PushType.CHECKPOINT: Checkpoint,
    PushType.GAP: Gap,
    PushType.GOAWAY: Goaway,
    PushType.QUOTE: Quote,
    PushType.PAYMENT_STATUS: PaymentStatus,
    PushType.PAY_RESIGN: PayResign,
}
