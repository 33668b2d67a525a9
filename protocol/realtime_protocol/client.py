"""A client's end of a session, without I/O: frames in, events out, frames to send returned.

Feed every frame with :meth:`ClientSession.receive`. The first one is the challenge; have the
wallet sign :meth:`ClientSession.login_text`, send :meth:`ClientSession.login`, and the session is
open when its reply came; or take a session of before up again with :meth:`ClientSession.resume`.
Time comes in as epoch ms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from realtime_protocol.codec import (
    ErrorReply,
    Push,
    Reply,
    decode_answer,
    decode_reply_body,
    encode_request,
)
from realtime_protocol.codes import CloseCode
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.map_keys import find_repeated_key
from realtime_protocol.messages import (
    AckRequest,
    Challenge,
    ChallengeRequest,
    ErrorBody,
    LoginReply,
    LoginRequest,
    PushType,
    RequestType,
    ResumeReply,
    ResumeRequest,
    ResumeSub,
    Scheme,
    ServiceRequest,
)
from realtime_protocol.session_key import Kind, resume_body, sign_with_session_key

CHALLENGE_TTL_MS_MAX: Final = 300_000
REQUEST_ID_MAX: Final = 2**32 - 1
IN_FLIGHT_MAX: Final = 32
"""Requests that wait for a reply, unless the challenge's limits name fewer."""
IN_FLIGHT_LIMIT: Final = "in_flight_max"


class ClientState(Enum):
    """How far a client's login is."""

    NEW = "new"
    CHALLENGED = "challenged"
    LOGGING_IN = "logging in"
    REFUSED = "refused"
    OPEN = "open"
    CLOSED = "closed"


# Rule: every move of a client's login is in this table.
MOVES: Final[Mapping[tuple[ClientState, str], ClientState]] = {
    (ClientState.NEW, "challenge"): ClientState.CHALLENGED,
    (ClientState.CHALLENGED, "challenge"): ClientState.CHALLENGED,  # Another, with a longer life.
    (ClientState.CHALLENGED, "login"): ClientState.LOGGING_IN,
    (ClientState.LOGGING_IN, "accepted"): ClientState.OPEN,
    (ClientState.LOGGING_IN, "refused"): ClientState.REFUSED,  # The nonce is used up.
    (ClientState.REFUSED, "challenge"): ClientState.CHALLENGED,
    (ClientState.OPEN, "challenge"): ClientState.OPEN,  # For a refresh.
    (ClientState.OPEN, "login"): ClientState.OPEN,
    (ClientState.OPEN, "accepted"): ClientState.OPEN,
    (ClientState.OPEN, "refused"): ClientState.OPEN,
}

_OPENING: Final = frozenset({RequestType.LOGIN, RequestType.RESUME, RequestType.SERVICE})
_ALWAYS: Final = frozenset({RequestType.CHALLENGE, *_OPENING})
_LOGINS: Final = frozenset({*_OPENING, RequestType.REFRESH})
_REPLIES_WITH_MAPS: Final = frozenset(
    {RequestType.CHALLENGE, RequestType.SUBSCRIBE, RequestType.PAYMENT_GET}
)
_PUSHES_WITH_MAPS: Final = frozenset({PushType.CHALLENGE, PushType.PAYMENT_STATUS})


class UntrustedChallengeError(RemoteProtocolError):
    """The challenge isn't one that this client may sign; nothing was signed."""

    def __init__(self, detail: str) -> None:
        super().__init__(CloseCode.PROTOCOL_ERROR, detail)


@dataclass(frozen=True, slots=True)
class ChallengeReceived:
    """The hub's first frame: sign and log in."""

    challenge: Challenge


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """Request *request_id* was done."""

    request_id: int
    kind: RequestType
    body: Any


@dataclass(frozen=True, slots=True)
class RefusalReceived:
    """Request *request_id* was refused; the code may be one that this version doesn't know."""

    request_id: int
    kind: RequestType
    error: ErrorBody


@dataclass(frozen=True, slots=True)
class PushReceived:
    """Something happened."""

    push: Push


ClientEvent = ChallengeReceived | ReplyReceived | RefusalReceived | PushReceived


class ClientSession:
    """One connection's client end.

    *uri* is the URL that was opened, *domain* the host of the page or the configured domain of the
    program: a challenge for anything else is refused, so that no other site can use the signature.
    A backend, which signs nothing, gives no *domain*, and logs in by :meth:`service` only.
    """

    def __init__(self, *, uri: str, domain: str | None, chain: str | None = None) -> None:
        self._uri = uri
        self._domain = domain
        self._chain = chain
        self._state = ClientState.NEW
        self._challenge: Challenge | None = None
        self._challenge_ends_ms = 0
        self._login: LoginReply | ResumeReply | None = None
        self._next_id = 1
        self._in_flight: dict[int, RequestType] = {}
        self._in_flight_max = IN_FLIGHT_MAX

    @property
    def state(self) -> ClientState:
        """How far the login is."""
        return self._state

    @property
    def challenge(self) -> Challenge | None:
        """The newest challenge, until a login uses it up."""
        return self._challenge

    @property
    def session(self) -> LoginReply | ResumeReply | None:
        """What the hub said of the open session, at its login or when it was resumed."""
        return self._login

    @property
    def in_flight(self) -> int:
        """How many requests wait for a reply."""
        return len(self._in_flight)

    @property
    def in_flight_max(self) -> int:
        """How many may wait at once."""
        return self._in_flight_max

    def challenge_left_ms(self, now_ms: int) -> int:
        """Return how long the challenge may still be signed, by this client's own clock."""
        return 0 if self._challenge is None else max(0, self._challenge_ends_ms - now_ms)

    def login_text(self, wallet: bytes, resources: Sequence[str], *, now_ms: int) -> bytes:
        """Return the text to sign; LocalProtocolError when there is no living challenge."""
        challenge = self._challenge
        if challenge is None:
            raise LocalProtocolError("there is no unused challenge; ask for one")
        if self._domain is None:
            raise LocalProtocolError("a client without a domain signs nothing")
        if self.challenge_left_ms(now_ms) == 0:
            raise LocalProtocolError("the challenge has expired; ask for another one")
        return build_login_text(_login_challenge(challenge), wallet, list(resources))

    def login(
        self, *, scheme: Scheme, wallet: bytes, signature: bytes, resources: Sequence[str]
    ) -> tuple[int, bytes]:
        """Return id and frame of the login, or of the refresh of an open session.

        It uses the challenge up, whatever the outcome.
        """
        if self._challenge is None:
            raise LocalProtocolError("there is no unused challenge; ask for one")
        body = LoginRequest(scheme, wallet, signature, list(resources))
        kind = RequestType.REFRESH if self._state is ClientState.OPEN else RequestType.LOGIN
        sent = self.request(kind, body)
        self._move("login")
        self._challenge = None
        return sent

    def resume(
        self, *, token: bytes, sid: str, key_seed: bytes, subs: Sequence[ResumeSub]
    ) -> tuple[int, bytes]:
        """Return id and frame of a resume of session *sid*, which the key of *key_seed* proves.

        It uses the challenge up, whatever the outcome.
        """
        challenge = self._challenge
        if challenge is None:
            raise LocalProtocolError("there is no unused challenge; ask for one")
        body = resume_body(
            domain=challenge.domain, uri=challenge.uri, sid=sid, nonce=challenge.nonce
        )
        proof = sign_with_session_key(key_seed, Kind.RESUME, body)
        sent = self.request(RequestType.RESUME, ResumeRequest(token, proof, list(subs)))
        self._move("login")
        self._challenge = None
        return sent

    def service(self, api_key: str) -> tuple[int, bytes]:
        """Return id and frame of a backend's login, which the challenge has no part in."""
        sent = self.request(RequestType.SERVICE, ServiceRequest(api_key))
        self._move("login")
        self._challenge = None
        return sent

    def acknowledge(self, sub: int, offset: int) -> bytes:
        """Return the frame that says that a subscription was dealt with up to *offset*."""
        if self._state is not ClientState.OPEN:
            raise LocalProtocolError("ack needs a login first")
        return encode_request(RequestType.ACK, self._free_id(), AckRequest(sub, offset))

    def ask_challenge(self, ttl_ms: int) -> tuple[int, bytes]:
        """Return id and frame of a request for another challenge, good for *ttl_ms*."""
        return self.request(RequestType.CHALLENGE, ChallengeRequest(ttl_ms))

    def request(self, kind: RequestType, body: object) -> tuple[int, bytes]:
        """Return id and frame of a request; LocalProtocolError when it can't be sent now."""
        if self._state in (ClientState.NEW, ClientState.CLOSED):
            raise LocalProtocolError(f"no request can be sent while {self._state.value}")
        if self._state is not ClientState.OPEN and kind not in _ALWAYS:
            raise LocalProtocolError(f"{kind.name.lower()} needs a login first")
        if len(self._in_flight) >= self._in_flight_max:
            raise LocalProtocolError(
                f"{self._in_flight_max} requests wait for their replies already"
            )
        request_id = self._free_id()
        self._in_flight[request_id] = kind
        return request_id, encode_request(kind, request_id, body)

    def receive(self, frame: bytes, *, now_ms: int) -> ClientEvent | None:
        """Take a frame; None for a push of a kind that this version doesn't know.

        RemoteProtocolError: close with its code; nothing that was read counts.
        """
        if self._state is ClientState.CLOSED:
            raise LocalProtocolError("the connection is closed")
        answer = decode_answer(frame)
        if answer is None:
            return None
        if self._state is ClientState.NEW:
            return self._take_first(answer, frame, now_ms)
        match answer:
            case Push():
                return self._take_push(answer, frame)
            case Reply():
                return self._take_reply(answer, frame, now_ms)
            case ErrorReply():
                return self._take_refusal(answer, frame)

    def close(self) -> None:
        """Note that the connection has ended: no reply will come."""
        self._state = ClientState.CLOSED
        self._challenge = None
        self._in_flight.clear()

    def _take_first(
        self, answer: Reply | ErrorReply | Push, frame: bytes, now_ms: int
    ) -> ChallengeReceived:
        if not (isinstance(answer, Push) and isinstance(answer.body, Challenge)):
            raise _violation("the first frame is not a challenge")
        self._keep_challenge(answer.body, frame, now_ms)
        return ChallengeReceived(answer.body)

    def _take_push(self, push: Push, frame: bytes) -> PushReceived:
        if push.type is PushType.CHALLENGE:
            raise _violation("a second challenge that nobody asked for")
        if self._state is not ClientState.OPEN and push.type is not PushType.GOAWAY:
            raise _violation(f"{push.type.name.lower()} before the login")
        if push.type in _PUSHES_WITH_MAPS:
            _require_unique_keys(frame)
        return PushReceived(push)

    def _take_reply(self, reply: Reply, frame: bytes, now_ms: int) -> ReplyReceived:
        kind = self._in_flight.get(reply.id)
        if kind is None or kind != reply.type:
            raise _violation(f"a reply to no request of ours: type {reply.type}, id {reply.id}")
        body = decode_reply_body(reply)
        if kind in _REPLIES_WITH_MAPS:
            _require_unique_keys(frame)
        del self._in_flight[reply.id]
        if kind is RequestType.CHALLENGE:
            self._keep_challenge(body, frame, now_ms)
        elif kind in _LOGINS:
            self._move("accepted")
            self._login = body
        return ReplyReceived(reply.id, kind, body)

    def _take_refusal(self, answer: ErrorReply, frame: bytes) -> RefusalReceived:
        kind = self._in_flight.get(answer.id)
        if kind is None:
            raise _violation(f"an error reply to no request of ours: id {answer.id}")
        _require_unique_keys(frame)
        del self._in_flight[answer.id]
        if kind in _LOGINS:
            self._move("refused")
        return RefusalReceived(answer.id, kind, answer.error)

    def _keep_challenge(self, challenge: Challenge, frame: bytes, now_ms: int) -> None:
        _require_unique_keys(frame)
        self._check_challenge(challenge)
        self._move("challenge")
        self._challenge = challenge
        named = challenge.limits.get(IN_FLIGHT_LIMIT)
        if isinstance(named, int):
            self._in_flight_max = max(1, min(named, IN_FLIGHT_MAX))
        # The hub's clock may differ from ours; what is left of the challenge doesn't.
        self._challenge_ends_ms = now_ms + challenge.expires_ms - challenge.server_ms

    def _check_challenge(self, challenge: Challenge) -> None:
        if challenge.uri != self._uri:
            raise UntrustedChallengeError(
                f"the challenge is for {challenge.uri!r}, but {self._uri!r} was opened"
            )
        if self._domain is None:
            return  # Nothing is signed.
        if challenge.domain != self._domain:
            raise UntrustedChallengeError(
                f"the challenge is for the domain {challenge.domain!r}, not {self._domain!r}"
            )
        if self._chain is not None and challenge.chain != self._chain:
            raise UntrustedChallengeError(
                f"the challenge is for the chain {challenge.chain!r}, not {self._chain!r}"
            )
        if challenge.expires_ms - challenge.issued_ms > CHALLENGE_TTL_MS_MAX:
            raise UntrustedChallengeError(
                f"the challenge lives longer than {CHALLENGE_TTL_MS_MAX // 1000} s"
            )
        # issued is a whole second, so that it may lie up to one behind or ahead.
        if not challenge.issued_ms - 1_000 <= challenge.server_ms < challenge.expires_ms:
            raise UntrustedChallengeError("the challenge is not for now by the hub's own clock")
        try:
            _login_challenge(challenge)
        except ValueError as error:
            raise UntrustedChallengeError(f"the challenge can't be signed: {error}") from error

    def _free_id(self) -> int:
        while self._next_id in self._in_flight:  # Only after 2^32 requests.
            self._next_id = self._next_id % REQUEST_ID_MAX + 1
        request_id = self._next_id
        self._next_id = request_id % REQUEST_ID_MAX + 1
        return request_id

    def _move(self, event: str) -> None:
        following = MOVES.get((self._state, event))
        if following is None:
            raise LocalProtocolError(f"{event} while {self._state.value}")
        self._state = following


def _login_challenge(challenge: Challenge) -> LoginChallenge:
    return LoginChallenge(
        nonce=challenge.nonce,
        issued_ms=challenge.issued_ms,
        expires_ms=challenge.expires_ms,
        domain=challenge.domain,
        uri=challenge.uri,
        chain=challenge.chain,
        request_id=challenge.request_id,
    )


def _require_unique_keys(frame: bytes) -> None:
    try:
        repeated = find_repeated_key(frame)
    except ValueError as error:
        raise _violation(str(error)) from error
    if repeated is not None:
        raise _violation(f"a map holds the key {repeated[:40]!r} twice")


def _violation(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, detail)
