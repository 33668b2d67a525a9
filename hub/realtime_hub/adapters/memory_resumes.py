"""Families of resume tokens in this process: for one hub without Redis, and for tests."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from realtime_hub.clock import Clock
from realtime_hub.session.resume import Family
from realtime_hub.session.resume_store import HUB_ID_BYTES, Move, Standing
from realtime_protocol.identity import PublicKey

FAMILIES_MAX: Final = 131_072


@dataclass(slots=True)
class _Kept:
    family: Family
    until_ms: int


class MemoryResumes:
    """Keeps each family for *keep_ms* after it was written or renewed.

    At the bound the one that was written or renewed longest ago goes first.
    """

    def __init__(self, clock: Clock, *, keep_ms: int, families_max: int = FAMILIES_MAX) -> None:
        self._clock = clock
        self._keep_ms = keep_ms
        self._families_max = families_max
        self._kept: dict[bytes, _Kept] = {}
        """The next one to run out comes first, since all are kept for the same time."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def hub_id(self) -> bytes:
        """There is one hub."""
        return bytes(HUB_ID_BYTES)

    async def load(self, key: bytes) -> Family | None:
        """Return a family."""
        return self._find(key)

    async def swap(self, moves: Sequence[Move]) -> list[bool]:
        """Make each move whose family is still what was read."""
        return [self._swap(move) for move in moves]

    async def renew(self, held: Sequence[tuple[bytes, PublicKey]]) -> list[Standing]:
        """Keep these families for as long again; return what stands."""
        found = []
        for key, _ in held:
            family = self._find(key)
            if family is not None:
                self._keep(key, family)
            found.append(Standing(family, 0))
        return found

    async def now_ms(self) -> int:
        """Return this process's time."""
        return self._clock.now_ms()

    async def ended_ms(self, wallet: PublicKey) -> int:
        """Return 0: what is over is gone from here."""
        return 0

    async def end_all(self, wallet: PublicKey) -> int:
        """Forget the wallet's families; there is no other hub to tell."""
        ended = [key for key, kept in self._kept.items() if kept.family.wallet == wallet]
        for key in ended:
            del self._kept[key]
        return self._clock.now_ms()

    async def follow(
        self,
        on_family: Callable[[bytes, Family | None], None],
        on_wallet: Callable[[PublicKey, int], None],
    ) -> None:
        """Tell nothing: whoever changes something here is this hub itself."""
        await asyncio.get_running_loop().create_future()

    def _find(self, key: bytes) -> Family | None:
        kept = self._kept.get(key)
        return None if kept is None or kept.until_ms <= self._clock.now_ms() else kept.family

    def _swap(self, move: Move) -> bool:
        if self._find(move.key) != move.before:
            return False
        if move.after is None:
            self._kept.pop(move.key, None)
        else:
            self._keep(move.key, move.after)
        return True

    def _keep(self, key: bytes, family: Family) -> None:
        now_ms = self._clock.now_ms()
        self._kept.pop(key, None)
        self._kept[key] = _Kept(family, now_ms + self._keep_ms)
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) <= self._families_max and self._kept[oldest].until_ms > now_ms:
                break
            del self._kept[oldest]
