"""The published keys: what verifiers need, nothing secret, and good to cache."""

from typing import Any

import pytest
from starlette.applications import Starlette

from asgi import call
from fakes import FakeClock
from realtime_hub.keys import KeyRing, Purpose, first_keys
from realtime_hub.surfaces.published_keys import MAX_AGE_S, key_routes

SEEDS = {purpose: bytes([number]) * 32 for number, purpose in enumerate(Purpose, 1)}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ring(clock: FakeClock) -> KeyRing:
    ring = first_keys(SEEDS, dict.fromkeys(Purpose, 1_000), now_ms=clock.now_ms())
    return ring.rotated(Purpose.DECISION, bytes(32), now_ms=clock.now_ms(), lead_ms=100)


@pytest.fixture
def app(ring: KeyRing, clock: FakeClock) -> Any:
    return Starlette(routes=key_routes(lambda: ring, clock))


async def test_every_published_key_is_told_with_its_times(
    app: Any, ring: KeyRing, clock: FakeClock
) -> None:
    answer = await call(app, "GET", "/api/v1/keys")
    now_ms = clock.now_ms()
    told = {
        bytes.fromhex(key["key_id"]): bytes.fromhex(key["public_key"])
        for key in answer.json()["keys"]
        if key["purpose"] == "decision"
    }
    assert told == ring.public_keys(Purpose.DECISION, now_ms)
    old = answer.json()["keys"][0]
    assert (old["state"], old["algorithm"]) == ("signing", "Ed25519")
    assert old["signs_until_ms"] == now_ms + 100
    assert old["published_until_ms"] == now_ms + 1_100
    assert answer.headers["cache-control"] == f"public, max-age={MAX_AGE_S}"
    assert not any(seed.hex().encode() in answer.body for seed in SEEDS.values())


async def test_a_key_that_is_gone_is_published_no_more(app: Any, clock: FakeClock) -> None:
    clock.advance_ms(1_100)
    keys = (await call(app, "GET", "/api/v1/keys")).json()["keys"]
    assert [key["state"] for key in keys] == ["signing"] * 3


async def test_an_unchanged_set_isnt_sent_again(app: Any, clock: FakeClock) -> None:
    first = await call(app, "GET", "/api/v1/keys")
    tag = {"if-none-match": first.headers["etag"]}
    again = await call(app, "GET", "/api/v1/keys", headers=tag)
    assert (again.status, again.body) == (304, b"")
    clock.advance_ms(100)
    assert (await call(app, "GET", "/api/v1/keys", headers=tag)).status == 200


async def test_the_jwk_set_holds_the_event_keys_alone(app: Any, ring: KeyRing) -> None:
    answer = await call(app, "GET", "/.well-known/jwks.json")
    key = ring.signing(Purpose.EVENT, 0)
    [jwk] = answer.json()["keys"]
    assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("OKP", "Ed25519", "EdDSA", "sig")
    assert jwk["kid"] == key.key_id.hex()
    assert "d" not in jwk
