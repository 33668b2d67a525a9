"""Challenges outside a connection: once, in time, bounded."""

import pytest

from fakes import FakeClock
from realtime_hub.adapters.memory_challenges import MemoryChallenges
from realtime_hub.auth.challenges import IssuedChallenge
from realtime_protocol.errors import RequestError
from realtime_protocol.login_text import LoginChallenge

ISSUED = IssuedChallenge(
    bytes(32),
    LoginChallenge("A" * 22, 1_000, 11_000, "app.example", "wss://hub.example/v1", "devnet", "r1"),
)


async def test_a_challenge_is_taken_once() -> None:
    store = MemoryChallenges(FakeClock())
    await store.put("a", ISSUED, ttl_ms=1_000)
    assert await store.take("a") == ISSUED
    assert await store.take("a") is None


async def test_a_challenge_that_ran_out_is_gone() -> None:
    clock = FakeClock()
    store = MemoryChallenges(clock)
    await store.put("a", ISSUED, ttl_ms=1_000)
    clock.advance_ms(1_000)
    assert await store.take("a") is None


async def test_at_the_bound_what_ran_out_makes_room_and_nothing_else_does() -> None:
    clock = FakeClock()
    store = MemoryChallenges(clock, challenges_max=2)
    await store.put("a", ISSUED, ttl_ms=1_000)
    await store.put("b", ISSUED, ttl_ms=2_000)
    with pytest.raises(RequestError, match="2 challenges wait"):
        await store.put("c", ISSUED, ttl_ms=1_000)
    clock.advance_ms(1_000)
    await store.put("c", ISSUED, ttl_ms=1_000)
    assert await store.take("b") == ISSUED
