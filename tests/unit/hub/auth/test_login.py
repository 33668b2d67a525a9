"""Logins: whose signature, over which text, until when."""

import asyncio
from typing import Any

import pytest

from fakes import FakeClock, SeededEntropy
from qubic_vectors import qubic_vectors
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.login import Logins
from realtime_hub.signatures import SignatureChecks
from realtime_protocol._pure_fourq import N
from realtime_protocol.client import CHALLENGE_TTL_MS_MAX
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.wallet_signatures import (
    parse_extension_answer,
    parse_message_json,
    parse_walletconnect_answer,
    sign_login,
)

VECTORS = qubic_vectors()
KEYS = keypair(VECTORS["keys"][0]["seed"])
OTHER = keypair(VECTORS["keys"][1]["seed"])
DOMAIN = "app.example"
URI = "wss://hub.example/v1"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def logins(clock: FakeClock) -> Logins:
    return Logins(
        verifier=SignatureChecks(),
        clock=clock,
        entropy=SeededEntropy(),
        chain="devnet",
        session_ttl_ms=3_600_000,
        grants=delegation_of(clock),
    )


def delegation_of(clock: FakeClock) -> Delegation:
    return Delegation(MemoryGrants(), clock=clock, entropy=SeededEntropy())


def issue(logins: Logins) -> LoginChallenge:
    return logins.issue_challenge(domain=DOMAIN, uri=URI, ttl_ms=10_000)


def signed(
    challenge: LoginChallenge,
    keys: KeyPair = KEYS,
    scheme: Scheme = Scheme.WC,
    resources: list[str] | None = None,
) -> bytes:
    return sign_login(scheme, keys, build_login_text(challenge, keys.public_key, resources or []))


async def refusal(logins: Logins, challenge: LoginChallenge, **login: Any) -> ErrorCode:
    given = {"wallet": KEYS.public_key, "scheme": Scheme.WC, "signature": bytes(64), **login}
    with pytest.raises(RequestError) as raised:
        await logins.prove(challenge, **given)
    return raised.value.code


def test_a_challenge_has_22_letters_and_whole_seconds(logins: Logins, clock: FakeClock) -> None:
    clock.advance_ms(345)
    challenge = issue(logins)
    assert len(challenge.nonce) == 22
    assert challenge.nonce.isalnum()
    assert challenge.issued_ms % 1_000 == challenge.expires_ms % 1_000 == 0
    assert challenge.expires_ms - clock.now_ms() >= 10_000
    assert challenge.nonce != issue(logins).nonce


def test_the_longest_challenge_is_not_rounded_up_beyond_what_clients_sign(
    logins: Logins, clock: FakeClock
) -> None:
    clock.advance_ms(345)
    challenge = logins.issue_challenge(domain=DOMAIN, uri=URI, ttl_ms=300_000)
    assert challenge.expires_ms - challenge.issued_ms == CHALLENGE_TTL_MS_MAX


@pytest.mark.parametrize("ttl_ms", [0, 999, 300_001])
def test_a_lifetime_out_of_bounds_is_refused(logins: Logins, ttl_ms: int) -> None:
    with pytest.raises(RequestError, match="ttl"):
        logins.issue_challenge(domain=DOMAIN, uri=URI, ttl_ms=ttl_ms)


@pytest.mark.parametrize("scheme", [Scheme.WC, Scheme.K12, Scheme.RAW])
async def test_a_wallet_proves_itself_in_each_scheme(
    logins: Logins, clock: FakeClock, scheme: Scheme
) -> None:
    challenge = issue(logins)
    proven = await logins.prove(
        challenge,
        wallet=KEYS.public_key,
        scheme=scheme,
        signature=signed(challenge, scheme=scheme),
    )
    assert proven.wallet == KEYS.public_key
    assert proven.scopes == ("trust", "quote", "pay")
    assert proven.session_exp_ms == clock.now_ms() + 3_600_000


async def test_scope_lines_narrow_what_a_session_may_do(logins: Logins) -> None:
    lines = ["urn:qubic:realtime:scope:trust"]
    challenge = issue(logins)
    proven = await logins.prove(
        challenge,
        wallet=KEYS.public_key,
        scheme=Scheme.WC,
        signature=signed(challenge, resources=lines),
        resources=lines,
    )
    assert proven.scopes == ("trust",)


async def test_resources_that_were_not_signed_are_refused(logins: Logins) -> None:
    challenge = issue(logins)
    code = await refusal(
        logins,
        challenge,
        signature=signed(challenge),
        resources=["urn:qubic:realtime:scope:pay"],
    )
    assert code is ErrorCode.BAD_SIGNATURE


async def test_an_unknown_resource_is_refused(logins: Logins) -> None:
    code = await refusal(logins, issue(logins), resources=["urn:qubic:realtime:scope:admin"])
    assert code is ErrorCode.BAD_MESSAGE


async def test_a_signature_of_another_scheme_is_refused(logins: Logins) -> None:
    challenge = issue(logins)
    signature = signed(challenge, scheme=Scheme.K12)
    assert await refusal(logins, challenge, signature=signature) is ErrorCode.BAD_SIGNATURE


async def test_another_wallets_signature_is_refused(logins: Logins) -> None:
    challenge = issue(logins)
    signature = sign_login(Scheme.WC, OTHER, build_login_text(challenge, KEYS.public_key))
    assert await refusal(logins, challenge, signature=signature) is ErrorCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"domain": "evil.example"},
        {"uri": "wss://evil.example/v1"},
        {"nonce": "A" * 22},
        {"chain": "mainnet"},
        {"request_id": "x"},
    ],
)
async def test_a_text_with_another_field_is_refused(logins: Logins, change: dict[str, str]) -> None:
    challenge = issue(logins)
    fields = {name: getattr(challenge, name) for name in LoginChallenge.__slots__}
    signature = signed(LoginChallenge(**{**fields, **change}))
    assert await refusal(logins, challenge, signature=signature) is ErrorCode.BAD_SIGNATURE


async def test_an_expired_challenge_is_refused_by_the_hubs_own_clock(
    logins: Logins, clock: FakeClock
) -> None:
    challenge = issue(logins)
    clock.advance_ms(challenge.expires_ms - clock.now_ms())
    code = await refusal(logins, challenge, signature=signed(challenge))
    assert code is ErrorCode.CHALLENGE_EXPIRED


async def test_the_malleated_twin_of_a_signature_is_refused(logins: Logins) -> None:
    challenge = issue(logins)
    signature = signed(challenge)
    twin_s = int.from_bytes(signature[32:], "little") + N
    twin = signature[:32] + twin_s.to_bytes(32, "little")
    assert await refusal(logins, challenge, signature=twin) is ErrorCode.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("wallet", "named"),
    [(bytes(32), "zero key"), (b"\1" + bytes(31), "contract 1"), (b"\xff" * 32, "bit 127")],
)
async def test_a_key_that_nobody_can_hold_is_refused_with_the_reason(
    logins: Logins, wallet: bytes, named: str
) -> None:
    with pytest.raises(RequestError, match=named) as raised:
        await logins.prove(issue(logins), wallet=wallet, scheme=Scheme.WC, signature=bytes(64))
    assert raised.value.code is ErrorCode.BAD_SIGNATURE


@pytest.mark.parametrize("number", range(12))
async def test_every_wallet_message_passes_the_logins_own_check(
    logins: Logins, number: int
) -> None:
    vector = VECTORS["wallet_messages"][number]
    text, wallet = vector["message"].encode(), bytes.fromhex(vector["public_key"])
    answers = [
        (Scheme.WC, parse_walletconnect_answer(vector["A_walletconnect_qubic_sign"], text)),
        (Scheme.K12, parse_extension_answer(vector["B_extension_signMessage"], text)),
        (Scheme.RAW, parse_message_json(vector["C_raw_message_json"], text, wallet)),
        (Scheme.WC, parse_message_json(vector["D_prefixed_json"], text, wallet)),
    ]
    for scheme, signature in answers:
        await logins.check_signature(wallet=wallet, scheme=scheme, text=text, signature=signature)


async def test_checks_beyond_the_bound_are_refused_with_a_time_to_wait(
    clock: FakeClock,
) -> None:
    checks = SignatureChecks(pending_max=1)
    waiting = asyncio.ensure_future(checks.verify(KEYS.public_key, b"", bytes(64)))
    await asyncio.sleep(0)
    logins = Logins(
        verifier=checks,
        clock=clock,
        entropy=SeededEntropy(),
        chain="devnet",
        session_ttl_ms=1,
        grants=delegation_of(clock),
    )
    with pytest.raises(RequestError) as raised:
        await logins.prove(
            issue(logins), wallet=KEYS.public_key, scheme=Scheme.WC, signature=bytes(64)
        )
    assert raised.value.code is ErrorCode.OVERLOADED
    assert raised.value.retry_after_ms == 1
    assert not await waiting
