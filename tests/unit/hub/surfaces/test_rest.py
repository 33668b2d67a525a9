"""REST: what comes in is parsed strictly, what goes out names its code."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from app_fakes import SHOP, TOKEN, api_key, fake_apps
from asgi import Answer, call
from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.apps.service import Apps
from realtime_hub.auth.challenges import ProvenChallenge
from realtime_hub.auth.decisions import SignedDecision
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.login import ProvenLogin
from realtime_hub.readiness import Readiness
from realtime_hub.surfaces.rest import RestContext, build_rest_app
from realtime_protocol.codes import ErrorCode
from realtime_protocol.decision import (
    Decision,
    key_id_of,
    parse_decision,
    sign_decision,
)
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.messages import Scheme, Trust, TrustReason, TrustStatus, TrustTier
from realtime_protocol.session_key import session_public_key

WALLET = PublicKey(bytes(range(32)))
SEED = bytes(32)
IDENTITY = encode_identity(WALLET)
TRUST = Trust(TrustStatus.ACTIVE, 80, 7, 0, TrustTier.L1, 3, 1_764_000_005_000)


class FakeAuth:
    """Answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refusal: Exception | None = None
        self.answer = TRUST

    async def issue_rest_challenge(
        self, wallet: PublicKey, *, domain: str, uri: str, key: bytes | None
    ) -> tuple[str, str, int]:
        self.asked.append(("challenge", wallet, domain, uri))
        return "id-1", "text", 1_764_000_010_000

    async def prove_rest(
        self,
        challenge_id: str,
        wallet: PublicKey,
        *,
        scheme: Scheme,
        signature: bytes,
        domain: str,
        message: str | None,
    ) -> ProvenChallenge:
        self.asked.append(("verify", challenge_id, wallet, scheme, signature, domain, message))
        if self.refusal:
            raise self.refusal
        return ProvenChallenge(ProvenLogin(wallet, ("trust",), 2), "nonce-1")

    async def get(self, wallets: list[PublicKey]) -> list[Trust]:
        if self.refusal:
            raise self.refusal
        return [self.answer for _ in wallets]


@pytest.fixture
def auth() -> FakeAuth:
    return FakeAuth()


class FakeDecisions:
    """Signs whatever it is asked for."""

    def __init__(self) -> None:
        self.refusal: Exception | None = None

    async def issue(
        self,
        wallet: PublicKey,
        *,
        audience: str,
        nonce: str | None = None,
        session_key: bytes | None = None,
        session_key_until_ms: int | None = None,
        see: Callable[[PublicKey, Trust], Trust] | None = None,
    ) -> SignedDecision:
        if self.refusal:
            raise self.refusal
        trust = TRUST if see is None else see(wallet, TRUST)
        decision = Decision(
            wallet=wallet,
            status=trust.status,
            score=trust.score,
            seq=7,
            epoch=bytes(8),
            issued_ms=1,
            fresh_until_ms=2,
            stale_until_ms=3,
            audience=audience,
            session_key=session_key,
            key_id=key_id_of(session_public_key(SEED)),
            nonce=nonce,
        )
        return SignedDecision(decision, sign_decision(SEED, decision))


@pytest.fixture
def decisions() -> FakeDecisions:
    return FakeDecisions()


@pytest.fixture
def apps() -> Apps:
    return fake_apps(FakeClock(), api_key(requests_per_s=2))[0]


@pytest.fixture
def app(auth: FakeAuth, decisions: FakeDecisions, apps: Apps) -> Any:
    return build_rest_app(
        RestContext(
            auth=auth,
            decisions=decisions,
            grants=Delegation(MemoryGrants(), clock=FakeClock(), entropy=SeededEntropy()),
            uri="ws://127.0.0.1:8080/v1",
            domain_without_origin="127.0.0.1:8080",
            origins={"https://app.example": "app.example"},
            apps=apps,
            readiness=lambda: Readiness(False, {"chain": "no node answers"}),
            admit=lambda _address: None,
        )
    )


async def post(app: Any, path: str, body: object, **headers: str) -> Answer:
    return await call(app, "POST", path, body=json.dumps(body).encode(), headers=headers)


async def test_a_status_names_wallet_status_and_score(app: Any) -> None:
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}")
    assert answer.status == 200
    assert answer.json() == {
        "wallet": IDENTITY,
        "status": "ACTIVE",
        "trust_score": 80,
        "reason": "none",
        "seq": 7,
        "tier": "L1",
        "age_ms": 3,
        "use_until_ms": 1_764_000_005_000,
    }


async def test_an_unavailable_status_names_its_reason(app: Any, auth: FakeAuth) -> None:
    auth.answer = Trust(TrustStatus.UNKNOWN, 0, 0, TrustReason.UNAVAILABLE, TrustTier.NONE, 0, 0)
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}")
    assert answer.json()["reason"] == "unavailable"


async def test_a_bad_identity_is_a_problem_with_its_code(app: Any) -> None:
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY[:-1]}")
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == 103


async def test_the_domain_of_a_challenge_is_the_callers(app: Any, auth: FakeAuth) -> None:
    await post(app, "/api/v1/challenge", {"wallet": IDENTITY})
    await post(app, "/api/v1/challenge", {"wallet": IDENTITY}, origin="https://app.example")
    assert [asked[2] for asked in auth.asked] == ["127.0.0.1:8080", "app.example"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil"])
async def test_an_unknown_origin_gets_no_challenge(app: Any, auth: FakeAuth, origin: str) -> None:
    answer = await post(app, "/api/v1/challenge", {"wallet": IDENTITY}, origin=origin)
    assert (answer.status, answer.json()["code"]) == (403, 202)
    assert auth.asked == []


async def test_another_domain_than_the_callers_is_refused(app: Any) -> None:
    body = {"wallet": IDENTITY, "domain": "bank.example"}
    answer = await post(app, "/api/v1/challenge", body)
    assert (answer.status, answer.json()["code"]) == (403, 202)


async def test_a_signature_reaches_the_check_as_bytes(app: Any, auth: FakeAuth) -> None:
    body = {
        "challenge_id": "id-1",
        "wallet_address": IDENTITY,
        "scheme": "k12",
        "signature": "ab" * 64,
    }
    answer = await post(app, "/api/v1/verify", body)
    assert answer.json()["valid"] is True
    assert auth.asked == [
        ("verify", "id-1", WALLET, Scheme.K12, b"\xab" * 64, "127.0.0.1:8080", None)
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scheme": "ed25519"}, 205),
        ({"signature": "zz"}, 103),
        ({"wallet_address": "A" * 60}, 103),
        ({"unknown": 1}, 103),
        ({"challenge_id": 5}, 103),
    ],
)
async def test_a_bad_verify_is_refused_with_its_code(
    app: Any, auth: FakeAuth, change: dict[str, object], code: int
) -> None:
    body = {
        "challenge_id": "id-1",
        "wallet_address": IDENTITY,
        "scheme": "wc",
        "signature": "ab" * 64,
        **change,
    }
    answer = await post(app, "/api/v1/verify", body)
    assert answer.json()["code"] == code
    assert auth.asked == []


async def test_a_refusal_carries_status_code_and_retry_time(app: Any, auth: FakeAuth) -> None:
    auth.refusal = RequestError(ErrorCode.OVERLOADED, "queue full", retry_after_ms=1_500)
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["retry_after_ms"] == 1_500
    assert answer.json()["retryable"] is True


async def test_our_own_failure_tells_nothing_of_its_cause(app: Any, auth: FakeAuth) -> None:
    auth.refusal = RuntimeError("secret path")
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}")
    assert answer.status == 500
    assert answer.json()["code"] == 100
    assert b"secret" not in answer.body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"wallet":1}', b"[" * 9_000])
async def test_a_body_that_is_not_the_message_is_103(app: Any, body: bytes) -> None:
    answer = await call(app, "POST", "/api/v1/challenge", body=body)
    assert (answer.status, answer.json()["code"]) == (400, 103)


async def test_a_body_over_the_limit_is_105(app: Any) -> None:
    answer = await call(app, "POST", "/api/v1/challenge", body=b" " * 20_000)
    assert (answer.status, answer.json()["code"]) == (413, 105)


async def test_an_unknown_path_is_a_problem_too(app: Any) -> None:
    answer = await call(app, "GET", "/api/v1/nothing")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_readiness_names_what_stands_in_the_way(app: Any) -> None:
    assert (await call(app, "GET", "/healthz")).status == 200
    answer = await call(app, "GET", "/readyz")
    assert answer.status == 503
    assert answer.json() == {"ready": False, "parts": {"chain": "no node answers"}}


async def test_a_page_of_an_allowed_origin_may_read_the_answer_and_another_may_not(
    app: Any,
) -> None:
    allowed = await call(
        app, "GET", f"/api/v1/status/{IDENTITY}", headers={"origin": "https://app.example"}
    )
    evil = await call(
        app, "GET", f"/api/v1/status/{IDENTITY}", headers={"origin": "https://evil.example"}
    )
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in evil.headers


def carried(text: str) -> Decision:
    return parse_decision(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


async def test_a_decision_is_for_the_audience_that_is_named(app: Any) -> None:
    answer = await call(app, "GET", f"/api/v1/decision/{IDENTITY}?audience=door-7")
    told = answer.json()
    decision = carried(told.pop("decision"))
    assert (decision.wallet, decision.audience, decision.nonce) == (WALLET, "door-7", None)
    assert told == {
        "wallet": IDENTITY,
        "status": "ACTIVE",
        "trust_score": 80,
        "seq": 7,
        "fresh_until_ms": 2,
        "stale_until_ms": 3,
        "key_id": decision.key_id.hex(),
    }


async def test_a_decision_without_an_audience_is_refused_with_the_remedy(app: Any) -> None:
    answer = await call(app, "GET", f"/api/v1/decision/{IDENTITY}")
    assert (answer.status, answer.json()["code"]) == (400, 103)
    assert "?audience=door-7" in answer.json()["detail"]


async def test_a_verified_wallet_gets_a_decision_for_the_domain_and_the_nonce(
    app: Any, decisions: FakeDecisions
) -> None:
    body = {
        "challenge_id": "id-1",
        "wallet_address": IDENTITY,
        "scheme": "wc",
        "signature": "00" * 64,
    }
    answer = await post(app, "/api/v1/verify", body)
    decision = carried(answer.json()["decision"])
    assert (decision.audience, decision.nonce) == ("127.0.0.1:8080", "nonce-1")

    decisions.refusal = RequestError(ErrorCode.BACKBONE_UNAVAILABLE)
    answer = await post(app, "/api/v1/verify", body)
    assert (answer.status, answer.json()["decision"]) == (200, None)
    decisions.refusal = RequestError(ErrorCode.BAD_MESSAGE)
    assert (await post(app, "/api/v1/verify", body)).status == 400


# API keys ---------------------------------------------------------------------------------------

KEYED = {"authorization": f"Bearer {TOKEN}"}


async def test_a_backend_asks_challenges_for_its_apps_domain_alone(
    app: Any, auth: FakeAuth
) -> None:
    answer = await post(app, "/api/v1/challenge", {"wallet": IDENTITY}, **KEYED)
    assert answer.status == 200
    assert auth.asked[-1][2] == "shop.example"
    body = {"wallet": IDENTITY, "domain": "app.example"}
    answer = await post(app, "/api/v1/challenge", body, **KEYED)
    assert answer.json()["code"] == ErrorCode.DOMAIN_MISMATCH


async def test_an_api_key_has_its_own_rate(app: Any) -> None:
    for _ in range(4):
        assert (await call(app, "GET", f"/api/v1/status/{IDENTITY}", headers=KEYED)).status == 200
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}", headers=KEYED)
    assert answer.status == 429
    assert answer.json()["retry_after_ms"] == 500


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer rtk_wrong"}, 401),
        ({**KEYED, "origin": "https://app.example"}, 403),
    ],
)
async def test_wrong_keys_and_keys_in_pages_are_refused(
    app: Any, headers: dict[str, str], status: int
) -> None:
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}", headers=headers)
    assert answer.status == status


async def test_an_apps_block_is_in_its_own_answers_only(app: Any, apps: Apps) -> None:
    shop = apps.named(SHOP)
    assert shop is not None
    apps.block(shop, parse_identity(IDENTITY), reason=7)
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}", headers=KEYED)
    assert (answer.json()["status"], answer.json()["reason"]) == ("BLOCKED", "blocked_by_app")
    path = f"/api/v1/decision/{IDENTITY}?audience=door-7"
    assert (await call(app, "GET", path, headers=KEYED)).json()["status"] == "BLOCKED"
    answer = await call(app, "GET", f"/api/v1/status/{IDENTITY}")
    assert answer.json()["status"] == "ACTIVE"
