"""Every living session's wallet is read again until somebody can tell about it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from realtime_hub.session.recheck import WALLETS_PER_READ, Recheck
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, Trust, TrustReason, TrustStatus, TrustTier
from sim.seeded_loop import run_seeded

HEAD = Position(b"epoch--1", 9)
ACTIVE = Trust(TrustStatus.ACTIVE, 50, 0, 0, TrustTier.L3, 0, 0)
BLOCKED = Trust(TrustStatus.BLOCKED, 0, 0, 0, TrustTier.L3, 0, 0)
NOBODY = Trust(TrustStatus.UNKNOWN, 0, 0, int(TrustReason.UNAVAILABLE), TrustTier.NONE, 0, 0)


def wallet(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


@dataclass
class World:
    """Registry and auth at once: sessions of wallets, and what is known of each."""

    trusts: dict[PublicKey, Trust]
    blocked: list[PublicKey] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    ended: list[tuple[PublicKey, Position]] = field(default_factory=list)
    """Wallets whose granted keys ended, and as of which place of the log."""

    @property
    def delegation(self) -> Any:
        return SimpleNamespace(block=lambda *block: self.ended.append(block))

    def position(self) -> Position:
        return HEAD

    @property
    def connections(self) -> list[Any]:
        strangers: list[PublicKey | None] = [None]
        return [
            SimpleNamespace(machine=SimpleNamespace(wallet=one))
            for one in [*strangers, *self.trusts, *self.trusts]
        ]

    def sessions_of(self, of: PublicKey) -> list[Any]:
        return [SimpleNamespace(block=lambda: self.blocked.append(of))] * 2

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        self.reads.append(len(wallets))
        await asyncio.sleep(0.01)
        return [self.trusts[one] for one in wallets]


async def rechecked(world: World, *, within_s: float) -> None:
    recheck = Recheck(cast(Any, world), cast(Any, world))
    task = asyncio.create_task(recheck.run())
    recheck.all_sessions()
    await asyncio.sleep(within_s)
    task.cancel()
    await asyncio.wait([task])


def test_each_wallet_is_read_once_in_batches_and_blocked_ones_are_closed() -> None:
    trusts = {wallet(n): BLOCKED if n == 100 else ACTIVE for n in range(150)}
    world = World(trusts)
    run_seeded(lambda: rechecked(world, within_s=5), 1)
    assert world.reads == [WALLETS_PER_READ, WALLETS_PER_READ, 150 - 2 * WALLETS_PER_READ]
    assert world.blocked == [wallet(100)] * 2
    assert world.ended == [(wallet(100), HEAD)]


def test_a_wallet_that_nobody_can_tell_about_is_asked_for_until_somebody_can() -> None:
    world = World({wallet(1): NOBODY, wallet(2): ACTIVE})

    async def scenario() -> None:
        checking = asyncio.create_task(rechecked(world, within_s=10))
        await asyncio.sleep(3.5)
        assert world.reads == [2, 1, 1, 1]
        world.trusts[wallet(1)] = BLOCKED
        await checking

    run_seeded(scenario, 1)
    assert world.reads == [2, 1, 1, 1, 1]
    assert world.blocked == [wallet(1)] * 2
