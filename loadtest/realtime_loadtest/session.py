"""One wallet's session over a blocking socket: log in, ask for quotes."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from realtime_loadtest.wire import Answer, Pushed, WireError, read, request
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import DeadlineOf, Priority, PushType, RequestType, Scheme
from realtime_protocol.schnorrq import KeyPair
from realtime_protocol.wallet_signatures import sign_login

PUSHES_WAITING_MAX: Final = 256
"""Pushes that nobody has asked for yet; the oldest go first."""
REQUEST_ID_MAX: Final = 2**32 - 1


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

    def __init__(self, socket: Socket, wallet: KeyPair) -> None:
        self._socket = socket
        self._wallet = wallet
        self._last_id = 0
        self._pushes: deque[Pushed] = deque(maxlen=PUSHES_WAITING_MAX)

    def sign(self) -> bytes:
        """Wait for the hub's challenge and return the wallet's signature over its text."""
        challenge = self._wait_push(PushType.CHALLENGE, sub=0).body
        nonce, issued_ms, expires_ms, domain, uri, chain, request_id = challenge[:7]
        text = build_login_text(
            LoginChallenge(nonce, issued_ms, expires_ms, domain, uri, chain, request_id),
            self._wallet.public_key,
        )
        return sign_login(Scheme.K12, self._wallet, text)

    def log_in(self, signature: bytes) -> None:
        """Hand the signature over; Refused when the hub doesn't take it."""
        body = [int(Scheme.K12), self._wallet.public_key, signature, []]
        self._request(RequestType.LOGIN, body)

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
