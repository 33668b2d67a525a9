"""ASGI middleware that lets requests in by their wallet (Starlette, FastAPI, any other).

    app.add_middleware(RealtimeGuard, feed=feed, keys=keys, audience="shop.example")

A wallet proves itself once: it brings a hub's signed decision for this audience, which names its
session key, and that key's signature over a nonce of ours. It gets a session token of the guard's
own, short-lived and good here only. Each request is then judged by what counts *now*, which the
hub pushes. A hub's session id is no secret and opens nothing; neither does a bare wallet header.
"""

import json
import re
import secrets
import time
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from realtime_client.errors import RealtimeError
from realtime_client.guard_tokens import GuardTokens, TokenRefused
from realtime_client.trust_feed import WalletState
from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import Decision, DecisionRefused, verify_decision
from realtime_protocol.decision_policy import weigh
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.messages import TrustStatus
from realtime_protocol.session_key import Kind, presence_body, verify_with_session_key

CHALLENGE_PATH: Final = "/.realtime/challenge"
SESSION_PATH: Final = "/.realtime/session"
BODY_BYTES_MAX: Final = 4_096
RETRY_AFTER_S: Final = 1
_WALLET_HEADER: Final = b"x-wallet-address"
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Feed(Protocol):
    """What the guard needs of a `TrustFeed`."""

    async def get(self, wallet: PublicKey) -> WalletState:
        """Return what counts now; RealtimeError when nobody can tell."""
        ...


@dataclass(frozen=True, slots=True)
class GuardedWallet:
    """Who sends a request, as the app finds it in ``scope["realtime"]``."""

    wallet: PublicKey
    identity: str
    state: WalletState


class Refused(Exception):  # noqa: N818 - an outcome of a request, not a mistake
    """A request is not let in."""

    def __init__(self, status: int, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class RealtimeGuard:
    """The middleware.

    *keys* are the hub's public decision keys by key id: pinned, or `DecisionKeys`; a
    callable is asked each time. *audience* is what decisions for this service name. A wallet that
    is not ACTIVE, or has a score below *score_min*, is answered 403; while the feed can't vouch
    everybody is answered 503. Processes that share a service share *secret* (32 bytes): a token of
    one is then good at all.

    *unsafe_trust_wallet_header* takes the word of ``X-Wallet-Address`` for who is there. It is for
    a service that only a proxy reaches which has authenticated the wallet and sets that header.
    """

    def __init__(
        self,
        app: App,
        *,
        feed: Feed,
        keys: Mapping[bytes, bytes] | Callable[[], Mapping[bytes, bytes]],
        audience: str,
        score_min: int = 0,
        open_paths: frozenset[str] = frozenset(),
        secret: bytes | None = None,
        unsafe_trust_wallet_header: bool = False,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._app = app
        self._feed = feed
        self._keys = keys if callable(keys) else lambda: keys
        self._audience = audience
        self._score_min = score_min
        self._open_paths = open_paths
        self._unsafe_trust_wallet_header = unsafe_trust_wallet_header
        self._now_ms = now_ms
        self._tokens = GuardTokens(secret or secrets.token_bytes(32), audience)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in with who sent it in its scope, or answer it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            if scope["type"] == "http" and scope["path"] in (CHALLENGE_PATH, SESSION_PATH):
                await _answer(send, 200, await self._serve(scope, receive))
                return
            inner = await self._admit(scope)
        except Refused as refused:
            await _refuse(scope, receive, send, refused)
            return
        await self._app(inner, receive, send)

    # Judging --------------------------------------------------------------------------------

    async def _admit(self, scope: Scope) -> Scope:
        headers = _headers(scope)
        wallet = self._authenticate(headers)
        identity = encode_identity(wallet)
        state = await self._judge(wallet)
        # What the client says of itself is taken out, what was proven is put in.
        kept = [pair for pair in scope["headers"] if pair[0].lower() != _WALLET_HEADER]
        return {
            **scope,
            "headers": [*kept, (_WALLET_HEADER, identity.encode())],
            "realtime": GuardedWallet(wallet, identity, state),
        }

    def _authenticate(self, headers: Mapping[bytes, bytes]) -> PublicKey:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            try:
                return self._tokens.read(token.strip(), now_ms=self._now_ms())
            except TokenRefused as error:
                raise _stranger(str(error)) from error
        if b"realtime-decision" in headers:
            texts = [
                headers.get(name, b"").decode("latin-1")
                for name in (b"realtime-decision", b"realtime-nonce", b"realtime-proof")
            ]
            return PublicKey(self._prove(*texts).wallet)
        bare = headers.get(_WALLET_HEADER)
        if bare is None:
            raise _stranger(f"prove your wallet at {SESSION_PATH} and send the token as Bearer")
        if not self._unsafe_trust_wallet_header:
            raise _stranger("a wallet's address proves nothing: anybody can send it")
        try:
            return parse_identity(bare.decode("latin-1"))
        except ValueError as error:
            raise _stranger(f"X-Wallet-Address: {error}") from error

    async def _judge(self, wallet: PublicKey) -> WalletState:
        try:
            state = await self._feed.get(wallet)
        except RealtimeError as error:
            raise Refused(503, ErrorCode.TRUST_STALE, str(error)) from error
        if state.status is TrustStatus.BLOCKED:
            raise Refused(403, ErrorCode.WALLET_BLOCKED, f"blocked (reason {state.reason})")
        if state.status is not TrustStatus.ACTIVE:
            raise Refused(403, ErrorCode.TRUST_TOO_LOW, "nobody vouches for this wallet")
        if state.score < self._score_min:
            raise Refused(
                403,
                ErrorCode.TRUST_TOO_LOW,
                f"the wallet's score is {state.score}; this needs {self._score_min}",
            )
        return state

    # Proving --------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive) -> dict[str, object]:
        """Answer the guard's own two paths."""
        if scope["path"] == CHALLENGE_PATH:
            nonce = self._tokens.issue_nonce(now_ms=self._now_ms())
            return {"nonce": nonce, "audience": self._audience}
        if scope["method"] != "POST":
            raise Refused(405, ErrorCode.BAD_MESSAGE, f"POST to {SESSION_PATH}")
        body = await _read_json(receive)
        texts = [body.get(name) for name in ("decision", "nonce", "proof")]
        if not all(isinstance(text, str) for text in texts):
            raise Refused(400, ErrorCode.BAD_MESSAGE, "send decision, nonce and proof as texts")
        decision = self._prove(*(str(text) for text in texts))
        wallet = PublicKey(decision.wallet)
        await self._judge(wallet)
        token, expires_ms = self._tokens.issue(
            wallet, now_ms=self._now_ms(), latest_ms=decision.stale_until_ms
        )
        return {"token": token, "expires_ms": expires_ms, "wallet": encode_identity(wallet)}

    def _prove(self, decision_text: str, nonce: str, proof_text: str) -> Decision:
        """Return the decision whose session key signed one of our nonces."""
        now_ms = self._now_ms()
        try:
            decision = verify_decision(
                _base64url(decision_text), self._keys(), audience=self._audience
            )
        except DecisionRefused as error:
            raise _stranger(str(error)) from error
        status = weigh(decision, now_ms=now_ms, stale_allowed=False).status
        if decision.session_key is None or status is TrustStatus.UNKNOWN:
            raise _stranger("the decision is stale or names no session key; fetch a new one")
        body = presence_body(audience=self._audience, nonce=self._use_up(nonce, now_ms))
        if not verify_with_session_key(
            decision.session_key, Kind.PRESENCE, body, _base64url(proof_text)
        ):
            raise _stranger("the session key in the decision did not sign this nonce")
        return decision

    def _use_up(self, nonce: str, now_ms: int) -> str:
        try:
            self._tokens.use_nonce(nonce, now_ms=now_ms)
        except TokenRefused as error:
            raise _stranger(str(error)) from error
        return nonce


def _stranger(detail: str) -> Refused:
    return Refused(401, ErrorCode.NOT_AUTHENTICATED, detail)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers; one that comes twice could mean two things, so it is none."""
    found: dict[bytes, bytes] = {}
    twice = set()
    for name, value in scope["headers"]:
        twice.update({name.lower()} & found.keys())
        found[name.lower()] = value
    return {name: value for name, value in found.items() if name not in twice}


def _base64url(text: str) -> bytes:
    if len(text) > BODY_BYTES_MAX or not _BASE64URL.fullmatch(text):
        raise _stranger("decision and proof are base64url without padding")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Base64Error as error:
        raise _stranger("decision and proof are base64url without padding") from error


async def _read_json(receive: Receive) -> dict[str, object]:
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message["type"] == "http.request" and bool(message.get("more_body"))
        if len(content) > BODY_BYTES_MAX:
            raise Refused(413, ErrorCode.TOO_LARGE, f"at most {BODY_BYTES_MAX} bytes")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused(400, ErrorCode.BAD_MESSAGE, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, ErrorCode.BAD_MESSAGE, "the body is not an object")
    return body


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refused.detail[:120]})
        return
    body = {
        "type": f"urn:qubic:realtime:error:{int(refused.code)}",
        "title": refused.code.wire_name,
        "status": refused.status,
        "detail": refused.detail,
        "code": int(refused.code),
    }
    await _answer(send, refused.status, body, kind=b"application/problem+json")


async def _answer(
    send: Send, status: int, body: object, *, kind: bytes = b"application/json"
) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="realtime"'))
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    content = json.dumps(body).encode()
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
