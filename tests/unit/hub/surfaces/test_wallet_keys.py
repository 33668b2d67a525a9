"""Keys that log in for a wallet, listed and revoked over REST by a proof for each request."""

import base64
from typing import Any

import pytest

from app_fakes import TOKEN
from asgi import Answer
from realtime_hub.auth.grant_store import GrantsUnavailable
from realtime_hub.surfaces.wallet_proofs import base64url
from realtime_protocol.identity import PublicKey
from rest_wallet import DAY_MS, DOMAIN, IDENTITY, KEY, OTHER_KEY, OTHER_SEED, SEED, WALLET, RestHub

LIST, REVOKE = "wallet/keys/list", "wallet/keys/revoke"
KEY_TEXT, OTHER_TEXT = base64url(KEY), base64url(OTHER_KEY)


@pytest.fixture
def hub() -> RestHub:
    return RestHub()


async def keys_of(hub: RestHub, **signer: Any) -> list[str]:
    answer = await hub.post(LIST, await hub.proof(**signer))
    assert answer.status == 200
    return [one["key"] for one in answer.json()["keys"]]


def refusal(answer: Answer) -> tuple[int, int]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status, answer.json()["code"]


async def test_the_wallet_is_told_of_each_key_what_it_may_do_and_until_when(hub: RestHub) -> None:
    begun_ms = hub.clock.now_ms()
    await hub.grant(scopes=("trust", "pay"))
    hub.clock.advance_ms(1_000)
    answer = await hub.post(LIST, await hub.proof())
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "wallet": IDENTITY,
        "keys": [
            {
                "key": KEY_TEXT,
                "scopes": ["trust", "pay"],
                "until_ms": begun_ms + DAY_MS,
                "domain": DOMAIN,
                "created_ms": begun_ms,
                "last_used_ms": begun_ms,
                "spends": [],
            }
        ],
    }


async def test_the_wallet_revokes_one_key_or_all_and_whoever_stands_on_them_is_told(
    hub: RestHub,
) -> None:
    ended: list[bytes] = []
    hub.delegation.listeners.append(ended.append)
    grants = [await hub.grant(), await hub.grant(OTHER_KEY)]
    answer = await hub.post(REVOKE, {**await hub.proof(), "key": KEY_TEXT})
    assert answer.json() == {"wallet": IDENTITY, "revoked": 1}
    assert ended == [grants[0].grant_id]
    assert await keys_of(hub) == [OTHER_TEXT]
    answer = await hub.post(REVOKE, {**await hub.proof(), "key": KEY_TEXT})
    assert answer.json()["revoked"] == 0
    await hub.grant()
    assert (await hub.post(REVOKE, {**await hub.proof(), "all": True})).json()["revoked"] == 2
    assert await keys_of(hub) == []
    assert await hub.grants.load([WALLET]) == [()]


async def test_a_key_sees_and_revokes_itself_only(hub: RestHub) -> None:
    await hub.grant()
    await hub.grant(OTHER_KEY)
    assert await keys_of(hub, seed=SEED) == [KEY_TEXT]
    for which in ({"key": OTHER_TEXT}, {"all": True}):
        answer = await hub.post(REVOKE, {**await hub.proof(seed=SEED), **which})
        assert refusal(answer) == (403, 102)
    answer = await hub.post(REVOKE, {**await hub.proof(seed=SEED), "key": KEY_TEXT})
    assert answer.json()["revoked"] == 1
    assert await keys_of(hub) == [OTHER_TEXT]


async def test_a_key_that_was_revoked_or_never_granted_proves_nothing(hub: RestHub) -> None:
    await hub.grant()
    assert refusal(await hub.post(LIST, await hub.proof(seed=OTHER_SEED))) == (401, 204)
    await hub.delegation.revoke(WALLET, KEY)
    assert refusal(await hub.post(LIST, await hub.proof(seed=SEED))) == (401, 204)


async def test_a_proof_is_good_for_one_request(hub: RestHub) -> None:
    await hub.grant()
    proof = await hub.proof()
    assert (await hub.post(LIST, proof)).status == 200
    assert refusal(await hub.post(REVOKE, {**proof, "all": True})) == (401, 201)
    assert await keys_of(hub) == [KEY_TEXT]


async def test_a_page_of_another_domain_has_no_use_of_a_proof(hub: RestHub) -> None:
    await hub.grant()
    proof = await hub.proof()
    answer = await hub.post(LIST, proof, origin="https://other.example")
    assert refusal(answer) == (403, 202)
    answer = await hub.post(LIST, await hub.proof(), origin="https://evil.example")
    assert refusal(answer) == (403, 202)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"signature": "00" * 64}, (401, 204)),
        ({"scheme": "key"}, (400, 103)),
        ({"scheme": "ed25519"}, (400, 205)),
        ({"challenge_id": "unknown"}, (401, 201)),
        ({"message": "another text"}, (401, 204)),
        ({"all": False}, (400, 103)),
        ({"key": KEY_TEXT}, (400, 103)),
        ({"all": False, "key": KEY_TEXT + "="}, (400, 103)),
        ({"all": False, "key": KEY_TEXT[:-1] + "_"}, (400, 103)),
        ({"surprise": 1}, (400, 103)),
    ],
)
async def test_what_is_not_clear_or_not_proven_revokes_nothing(
    hub: RestHub, change: dict[str, object], expected: tuple[int, int]
) -> None:
    await hub.grant()
    body = {**await hub.proof(), "all": True, **change}
    assert refusal(await hub.post(REVOKE, body)) == expected
    assert await keys_of(hub) == [KEY_TEXT]


async def test_an_api_key_takes_no_wallets_place_but_passes_its_proof_on(hub: RestHub) -> None:
    await hub.grant()
    keyed = {"authorization": f"Bearer {TOKEN}"}
    unproven = {"challenge_id": "a", "wallet_address": IDENTITY, "scheme": "wc"}
    answer = await hub.post(LIST, {**unproven, "signature": "00" * 64}, **keyed)
    assert refusal(answer) == (401, 201)
    answer = await hub.post(LIST, await hub.proof(headers=keyed), **keyed)
    assert [one["key"] for one in answer.json()["keys"]] == [KEY_TEXT]


async def test_a_store_that_can_not_be_reached_is_no_empty_list(
    hub: RestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.grant()
    proofs = [await hub.proof(), await hub.proof()]

    async def gone(_wallets: list[PublicKey]) -> list[Any]:
        raise GrantsUnavailable("no Redis")

    monkeypatch.setattr(hub.grants, "load", gone)
    assert refusal(await hub.post(LIST, proofs[0])) == (503, 108)
    assert refusal(await hub.post(REVOKE, {**proofs[1], "all": True})) == (503, 108)


@pytest.mark.parametrize("key", ["", "A", "A" * 44, base64.b64encode(KEY).decode(), "é" * 43])
async def test_a_challenge_lists_no_key_that_is_not_one(hub: RestHub, key: str) -> None:
    answer = await hub.post("challenge", {"wallet": IDENTITY, "key": key})
    assert refusal(answer) == (400, 103)
