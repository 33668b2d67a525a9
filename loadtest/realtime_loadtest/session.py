"""One wallet's session over a blocking socket: log in, resume, follow trust, ask for quotes."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from realtime_loadtest.wire import Answer, Pushed, WireError, read, request
from realtime_protocol.login_resources import encode_key
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import DeadlineOf, Priority, PushType, RequestType, Scheme
from realtime_protocol.schnorrq import KeyPair
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    sign_with_session_key,
)
from realtime_protocol.wallet_signatures import sign_login

PUSHES_WAITING_MAX: Final = 256
"""Pushes that nobody has asked for yet; the oldest go first."""
REQUEST_ID_MAX: Final = 2**32 - 1
TRUST_CHANGED_EVENT_MS: Final = 5
"""Place of event_ms in the body of trust.changed."""


class Socket(Protocol):
    """What is needed of a WebSocket; websocket-client has it."""

    def send_binary(self, payload: bytes) -> Any: ...
    def recv(self) -> Any: ...
    def close(self) -> Any: ...


class Refused(Exception):  # noqa: N818  (named for what happened)
    """The hub refused a request."""

    def __init__(self, code: int, detail: object) -> None:
        super().__init__(f"{code} {detail}")
        self.code = code


class WalletSession:
    """A session of one wallet. Methods block until the hub has answered."""

    def __init__(self, socket: Socket, wallet: KeyPair, *, key_seed: bytes | None = None) -> None:
        """*key_seed* makes the session's own key, which a resumption needs."""
        self._socket = socket
        self._wallet = wallet
        self._key_seed = key_seed
        key = [] if key_seed is None else [encode_key(session_public_key(key_seed))]
        self._resources: list[str] = key
        self._sid = ""
        self._resume_token = b""
        self._last_id = 0
        self._pushes: deque[Pushed] = deque(maxlen=PUSHES_WAITING_MAX)

    @property
    def resumable(self) -> bool:
        """Whether the hub gave a token with which :meth:`resume` may succeed."""
        return bool(self._resume_token)

    def sign(self) -> bytes:
        """Wait for the hub's challenge and return the wallet's signature over its text."""
        text = build_login_text(self._challenge(), self._wallet.public_key, self._resources)
        return sign_login(Scheme.K12, self._wallet, text)

    def log_in(self, signature: bytes) -> None:
        """Hand the signature over; Refused when the hub doesn't take it."""
        body = [int(Scheme.K12), self._wallet.public_key, signature, self._resources]
        self._sid, self._resume_token, *_ = self._request(RequestType.LOGIN, body)

    def resume(self, socket: Socket) -> None:
        """Take the session up again on a new connection; Refused when the hub doesn't have it."""
        if self._key_seed is None:
            raise ValueError("a session without a key of its own can't be resumed")
        self._socket = socket
        self._pushes.clear()
        challenge = self._challenge()
        body = resume_body(
            domain=challenge.domain, uri=challenge.uri, sid=self._sid, nonce=challenge.nonce
        )
        proof = sign_with_session_key(self._key_seed, Kind.RESUME, body)
        reply = self._request(RequestType.RESUME, [self._resume_token, proof, []])
        self._sid, self._resume_token, *_ = reply

    def watch(self, wallets: Sequence[bytes]) -> int:
        """Follow the trust of *wallets*; return the number of the subscription."""
        sub: int = self._request(RequestType.SUBSCRIBE, ["trust", None, list(wallets)])[0]
        return sub

    def next_change_ms(self, sub: int) -> int:
        """Wait for the next change on a subscription; return when it happened, epoch ms."""
        event_ms: int = self._wait_push(PushType.TRUST_CHANGED, sub).body[TRUST_CHANGED_EVENT_MS]
        return event_ms

    def trust_of(self, wallets: Sequence[bytes]) -> list[Any]:
        """Return what the hub says of 1 to 64 wallets."""
        return self._request(RequestType.TRUST_GET, list(wallets))

    def set_trust(self, signed_tx: bytes) -> None:
        """Hand over an administrator's order."""
        self._request(RequestType.TRUST_SET, [signed_tx])

    def quote(self, payee: bytes, amount_qu: int) -> list[Any]:
        """Open a quote stream, wait for its first quote, close it again; return the quote."""
        intent = [
            self._wallet.public_key,
            payee,
            amount_qu,
            int(Priority.SPEED),
            0,
            5_000,
            int(DeadlineOf.ACCEPTED),
            None,
            [],
            None,
        ]
        sub = self._request(RequestType.QUOTE_OPEN, [intent])[0]
        quote = self._wait_push(PushType.QUOTE, sub).body
        self._request(RequestType.QUOTE_CLOSE, [sub])
        return quote

    def close(self) -> None:
        """Leave without a word, as a phone in a tunnel does."""
        self._socket.close()

    def _challenge(self) -> LoginChallenge:
        return LoginChallenge(*self._wait_push(PushType.CHALLENGE, sub=0).body[:7])

    def _request(self, kind: RequestType, body: list[Any]) -> list[Any]:
        self._last_id = self._last_id % REQUEST_ID_MAX + 1
        self._socket.send_binary(request(kind, self._last_id, body))
        answer = self._read_until(lambda got: isinstance(got, Answer))
        if not isinstance(answer, Answer) or answer.request_id != self._last_id:
            raise WireError(f"{answer} does not answer request {self._last_id}")
        if answer.error_code is not None:
            raise Refused(answer.error_code, answer.body[2:3])
        return answer.body

    def _wait_push(self, kind: PushType, sub: int) -> Pushed:
        for waiting in self._pushes:
            if (waiting.type, waiting.sub) == (kind, sub):
                self._pushes.remove(waiting)
                return waiting
        found = self._read_until(
            lambda got: isinstance(got, Pushed) and (got.type, got.sub) == (kind, sub)
        )
        if not isinstance(found, Pushed):
            raise WireError(f"{found} is not a push")
        return found

    def _read_until(self, wanted: Callable[[Answer | Pushed], bool]) -> Answer | Pushed:
        """Read until a frame is *wanted*; pushes before it are kept. The socket has a timeout."""
        while True:
            frame = self._socket.recv()
            if not isinstance(frame, bytes) or not frame:
                raise WireError("the hub closed the connection or sent text")
            got = read(frame)
            if wanted(got):
                return got
            if isinstance(got, Answer):
                raise WireError(f"nobody waits for answer {got.request_id}")
            self._pushes.append(got)
