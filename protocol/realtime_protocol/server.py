"""The hub's end of one session, without I/O.

Give each message to :meth:`ServerSession.receive` and act on the event that comes back. A request
that was taken gets exactly one answer: :meth:`answer` or :meth:`refuse`, and for a login or a
resume :meth:`login_proven` or :meth:`login_refused`. After each call look at :attr:`closing`: when
it is set, send what was returned and close the connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Protocol

from realtime_protocol import codec
from realtime_protocol.codec import (
    Request,
    decode_whole_request,
    encode,
    encode_error,
    encode_push,
)
from realtime_protocol.codec import RequestSent as RequestSent
from realtime_protocol.codes import CloseCode, ErrorCode, close_reason
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError, RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits, TokenBucket
from realtime_protocol.messages import (
    REPLY_BIT,
    REQUESTS,
    Challenge,
    LoginRequest,
    PushType,
    RequestType,
    ResumeRequest,
    Scheme,
)

MESSAGE_TOO_BIG: Final = 1009
"""RFC 6455's close code for a message above the limit."""

BUSY_RETRY_MS: Final = 100


class SessionState(Enum):
    """How far a session has come."""

    NEW = "new"
    LOGIN = "login"
    CHECKING = "checking"
    OPEN = "open"
    REFRESHING = "refreshing"
    CLOSED = "closed"


_OPEN: Final = SessionState.OPEN

# Rule: every move of a session is in this table; "closed" may follow any state.
MOVES: Final[Mapping[tuple[SessionState, str], SessionState]] = {
    (SessionState.NEW, "challenged"): SessionState.LOGIN,
    (SessionState.LOGIN, "challenged"): SessionState.LOGIN,
    (SessionState.LOGIN, "login_sent"): SessionState.CHECKING,
    (SessionState.CHECKING, "login_proven"): SessionState.OPEN,
    (SessionState.CHECKING, "login_refused"): SessionState.LOGIN,
    (SessionState.OPEN, "challenged"): SessionState.OPEN,
    (SessionState.OPEN, "login_sent"): SessionState.REFRESHING,
    (SessionState.REFRESHING, "login_proven"): SessionState.OPEN,
    (SessionState.REFRESHING, "login_refused"): SessionState.OPEN,
}

_OPENING: Final = frozenset({RequestType.LOGIN, RequestType.RESUME, RequestType.SERVICE})
BEFORE_LOGIN: Final = frozenset({RequestType.CHALLENGE, *_OPENING})
_PROOFS: Final = frozenset({*_OPENING, RequestType.REFRESH})

# Rule: the scope that a request needs. Subscribing needs that of its channel.
SCOPE_OF: Final[Mapping[RequestType, str]] = {
    RequestType.TRUST_GET: "trust",
    RequestType.VERIFY: "service",
    RequestType.DECISION_GET: "trust",
    RequestType.QUOTE_OPEN: "quote",
    RequestType.QUOTE_CLOSE: "quote",
    RequestType.PAY_PREPARE: "pay",
    RequestType.PAY: "pay",
    RequestType.PAYMENT_GET: "pay",
    RequestType.SPEND_GET: "pay",
    RequestType.TRUST_SET: "admin",
    RequestType.SESSIONS_LIST: "admin",
    RequestType.DRAIN: "admin",
}

_OF_LOGINS: Final = frozenset({RequestType.CHALLENGE, *_PROOFS})
_SERVED: Final[Mapping[int, RequestType]] = {int(kind): kind for kind in REQUESTS}
_SCHEMES: Final = frozenset(int(scheme) for scheme in Scheme)

# Refusals that say nothing about the login itself; they use the challenge up, but no try.
_NOT_THE_LOGINS_FAULT: Final = frozenset(code for code in ErrorCode if code.retryable)


@dataclass(frozen=True, slots=True)
class ChallengeWanted:
    """Issue a challenge and hand it to :meth:`ServerSession.answer_challenge`."""

    id: int
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class LoginSent:
    """Check the proof over *challenge*, which nothing can use again."""

    id: int
    challenge: Challenge
    proof: LoginRequest
    refresh: bool


@dataclass(frozen=True, slots=True)
class ResumeSent:
    """Check a resume whose proof is made for *challenge*, which nothing can use again."""

    id: int
    challenge: Challenge
    body: ResumeRequest


@dataclass(frozen=True, slots=True)
class ServiceSent:
    """Check the API key of a backend."""

    id: int
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The request was refused here: send *frame*."""

    frame: bytes
    kind: int
    code: ErrorCode


@dataclass(frozen=True, slots=True)
class Closing:
    """Close the connection with this code and reason."""

    code: int
    reason: str


Event = (
    ChallengeWanted | LoginSent | ResumeSent | ServiceSent | RequestSent[Any] | Refused | Closing
)


class RequestReader(Protocol):
    """Reads requests in the form in which they come: `codec`, or another with its functions."""

    def decode_request(self, frame: bytes) -> Request:
        """Read a request's envelope; RemoteProtocolError (4500) when it can't be read."""
        ...

    def decode_request_body(self, request: Request) -> Any:
        """Read a request's body; RequestError 104 for an unknown type, 103 for a bad body."""
        ...

    def decode_login_scheme(self, request: Request) -> int | None:
        """Read only the scheme of a login; None when there is none."""
        ...


class ServerSession:
    """One connection's session: login, scopes, rates, requests in flight. Time is given in.

    *_s is monotonic, *_ms epoch time. What it returns to be sent is msgpack, whatever *reader*
    reads.
    """

    __slots__ = (
        "_bucket",
        "_challenge",
        "_challenges_before_login",
        "_in_flight",
        "_limits",
        "_logins_failed",
        "_reader",
        "_weights",
        "closing",
        "deadline_s",
        "scopes",
        "state",
        "wallet",
    )

    def __init__(self, limits: Limits, *, now_s: float, reader: RequestReader = codec) -> None:
        self.state = SessionState.NEW
        self.wallet: PublicKey | None = None
        self.scopes: frozenset[str] = frozenset()
        self.closing: Closing | None = None
        self.deadline_s: float | None = None
        """When the login must have come, or the session ends."""
        self._limits = limits
        self._reader = reader
        self._bucket = TokenBucket(limits.requests_per_s, limits.requests_burst, now_s=now_s)
        self._challenge: Challenge | None = None
        self._challenges_before_login = 0
        self._logins_failed = 0
        self._in_flight: dict[int, RequestType] = {}
        self._weights: Mapping[RequestType, int] = {}
        """What an open session may ask for, beside what belongs to logins, and what it weighs."""

    @property
    def logged_in(self) -> bool:
        """Whether a login was proven and the session goes on."""
        return self.state in (SessionState.OPEN, SessionState.REFRESHING)

    @property
    def frame_bytes_max(self) -> int:
        """The longest message that is read now."""
        limits = self._limits
        return limits.frame_bytes_max if self.logged_in else limits.frame_before_login_bytes_max

    def open(self, challenge: Challenge, *, now_s: float) -> bytes:
        """Take the first challenge and return the frame that must be the first on the wire."""
        self._issue(challenge, self._limits.first_challenge_ttl_ms, now_s)
        return encode_push(PushType.CHALLENGE, 0, 0, challenge)

    def receive(self, frame: bytes, now_s: float, now_ms: int) -> Event:
        """Take one message from the client."""
        if self.state is _OPEN:
            # Nearly all messages pass every check: this is the short way through the same checks.
            # Whatever doesn't pass changes nothing here and is looked at again with care. No text
            # passes: its first byte is no msgpack array.
            request = decode_whole_request(frame)
            if request is not None and len(frame) <= self._limits.frame_bytes_max:
                in_flight, kind = self._in_flight, request.kind
                weight = self._weights.get(kind)
                if (
                    weight is not None
                    and (
                        not in_flight
                        or (
                            request.id not in in_flight
                            and len(in_flight) < self._limits.in_flight_max
                        )
                    )
                    and not self._bucket.take(weight, now_s)
                ):
                    in_flight[request.id] = kind
                    return request
        return self._take_any(frame, now_s, now_ms)

    def take_at_once(
        self, kind: RequestType, request_ids: Sequence[int], now_s: float, *, frame_bytes: int
    ) -> bool:
        """Let requests through that are answered one by one before anything else comes.

        All or none; none is longer than *frame_bytes*. They are never in flight, so there is
        nothing to answer here; whoever can't answer after all gives them back with
        :meth:`give_back` and receives them one by one.
        """
        weight = self._weights.get(kind)
        if weight is None or self.state is not _OPEN:
            return False
        limits, in_flight = self._limits, self._in_flight
        if frame_bytes > limits.frame_bytes_max:
            return False
        if in_flight and (
            len(in_flight) >= limits.in_flight_max or not in_flight.keys().isdisjoint(request_ids)
        ):
            return False
        return not self._bucket.take(weight * len(request_ids), now_s)

    def give_back(self, kind: RequestType, number: int) -> None:
        """Undo `take_at_once`."""
        self._bucket.give_back(self._weights[kind] * number)

    def receive_misframed(self) -> Closing:
        """Take a frame that the subprotocol does not know: text on msgpack, binary on JSON."""
        return self._fail(CloseCode.PROTOCOL_ERROR)

    def _take_any(self, frame: bytes, now_s: float, now_ms: int) -> Event:
        if self.state is SessionState.CLOSED:
            raise LocalProtocolError("a closed session was given a message")
        if len(frame) > self.frame_bytes_max:
            self.closing = Closing(MESSAGE_TOO_BIG, f"at most {self.frame_bytes_max} bytes")
            return self.closing
        try:
            request = self._reader.decode_request(frame)
        except RemoteProtocolError as error:
            return self._fail(error.close_code)
        if request.id in self._in_flight:
            # An answer to this id could be taken for the other request's.
            return self._fail(CloseCode.PROTOCOL_ERROR)
        try:
            return self._take(request, now_s, now_ms)
        except RequestError as error:
            return Refused(encode_error(request.id, error), request.type, error.code)

    def answer(self, request_id: int, body: object) -> bytes:
        """Return the reply frame to a request in flight."""
        kind = self._in_flight.pop(request_id, None)
        if kind is None:
            raise _not_in_flight(request_id)
        return encode([kind | REPLY_BIT, request_id, body])

    def refuse(self, request_id: int, error: RequestError) -> bytes:
        """Return the error frame to a request in flight."""
        if self._in_flight.pop(request_id, None) is None:
            raise _not_in_flight(request_id)
        return encode_error(request_id, error)

    def settle(self, request_id: int) -> None:
        """Note that a request in flight is done and gets no reply: an ack."""
        if self._in_flight.pop(request_id, None) is None:
            raise _not_in_flight(request_id)

    def answer_challenge(
        self, request_id: int, challenge: Challenge, *, ttl_ms: int, now_s: float
    ) -> bytes:
        """Take a further challenge, which replaces the one before it, and return the reply."""
        frame = self.answer(request_id, challenge)
        self._issue(challenge, ttl_ms, now_s)
        return frame

    def login_proven(
        self,
        request_id: int,
        body: object,
        *,
        wallet: PublicKey,
        scopes: frozenset[str],
        expires_s: float,
    ) -> bytes:
        """Open the session, or prolong it, and return the reply."""
        self.wallet = wallet
        return self._open(request_id, body, scopes, expires_s)

    def service_proven(
        self,
        request_id: int,
        body: object,
        *,
        scopes: frozenset[str],
        expires_s: float,
        rate: TokenBucket,
    ) -> bytes:
        """Open the session of a backend, which has no wallet, and return the reply.

        *rate* is its API key's, for all sessions with that key together.
        """
        self._bucket = rate
        return self._open(request_id, body, scopes, expires_s)

    def _open(
        self, request_id: int, body: object, scopes: frozenset[str], expires_s: float
    ) -> bytes:
        self._move("login_proven")
        self.scopes = scopes
        self._weights = _weights_of(self._limits, scopes)
        self.deadline_s = expires_s
        self._logins_failed = 0
        return self.answer(request_id, body)

    def login_refused(self, request_id: int, error: RequestError) -> bytes:
        """Return the error frame; the last try also closes."""
        self._move("login_refused")
        frame = self.refuse(request_id, error)
        self._count_failure(error)
        return frame

    def deadline_after(self, ttl_ms: int, *, now_s: float) -> float:
        """Return when a login would be due after a challenge with this ttl."""
        return now_s + max(self._limits.first_challenge_ttl_ms, ttl_ms) / 1_000

    def overdue(self, *, now_s: float) -> Closing | None:
        """Close the session whose deadline has passed.

        A proof that is being checked came in time, so its check is waited for.
        """
        if self.deadline_s is None or now_s < self.deadline_s:
            return None
        if self.state is SessionState.LOGIN:
            return self._fail(CloseCode.AUTH_TIMEOUT)
        if self.state is SessionState.OPEN:
            return self._fail(CloseCode.SESSION_EXPIRED)
        return None

    def close(self) -> None:
        """Note that the connection is gone: whatever was in flight gets no answer."""
        self.state = SessionState.CLOSED
        self._challenge = None
        self._in_flight.clear()

    def _take(self, request: Request, now_s: float, now_ms: int) -> Event:
        kind = _known_kind(request)
        self._require_room(kind, now_s)
        self._require_right(kind)
        if kind is RequestType.SERVICE:
            return self._take_service(request)
        if kind in _PROOFS:
            return self._take_proof(kind, request, now_ms)
        body = self._reader.decode_request_body(request)
        if kind is RequestType.CHALLENGE:
            return self._take_challenge_request(request.id, body.ttl_ms, now_s)
        self._in_flight[request.id] = kind
        return RequestSent(kind, request.id, body)

    def _require_room(self, kind: RequestType, now_s: float) -> None:
        limits = self._limits
        if len(self._in_flight) >= limits.in_flight_max:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"{limits.in_flight_max} requests are in flight; wait for an answer",
                retry_after_ms=BUSY_RETRY_MS,
            )
        retry_after_ms = self._bucket.take(limits.weight_of(kind), now_s=now_s)
        if retry_after_ms:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"more than {limits.requests_per_s} requests a second",
                retry_after_ms=retry_after_ms,
            )

    def _require_right(self, kind: RequestType) -> None:
        if not self.logged_in:
            if kind not in BEFORE_LOGIN:
                raise RequestError(ErrorCode.NOT_AUTHENTICATED, f"{kind.name.lower()} before login")
            return
        if kind in _OPENING:
            raise RequestError(ErrorCode.BAD_MESSAGE, "already logged in; send refresh")
        if kind is RequestType.REFRESH and self.wallet is None:
            raise RequestError(
                ErrorCode.BAD_MESSAGE, "a service session isn't refreshed; connect anew"
            )
        scope = SCOPE_OF.get(kind)
        if scope is not None:
            self.require_scope(scope)

    def require_scope(self, scope: str) -> None:
        """Raise RequestError 102 unless the login granted *scope*."""
        if scope not in self.scopes:
            granted = ", ".join(sorted(self.scopes))
            raise RequestError(
                ErrorCode.FORBIDDEN_SCOPE, f"needs scope {scope}; this login has {granted}"
            )

    def _take_challenge_request(self, request_id: int, ttl_ms: int, now_s: float) -> Event:
        if self.state in (SessionState.CHECKING, SessionState.REFRESHING):
            raise RequestError(
                ErrorCode.RATE_LIMITED, "a login is being checked", retry_after_ms=BUSY_RETRY_MS
            )
        if ttl_ms > self._limits.challenge_ttl_ms_max:
            raise RequestError(
                ErrorCode.BAD_MESSAGE, f"ttl_ms is at most {self._limits.challenge_ttl_ms_max}"
            )
        if not self.logged_in:
            issued_max = self._limits.challenges_before_login_max
            if self._challenges_before_login >= issued_max:
                left_s = max(0.0, (self.deadline_s or now_s) - now_s)
                raise RequestError(
                    ErrorCode.RATE_LIMITED,
                    f"{issued_max} challenges were issued before a login; connect again",
                    retry_after_ms=round(left_s * 1_000),
                )
            self._challenges_before_login += 1
        self._in_flight[request_id] = RequestType.CHALLENGE
        return ChallengeWanted(request_id, ttl_ms)

    def _take_service(self, request: Request) -> Event:
        try:
            body = self._reader.decode_request_body(request)
        except RequestError as error:
            self._count_failure(error)
            raise
        self._move("login_sent")
        self._in_flight[request.id] = RequestType.SERVICE
        return ServiceSent(request.id, body.api_key)

    def _take_proof(self, kind: RequestType, request: Request, now_ms: int) -> Event:
        # Used up before anything is looked at: a nonce has one attempt, good or bad.
        challenge, self._challenge = self._challenge, None
        try:
            challenge = self._require_live(challenge, now_ms)
            event = self._read_proof(kind, request, challenge)
        except RequestError as error:
            self._count_failure(error)
            raise
        self._move("login_sent")
        self._in_flight[request.id] = kind
        return event

    def _read_proof(self, kind: RequestType, request: Request, challenge: Challenge) -> Event:
        if kind is RequestType.RESUME:
            return ResumeSent(request.id, challenge, self._reader.decode_request_body(request))
        proof = self._read_login(request)
        return LoginSent(request.id, challenge, proof, refresh=kind is RequestType.REFRESH)

    def _require_live(self, challenge: Challenge | None, now_ms: int) -> Challenge:
        if challenge is None:
            raise RequestError(
                ErrorCode.NONCE_UNKNOWN_OR_USED,
                "there is no unused challenge; request one with 0x01",
            )
        late_ms = now_ms - challenge.expires_ms
        if late_ms >= 0:
            raise RequestError(
                ErrorCode.CHALLENGE_EXPIRED,
                f"challenge expired {late_ms / 1_000:.1f} s ago; request a new one",
            )
        return challenge

    def _read_login(self, request: Request) -> LoginRequest:
        try:
            proof: LoginRequest = self._reader.decode_request_body(request)
        except RequestError as error:
            scheme = self._reader.decode_login_scheme(request)
            if scheme is None or scheme in _SCHEMES:
                raise
            raise RequestError(
                ErrorCode.UNSUPPORTED_SCHEME, f"scheme {scheme} is not one of 1, 2, 3, 4"
            ) from error
        if self.wallet is not None and proof.wallet != self.wallet:
            raise RequestError(
                ErrorCode.BAD_SIGNATURE, "the session belongs to another wallet; connect anew"
            )
        return proof

    def _count_failure(self, error: RequestError) -> None:
        if error.code in _NOT_THE_LOGINS_FAULT:
            return
        self._logins_failed += 1
        if self._logins_failed >= self._limits.logins_failed_max:
            self._fail(CloseCode.AUTH_FAILED)

    def _issue(self, challenge: Challenge, ttl_ms: int, now_s: float) -> None:
        self._move("challenged")
        self._challenge = challenge
        if self.state is SessionState.LOGIN:
            self.deadline_s = self.deadline_after(ttl_ms, now_s=now_s)

    def _move(self, event: str) -> None:
        following = MOVES.get((self.state, event))
        if following is None:
            raise LocalProtocolError(f"{event} in state {self.state.value}")
        self.state = following

    def _fail(self, code: CloseCode) -> Closing:
        self.closing = Closing(int(code), close_reason(code))
        return self.closing


@lru_cache(maxsize=64)
def _weights_of(limits: Limits, scopes: frozenset[str]) -> Mapping[RequestType, int]:
    """Return what needs no login of its own and no further scope; sessions share the tables."""
    return {
        kind: limits.weight_of(kind)
        for kind in REQUESTS
        if kind not in _OF_LOGINS and (kind not in SCOPE_OF or SCOPE_OF[kind] in scopes)
    }


def _not_in_flight(request_id: int) -> LocalProtocolError:
    return LocalProtocolError(f"request {request_id} is not in flight")


def _known_kind(request: Request) -> RequestType:
    """Return the type of a request that is served; RequestError 104 for others."""
    kind = _SERVED.get(request.type)
    if kind is None:
        raise RequestError(
            ErrorCode.UNKNOWN_TYPE, f"request type 0x{request.type:02x} is not served"
        )
    return kind
