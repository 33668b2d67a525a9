"""L1: bounded, and a crowd that comes once doesn't push out those who come all the time."""

import random

import pytest

from realtime_hub.auth.standing import Standing
from realtime_hub.auth.wallet_memory import WalletMemory
from realtime_protocol.identity import PublicKey
from trust_fakes import record

NOW_MS = 1_764_000_000_000


def wallet(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def memory(wallets_max: int) -> WalletMemory:
    return WalletMemory(wallets_max=wallets_max, ttl_ms=5_000)


def standing(number: int, *, verified_ms: int = NOW_MS) -> Standing:
    return Standing(record(wallet(number)), verified_ms=verified_ms)


def asked(kept: WalletMemory, number: int) -> bool:
    """Ask as a hub does: what isn't there is read and put."""
    if kept.ready([wallet(number)], NOW_MS) is not None:
        return True
    kept.put(wallet(number), standing(number))
    return False


def test_the_bound_holds_whatever_is_asked() -> None:
    kept, rng = memory(50), random.Random(1)
    for _ in range(5_000):
        asked(kept, rng.randrange(200))
        assert len(kept) <= 50
        assert len(kept._short) + len(kept._long) == len(kept)
        assert len(kept._left) <= 50


def test_a_memory_of_one_wallet_keeps_the_newest() -> None:
    kept = memory(1)
    for number in range(1, 5):
        asked(kept, number)
    assert len(kept) == 1


def hot_hits(kept: WalletMemory, *, strangers: int, hot: int, hot_share: float) -> float:
    """Return how often a hot wallet was there, while strangers come once each."""
    rng, hits, asks, newest = random.Random(7), 0, 0, 1_000_000
    for number in range(hot):
        asked(kept, number)
        asked(kept, number)
    while newest < 1_000_000 + strangers:
        if rng.random() < hot_share:
            asks += 1
            hits += asked(kept, rng.randrange(hot))
        else:
            newest += 1
            asked(kept, newest)
    return hits / asks


def test_strangers_do_not_push_out_wallets_in_use() -> None:
    assert hot_hits(memory(1_000), strangers=20_000, hot=600, hot_share=0.2) >= 0.95


@pytest.mark.slow
def test_a13_a_million_strangers_leave_the_wallets_in_use_there() -> None:
    kept = memory(20_000)
    assert hot_hits(kept, strangers=1_000_000, hot=10_000, hot_share=0.3) >= 0.95
    assert len(kept) <= 20_000


def test_a_wallet_that_comes_back_soon_is_let_into_the_long_queue() -> None:
    kept = memory(20)
    asked(kept, 1)
    for number in range(100, 121):
        asked(kept, number)
    assert kept.get(wallet(1)) is None
    asked(kept, 1)
    for number in range(200, 240):
        asked(kept, number)
    assert kept.get(wallet(1)) is not None


def test_a_doubted_wallet_is_known_but_not_good_until_it_is_verified_again() -> None:
    kept = memory(10)
    kept.put(wallet(1), standing(1))
    kept.doubt_all(NOW_MS + 10)
    assert kept.get(wallet(1)) is not None
    assert not kept.good(wallet(1), NOW_MS + 10)
    kept.put(wallet(1), standing(1))
    assert kept.ready([wallet(1)], NOW_MS + 10) is None
    kept.put(wallet(1), standing(1, verified_ms=NOW_MS + 10))
    assert kept.good(wallet(1), NOW_MS + 10)
