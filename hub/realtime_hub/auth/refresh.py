"""Reading wallets again before their answers run out, so that nobody waits for those in use."""

import heapq
from collections.abc import Iterator
from typing import Final

from realtime_hub.auth.wallet_memory import WalletMemory
from realtime_protocol.identity import PublicKey

EARLIEST: Final = 0.6
LATEST: Final = 0.9
"""Shares of the lifetime between which a wallet is read again; each has its own moment."""
DUE_MAX: Final = 4_096
"""Wallets that come due in one go; the rest comes with the next."""
WAITING_PER_WALLET: Final = 2
"""Places in the queue for each wallet in memory; beyond, a wallet isn't read ahead."""


class RefreshQueue:
    """Tells which wallets to read again: those that somebody asked for since they were read."""

    def __init__(self, memory: WalletMemory, *, wallets_max: int, ttl_ms: int) -> None:
        self._memory = memory
        self._waiting_max = WAITING_PER_WALLET * wallets_max
        self._ttl_ms = ttl_ms
        self._waiting: list[tuple[int, int, PublicKey]] = []

    def add(self, wallet: PublicKey, verified_ms: int) -> None:
        """Have a wallet looked at before what was verified then runs out."""
        if len(self._waiting) < self._waiting_max:
            share = EARLIEST + (LATEST - EARLIEST) * wallet[0] / 256
            due_ms = verified_ms + int(self._ttl_ms * share)
            heapq.heappush(self._waiting, (due_ms, verified_ms, wallet))

    def due(self, now_ms: int) -> Iterator[PublicKey]:
        """Yield the wallets to read again now."""
        waiting = self._waiting
        for _ in range(DUE_MAX):
            if not waiting or waiting[0][0] > now_ms:
                return
            _, verified_ms, wallet = heapq.heappop(waiting)
            standing = self._memory.get(wallet)
            if (
                standing is not None
                and standing.verified_ms == verified_ms
                and self._memory.asked(wallet)
            ):
                yield wallet
