"""Decisions over REST that name a session key: whose, for how long, and when none is named."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app_fakes import SHOP, TOKEN
from asgi import Answer
from realtime_hub.surfaces.wallet_proofs import base64url
from realtime_protocol.decision import Decision, key_id_of, verify_decision
from realtime_protocol.messages import Position, TrustStatus
from realtime_protocol.session_key import session_public_key
from rest_wallet import (
    DOMAIN,
    KEY,
    OTHER_SEED,
    SEED,
    SESSION_TTL_MS,
    WALLET,
    RestHub,
)
from trust_fakes import record

HUB_KEY = session_public_key(bytes(32))
KEYS = {key_id_of(HUB_KEY): HUB_KEY}
DOOR, NONCE = {"audience": "door-7"}, "n0nce-of-the-door"
STALE_MS = 2_000


@pytest.fixture
async def hub() -> AsyncIterator[RestHub]:
    async with RestHub().running() as made:
        yield made


def decided(answer: Answer, *, audience: str = "door-7", nonce: str | None = None) -> Decision:
    assert answer.status == 200, answer.json()
    text = answer.json()["decision"]
    signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return verify_decision(signed, KEYS, audience=audience, nonce=nonce)


def refusal(answer: Answer) -> tuple[int, int]:
    return answer.status, answer.json()["code"]


async def verify(hub: RestHub, *, more: dict[str, Any] = DOOR, **signer: Any) -> Answer:
    return await hub.post("verify", {**await hub.proof(**signer), **more})


async def test_a_granted_key_that_signs_is_named_with_what_it_was_granted(hub: RestHub) -> None:
    await hub.grant(scopes=("trust",))
    answer = await verify(hub, seed=SEED, more={**DOOR, "nonce": NONCE})
    decision = decided(answer, nonce=NONCE)
    assert (decision.wallet, decision.session_key) == (WALLET, KEY)
    told = answer.json()
    assert (told["by_key"], told["scopes"], told["key"]) == (True, ["trust"], base64url(KEY))


async def test_a_key_that_the_wallet_signs_for_is_named_too(hub: RestHub) -> None:
    answer = await verify(hub, key=KEY)
    assert decided(answer).session_key == KEY
    assert (answer.json()["by_key"], answer.json()["key"]) == (False, base64url(KEY))
    assert await hub.delegation.grants_of(WALLET) == ()


async def test_a_proof_without_a_key_names_none(hub: RestHub) -> None:
    answer = await verify(hub, more={})
    decision = decided(answer, audience=DOMAIN)
    assert (decision.session_key, answer.json()["key"]) == (None, None)
    assert decision.nonce is not None


async def test_a_decision_goes_stale_with_the_key_that_it_names(hub: RestHub) -> None:
    grant = await hub.grant()
    hub.clock.epoch_ms = grant.terms.until_ms - 500
    decision = decided(await verify(hub, seed=SEED))
    assert (decision.fresh_until_ms, decision.stale_until_ms) == (grant.terms.until_ms,) * 2
    assert decided(await verify(hub, key=KEY)).stale_until_ms == hub.clock.now_ms() + STALE_MS
    assert STALE_MS < SESSION_TTL_MS


async def test_the_use_of_a_key_is_noted(hub: RestHub) -> None:
    await hub.grant()
    hub.clock.advance_ms(5_000)
    await verify(hub, seed=SEED)
    [grant] = await hub.delegation.grants_of(WALLET)
    assert grant.last_used_ms == hub.clock.now_ms()


async def test_a_key_that_is_not_granted_any_more_is_not_named(hub: RestHub) -> None:
    grant = await hub.grant()
    assert refusal(await verify(hub, seed=OTHER_SEED)) == (401, 204)
    await hub.delegation.revoke(WALLET, KEY)
    assert refusal(await verify(hub, seed=SEED)) == (401, 204)
    await hub.grant()
    proof = await hub.proof(seed=SEED)
    hub.clock.epoch_ms = grant.terms.until_ms
    assert refusal(await hub.post("verify", {**proof, **DOOR}))[0] == 401


async def test_a_key_of_another_domain_is_not_named(hub: RestHub) -> None:
    await hub.grant()
    page = {"origin": "https://other.example"}
    body = await hub.proof(seed=SEED, headers=page)
    assert refusal(await hub.post("verify", {**body, **DOOR}, **page)) == (403, 202)


async def test_another_key_than_the_one_that_signs_is_not_named(hub: RestHub) -> None:
    await hub.grant()
    assert refusal(await verify(hub, seed=OTHER_SEED, key=KEY)) == (401, 204)
    body = {**await hub.proof(key=KEY), "scheme": "key"}
    assert refusal(await hub.post("verify", {**body, **DOOR})) == (401, 204)


@pytest.mark.parametrize("ended", ["revoked", "blocked"])
async def test_a_key_that_ends_while_its_decision_is_signed_is_not_named(
    hub: RestHub, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    await hub.grant()
    book, get = hub.trust.book, hub.trust.book.get

    async def get_and_end(wallets: Any) -> Any:
        found = await get(wallets)
        if ended == "revoked":
            await hub.delegation.revoke(WALLET, KEY)
        else:
            here = book.position()
            hub.delegation.block(WALLET, Position(here.epoch, here.offset + 1))
        return found

    proof = await hub.proof(seed=SEED)
    monkeypatch.setattr(book, "get", get_and_end)
    assert refusal(await hub.post("verify", {**proof, **DOOR})) == (401, 204)


async def test_of_a_blocked_wallet_no_key_is_named(hub: RestHub) -> None:
    hub.trust.source.write(record(WALLET, status=TrustStatus.BLOCKED, score=0, sequence=2))
    answer = await verify(hub, key=KEY)
    decision = decided(answer)
    assert (decision.status, decision.session_key) == (TrustStatus.BLOCKED, None)
    assert answer.json()["key"] is None


async def test_of_a_wallet_that_the_app_blocks_no_key_is_named(hub: RestHub) -> None:
    shop = hub.apps.named(SHOP)
    assert shop is not None
    hub.apps.block(shop, WALLET, reason=7)
    keyed = {"authorization": f"Bearer {TOKEN}"}
    body = await hub.proof(key=KEY, headers=keyed)
    decision = decided(await hub.post("verify", {**body, **DOOR}, **keyed))
    assert (decision.status, decision.session_key) == (TrustStatus.BLOCKED, None)


async def test_without_trust_there_is_no_decision_and_no_key(hub: RestHub) -> None:
    hub.trust.source.silent = True
    answer = await verify(hub, key=KEY)
    assert (answer.status, answer.json()["decision"], answer.json()["key"]) == (200, None, None)


@pytest.mark.parametrize(
    "more",
    [
        {"nonce": "n1"},
        {"audience": ""},
        {"audience": "two words"},
        {"audience": "a" * 62},
        {"audience": "a" * 39, "nonce": "n" * 32},
        {"audience": "door-7", "nonce": "n" * 33},
    ],
)
async def test_an_audience_or_a_nonce_that_no_decision_can_carry_is_refused(
    hub: RestHub, more: dict[str, str]
) -> None:
    assert refusal(await verify(hub, key=KEY, more=more)) == (400, 103)
