"""Logins, reads and changes of trust on hubs that share a bad network, in every order (A7, A11)."""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from realtime_hub.auth.model import TrustChange
from realtime_hub.auth.stewardship import ForgetfulMemory, Stewardship
from realtime_hub.auth.trust import TrustBook, TrustLimits
from realtime_protocol.messages import TrustReason, TrustStatus
from sim.seeded_loop import SeededClock, run_twice, seeds
from sim.shared_log import HubCache, HubLog, LateSource, Network
from trust_fakes import ADMIN, ALICE, record

pytestmark = pytest.mark.slow

HUBS = 3
BLOCKED = TrustStatus.BLOCKED
LEASE_S = 2.0
GRACE_S = 0.7
"""An answer that was given within the lease may be on its way for as long as a read takes."""
LIMITS = TrustLimits(source_timeout_s=1.0, cache_timeout_s=1.0)


@dataclass
class SimHub:
    """One hub: a trust book, and sessions of one wallet as the session layer keeps them."""

    network: Network
    source: LateSource
    sessions: set[int] = field(default_factory=set)
    admitted: dict[int, float] = field(default_factory=dict)
    sequences: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SeededClock()
        self.log = HubLog(self.network)
        self.book = TrustBook(
            log=self.log,
            cache=HubCache(self.network, self.log),
            source=self.source,
            clock=self.clock,
            stewardship=Stewardship(ADMIN, ForgetfulMemory()),
            limits=LIMITS,
        )
        self.book.listeners.append(self._on_change)
        self.book.doubt_listeners.append(self._recheck)
        self._rechecks: set[asyncio.Task[None]] = set()

    def _on_change(self, change: TrustChange) -> None:
        if change.body.status is BLOCKED:
            self.sessions.clear()
        self.note()

    def _recheck(self) -> None:
        self._rechecks.add(asyncio.create_task(self.recheck()))

    async def recheck(self) -> None:
        """As the session layer does when changes may have been missed."""
        while True:
            [trust] = await self.book.get([ALICE])
            if trust.status is BLOCKED:
                self.sessions.clear()
            if trust.reason != TrustReason.UNAVAILABLE:
                return
            await asyncio.sleep(1)

    async def log_in(self, number: int) -> None:
        """Register first, then ask whether the wallet may stay."""
        self.sessions.add(number)
        [trust] = await self.book.get([ALICE])
        if trust.status is TrustStatus.ACTIVE:
            self.admitted[number] = self.clock.monotonic_s()
        else:
            self.sessions.discard(number)
        self.note()

    def note(self) -> None:
        """Note which record counts now."""
        standing = self.book.standing(ALICE)
        self.sequences.append(0 if standing is None else standing.chain_sequence)

    async def end(self) -> None:
        for task in self._rechecks:
            task.cancel()
        await asyncio.gather(*self._rechecks, return_exceptions=True)


@contextlib.asynccontextmanager
async def running_hubs(rng: random.Random) -> AsyncIterator[list[SimHub]]:
    network = Network(rng)
    source = LateSource(network)
    source.write(record(ALICE))
    hubs = [SimHub(network, source) for _ in range(HUBS)]
    tasks = [asyncio.create_task(hub.book.run()) for hub in hubs]
    await asyncio.sleep(3)
    yield hubs
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for hub in hubs:
        await hub.end()


async def logins_race_a_block(seed: int) -> list[int]:
    """Return how many logins each hub let in, and check that none outlives the block."""
    rng = random.Random(seed)
    async with running_hubs(rng) as hubs:
        loop = asyncio.get_running_loop()

        async def user(number: int) -> None:
            await asyncio.sleep(rng.random() * 6)
            await rng.choice(hubs).log_in(number)

        async def revoke() -> float:
            await asyncio.sleep(rng.random() * 4)
            hubs[0].source.write(record(ALICE, status=BLOCKED, score=0, sequence=2))
            for hub in hubs:
                hub.book.on_tick(None)
            return loop.time()

        async def trouble() -> None:
            victim = rng.choice(hubs)
            await asyncio.sleep(rng.random() * 4)
            victim.log.cut = True
            await asyncio.sleep(rng.random() * 5)
            victim.log.cut = False
            if rng.random() < 0.3:
                hubs[0].network.lose_newest(1)

        users = [user(number) for number in range(20)]
        revoking = asyncio.create_task(revoke())
        await asyncio.gather(revoking, trouble(), *users)
        revoked_s = revoking.result()
        await asyncio.sleep(10)
        for number, hub in enumerate(hubs):
            alive = hub.sessions & hub.admitted.keys()
            assert not alive, f"hub {number}: sessions {alive} of a blocked wallet live"
            late = {n: s for n, s in hub.admitted.items() if s > revoked_s + LEASE_S + GRACE_S}
            assert not late, f"hub {number} let in {late}, blocked at {revoked_s}"
        return [len(hub.admitted) for hub in hubs]


async def records_change_and_are_read(seed: int) -> list[list[int]]:
    """Return which records counted on each hub, and check that none came after a newer one."""
    rng = random.Random(seed)
    async with running_hubs(rng) as hubs:
        source = hubs[0].source

        async def chain() -> None:
            for sequence in range(2, 8):
                await asyncio.sleep(rng.random() * 2)
                status = BLOCKED if sequence % 2 == 0 else TrustStatus.ACTIVE
                source.write(record(ALICE, status=status, sequence=sequence))
                for hub in hubs:
                    hub.book.on_tick(None)

        async def reader(hub: SimHub) -> None:
            for number in range(15):
                await asyncio.sleep(rng.random())
                await hub.log_in(number)

        async def trouble() -> None:
            for _ in range(3):
                victim = rng.choice(hubs)
                await asyncio.sleep(rng.random() * 3)
                victim.log.cut = True
                await asyncio.sleep(rng.random() * 3)
                victim.log.cut = False
                if rng.random() < 0.3:
                    victim.network.lose_newest(rng.randrange(3))

        await asyncio.gather(chain(), trouble(), *(reader(hub) for hub in hubs))
        await asyncio.sleep(10)
        for number, hub in enumerate(hubs):
            hub.note()
            assert hub.sequences == sorted(hub.sequences), f"hub {number} went back"
            [trust] = await hub.book.get([ALICE])
            assert (trust.status, hub.sequences[-1]) == (TrustStatus.ACTIVE, 7), f"hub {number}"
        return [hub.sequences for hub in hubs]


def test_a7_no_session_of_a_revoked_wallet_lives_in_any_order() -> None:
    outcomes = set()
    for seed in seeds("logins_race_a_block", 100):
        admitted = run_twice(functools.partial(logins_race_a_block, seed), seed)
        outcomes.add(sum(admitted))
    assert len(outcomes) > 5, "the orders were not different enough to prove anything"


def test_a11_no_record_counts_after_a_newer_one_in_any_order() -> None:
    for seed in seeds("records_change_and_are_read", 60):
        run_twice(functools.partial(records_change_and_are_read, seed), seed)
