"""The guard: who gets through to an app, and as whom."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi import Answer, call
from realtime_client.errors import RealtimeError
from realtime_client.guard import CHALLENGE_PATH, SESSION_PATH, RealtimeGuard
from realtime_client.guard_tokens import NONCE_MS, TOKEN_MS, GuardTokens, TokenRefused
from realtime_client.trust_feed import FeedStaleError, WalletState
from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import Decision, key_id_of, sign_decision
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import TrustStatus
from realtime_protocol.session_key import (
    Kind,
    presence_body,
    session_public_key,
    sign_with_session_key,
)

WALLET = PublicKey(bytes(range(32)))
IDENTITY = encode_identity(WALLET)
HUB_SEED, KEY_SEED = b"\x07" * 32, b"\x08" * 32
HUB_KEY = session_public_key(HUB_SEED)
AUDIENCE = "shop.example"
NOW_MS = 1_790_000_000_000


class FakeFeed:
    """Says what a test wants."""

    def __init__(self) -> None:
        self.state = WalletState(TrustStatus.ACTIVE, 80, 0, 7)
        self.error: RealtimeError | None = None

    async def get(self, wallet: PublicKey) -> WalletState:
        assert wallet == WALLET
        if self.error is not None:
            raise self.error
        return self.state


class Bench:
    """An app behind a guard, and a wallet's session key."""

    def __init__(self, **options: Any) -> None:
        self.feed = FakeFeed()
        self.now_ms = NOW_MS
        inner = Starlette(routes=[Route("/account", account), Route("/open", opened)])
        self.app = RealtimeGuard(
            inner,
            feed=self.feed,
            keys={key_id_of(HUB_KEY): HUB_KEY},
            audience=AUDIENCE,
            open_paths=frozenset({"/open"}),
            now_ms=lambda: self.now_ms,
            **options,
        )

    async def get(self, path: str = "/account", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await call(self.app, "GET", path, headers=given)

    async def nonce(self) -> str:
        return str((await call(self.app, "GET", CHALLENGE_PATH)).json()["nonce"])

    async def log_in(self, decision: str | None = None, **options: Any) -> Answer:
        body = proof(await self.nonce(), decision, **options)
        return await call(self.app, "POST", SESSION_PATH, body=json.dumps(body).encode())

    async def token(self) -> str:
        answer = await self.log_in()
        assert answer.status == 200, answer.body
        return str(answer.json()["token"])


async def account(request: Request) -> JSONResponse:
    who = request.scope["realtime"]
    return JSONResponse([who.identity, who.state.score, request.headers["x-wallet-address"]])


async def opened(_request: Request) -> JSONResponse:
    return JSONResponse("open")


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def decision_of(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "wallet": WALLET,
        "status": TrustStatus.ACTIVE,
        "score": 80,
        "seq": 7,
        "epoch": bytes(8),
        "issued_ms": NOW_MS,
        "fresh_until_ms": NOW_MS + 300_000,
        "stale_until_ms": NOW_MS + 3_600_000,
        "audience": AUDIENCE,
        "session_key": session_public_key(KEY_SEED),
        "key_id": key_id_of(HUB_KEY),
        **changes,
    }
    return base64url(sign_decision(HUB_SEED, Decision(**fields)))


def proof(
    nonce: str,
    decision: str | None = None,
    *,
    seed: bytes = KEY_SEED,
    kind: Kind = Kind.PRESENCE,
    audience: str = AUDIENCE,
) -> dict[str, str]:
    body = presence_body(audience=audience, nonce=nonce)
    return {
        "decision": decision or decision_of(),
        "nonce": nonce,
        "proof": base64url(sign_with_session_key(seed, kind, body)),
    }


async def test_a_wallet_that_proved_itself_comes_through_by_its_token() -> None:
    bench = Bench()
    token = await bench.token()
    answer = await bench.get(authorization=f"Bearer {token}")
    assert answer.json() == [IDENTITY, 80, IDENTITY]


async def test_decision_and_proof_in_one_request_do_too() -> None:
    bench = Bench()
    sent = proof(await bench.nonce())
    headers = {f"realtime_{name}": value for name, value in sent.items()}
    assert (await bench.get(**headers)).status == 200
    again = await bench.get(**headers)
    assert (again.status, again.json()["code"]) == (401, ErrorCode.NOT_AUTHENTICATED)


async def test_a_bare_wallet_header_is_refused_unless_somebody_says_unsafe() -> None:
    assert (await Bench().get(x_wallet_address=IDENTITY)).status == 401
    unsafe = Bench(unsafe_trust_wallet_header=True)
    assert (await unsafe.get(x_wallet_address=IDENTITY)).status == 200
    assert (await unsafe.get(x_wallet_address="nobody")).status == 401


async def test_what_a_client_says_of_itself_beside_its_token_is_taken_out() -> None:
    bench = Bench()
    other = encode_identity(bytes(32))
    token = await bench.token()
    answer = await bench.get(authorization=f"Bearer {token}", x_wallet_address=other)
    assert answer.json() == [IDENTITY, 80, IDENTITY]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (WalletState(TrustStatus.BLOCKED, 0, 7, 9), ErrorCode.WALLET_BLOCKED),
        (WalletState(TrustStatus.UNKNOWN, 0, 0, 9), ErrorCode.TRUST_TOO_LOW),
        (WalletState(TrustStatus.ACTIVE, 49, 0, 9), ErrorCode.TRUST_TOO_LOW),
    ],
)
async def test_what_counts_now_decides_not_what_counted_at_the_login(
    state: WalletState, code: ErrorCode
) -> None:
    bench = Bench(score_min=50)
    token = await bench.token()
    bench.feed.state = state
    answer = await bench.get(authorization=f"Bearer {token}")
    assert (answer.status, answer.json()["code"]) == (403, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await bench.log_in()).status == 403


async def test_while_nobody_can_tell_nobody_comes_through() -> None:
    bench = Bench()
    token = await bench.token()
    bench.feed.error = FeedStaleError("the hub hasn't vouched for 5 s")
    answer = await bench.get(authorization=f"Bearer {token}")
    assert (answer.status, answer.json()["code"]) == (503, ErrorCode.TRUST_STALE)
    assert answer.headers["retry-after"] == "1"
    assert (await bench.get("/open")).status == 200


@pytest.mark.parametrize(
    "options",
    [
        {"decision": decision_of(audience="other.example")},
        {"decision": decision_of(session_key=None)},
        {"decision": decision_of(issued_ms=1, fresh_until_ms=2)},
        {"decision": base64url(bytes(64))},
        {"decision": "not base64url!"},
        {"seed": b"\x09" * 32},
        {"kind": Kind.RESUME},
        {"audience": "other.example"},
    ],
    ids=[
        "another audience", "no key", "stale", "no decision", "not base64url", "another key",
        "a signature for something else", "a proof for another audience",
    ],
)  # fmt: skip
async def test_anything_else_proves_nothing(options: dict[str, Any]) -> None:
    answer = await Bench().log_in(**options)
    assert (answer.status, answer.json()["code"]) == (401, ErrorCode.NOT_AUTHENTICATED)


async def test_a_nonce_is_used_up_by_the_first_attempt_and_runs_out() -> None:
    bench = Bench()
    nonce = await bench.nonce()
    for seed in (b"\x09" * 32, KEY_SEED):
        body = json.dumps(proof(nonce, seed=seed)).encode()
        assert (await call(bench.app, "POST", SESSION_PATH, body=body)).status == 401
    late = await bench.nonce()
    bench.now_ms += NONCE_MS
    body = json.dumps(proof(late)).encode()
    assert "too old" in (await call(bench.app, "POST", SESSION_PATH, body=body)).json()["detail"]


async def test_a_token_runs_out_and_is_good_at_one_service_only() -> None:
    bench = Bench()
    token = await bench.token()
    bench.now_ms += TOKEN_MS
    assert (await bench.get(authorization=f"Bearer {token}")).status == 401
    other = GuardTokens(b"\x01" * 32, "other.example")
    foreign, _ = other.issue(WALLET, now_ms=bench.now_ms, latest_ms=bench.now_ms + 9_000)
    assert (await bench.get(authorization=f"Bearer {foreign}")).status == 401


async def test_a_token_never_outlives_the_decision() -> None:
    tokens = GuardTokens(bytes(32), AUDIENCE)
    _, expires_ms = tokens.issue(WALLET, now_ms=NOW_MS, latest_ms=NOW_MS + 5)
    assert expires_ms == NOW_MS + 5


async def test_a_hubs_session_id_opens_nothing() -> None:
    answer = await Bench().get(authorization="Bearer 5c1d5c1d5c1d5c1d5c1d5c1d5c1d5c1d")
    assert "session id" in answer.json()["detail"]


def test_a_changed_token_is_none() -> None:
    tokens = GuardTokens(bytes(32), AUDIENCE)
    token, _ = tokens.issue(WALLET, now_ms=NOW_MS, latest_ms=NOW_MS + TOKEN_MS)
    for at in (4, 20, 60, len(token) - 1):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(TokenRefused):
            tokens.read(changed, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b"{}", 400), (b"[" * 2_000, 400), (b" " * 5_000, 413)],
)
async def test_bodies_of_another_form_are_refused(body: bytes, status: int) -> None:
    assert (await call(Bench().app, "POST", SESSION_PATH, body=body)).status == status


async def test_a_header_that_comes_twice_is_none() -> None:
    bench = Bench()
    token = await bench.token()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    pair = (b"authorization", f"Bearer {token}".encode())
    scope = {"type": "http", "path": "/account", "method": "GET", "headers": [pair, pair]}
    await bench.app(scope, receive, send)
    assert sent[0]["status"] == 401


async def test_a_websocket_is_closed_before_it_opens() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await Bench().app({"type": "websocket", "path": "/account", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
