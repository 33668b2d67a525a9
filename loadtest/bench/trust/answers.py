"""What an answer costs: from memory by the processor's time, from L2 and L3 by the clock."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from bench.hub.wallets import WALLETS, wallet
from bench.trust.figures import Latencies
from bench.trust.place import Network, running_book
from realtime_hub.auth.trust import TrustBook
from realtime_protocol.codec import (
    decode_request,
    decode_request_body,
    encode_reply,
    encode_request,
)
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import RequestType, TrustTier

MESSAGE_WALLETS: Final = 64
MESSAGES: Final = 200
ROUNDS: Final = 15
ASKED: Final = 500
"""Wallets that are asked for one after the other, cold."""
READ_AHEAD: Final = 512
SHARED_WITHIN_S: Final = 0.2
"""By then a hub has shared what it read."""


def known_wallets(count: int) -> list[PublicKey]:
    """Return wallets that the devnet lists."""
    assert count <= WALLETS
    return [PublicKey(wallet(number).public_key) for number in range(count)]


async def measure_memory(network: Network, counts: Sequence[int]) -> dict[int, float]:
    """Return wallets a second, on one core, of trust.get with 64 wallets: bytes in, bytes out.

    For each count: so many different wallets are in use.
    """
    found = {}
    for count in counts:
        wallets = known_wallets(count)
        # Long enough that none runs out while it is measured.
        async with running_book(network, redis_url=None, ttl_ms=600_000) as book:
            for start in range(0, count, READ_AHEAD):
                await book.get(wallets[start : start + READ_AHEAD])
            found[count] = _rate(book, wallets)
    return found


def _rate(book: TrustBook, wallets: list[PublicKey]) -> float:
    rng = random.Random(1)
    frames = [
        encode_request(RequestType.TRUST_GET, 7, rng.sample(wallets, MESSAGE_WALLETS))
        for _ in range(MESSAGES)
    ]
    best_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for frame in frames:
            request = decode_request(frame)
            answers = book.peek_ready(decode_request_body(request))
            assert answers is not None
            encode_reply(RequestType.TRUST_GET, request.id, answers)
        best_s = min(best_s, time.process_time() - began_s)
    return MESSAGES * MESSAGE_WALLETS / best_s


async def measure_cold(network: Network, redis_url: str) -> tuple[Latencies, Latencies]:
    """Return how long wallets take that memory doesn't have: from Redis, from the contract."""
    wallets = known_wallets(ASKED)
    async with running_book(network, redis_url=redis_url) as book:
        from_source = await _timed(book, wallets, TrustTier.L3)
        await asyncio.sleep(SHARED_WITHIN_S)
        async with running_book(network, redis_url=redis_url) as another_hub:
            from_cache = await _timed(another_hub, wallets, TrustTier.L2)
    return Latencies(from_cache), Latencies(from_source)


async def _timed(book: TrustBook, wallets: Sequence[PublicKey], tier: TrustTier) -> list[float]:
    took_ms = []
    for one in wallets:
        began_s = time.perf_counter()
        [answer] = await book.get([one])
        took_ms.append((time.perf_counter() - began_s) * 1_000)
        assert answer.tier is tier, answer
    return took_ms
