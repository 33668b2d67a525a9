"""Logins by key that race a revocation or a block, on hubs over one slow store, in every order."""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes import SeededEntropy
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grants import Grants, GrantTerms
from realtime_hub.session.delegates import LOOK_EVERY_S, Delegates
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position
from sim.seeded_loop import EPOCH_MS, SeededClock, run_seeded, seeds
from trust_fakes import ALICE

KEY = b"\x5e" * 32
DOMAIN = "app.example"
SEEN = Position(b"epoch--1", 7)
SLOW_S = 0.4
ORDERS = 300


@dataclass
class Store:
    """One store that hubs reach over slow ways; what it tells of revocations may get lost."""

    random: random.Random
    kept: MemoryGrants = field(default_factory=MemoryGrants)
    told: list[Callable[[bytes], None]] = field(default_factory=list)
    loses_news: bool = False

    async def way(self) -> None:
        """Be on the way for a while: mostly short, now and then so long that much overtakes."""
        await asyncio.sleep(self.random.random() ** 6 * SLOW_S)


class Way:
    """A hub's way to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, wallets: Sequence[PublicKey]) -> list[Grants]:
        await self._store.way()
        found = await self._store.kept.load(wallets)
        await self._store.way()
        return found

    async def swap(self, wallet: PublicKey, before: Grants, after: Grants) -> bool:
        await self._store.way()
        made = await self._store.kept.swap(wallet, before, after)
        await self._store.way()
        return made

    async def tell(self, grant_ids: Sequence[bytes]) -> None:
        await self._store.way()
        if self._store.loses_news:
            return
        for on_revoked in self._store.told:
            await self._store.way()
            for grant_id in grant_ids:
                on_revoked(grant_id)

    async def follow(self, on_revoked: Callable[[bytes], None]) -> None:
        self._store.told.append(on_revoked)
        await asyncio.get_running_loop().create_future()


class Session:
    """A living connection."""

    def __init__(self) -> None:
        self.closed: CloseCode | None = None

    def fail(self, code: CloseCode) -> None:
        self.closed = code


class Hub:
    """What one hub has of delegation."""

    def __init__(self, store: Store, number: int) -> None:
        self._entropy = SeededEntropy(number)
        self.delegation = Delegation(Way(store), clock=SeededClock(), entropy=self._entropy)
        self.delegates = Delegates(self.delegation)
        self.sessions: list[Session] = []
        self.refusals: set[ErrorCode] = set()

    async def log_in(self) -> bool:
        """Log in by key in the order of the session layer; tell whether it got in."""
        try:
            grant = await self.delegation.find(ALICE, KEY, domain=DOMAIN)
            await self.delegation.use(ALICE, grant)
            session = Session()
            self.delegates.hold(session, ALICE, grant)
        except RequestError as error:
            self.refusals.add(error.code)
            return False
        self.sessions.append(session)
        return True

    @property
    def alive(self) -> list[Session]:
        """Sessions that were not closed."""
        return [session for session in self.sessions if session.closed is None]


@contextlib.asynccontextmanager
async def hubs(seed: int, *, loses_news: bool = False) -> AsyncIterator[tuple[Hub, Hub]]:
    """Run two hubs over one store, in which the wallet has granted the key."""
    store = Store(random.Random(seed), loses_news=loses_news)
    one, two = Hub(store, 1), Hub(store, 2)
    terms = GrantTerms(key=KEY, scopes=("trust",), until_ms=EPOCH_MS + 10_000_000, domain=DOMAIN)
    works = [one.delegation.run(), two.delegation.run()]
    if loses_news:  # Else what is told must do.
        works += [one.delegates.run(), two.delegates.run()]
    tasks = [asyncio.ensure_future(work) for work in works]
    await one.delegation.open(ALICE, terms, seen=SEEN)
    try:
        yield one, two
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def later(rng: random.Random, work: Callable[[], object]) -> None:
    await asyncio.sleep(rng.random() * SLOW_S)
    made = work()
    if asyncio.iscoroutine(made):
        await made


def played(scenario: Callable[[int], Coroutine[Any, Any, int]], name: str) -> list[int]:
    """Run a scenario with many seeds; return how many sessions got in, in each."""
    return [run_seeded(functools.partial(scenario, seed), seed) for seed in seeds(name, ORDERS)]


@pytest.mark.parametrize("loses_news", [False, True])
def test_no_session_outlives_the_key_that_is_revoked_while_it_logs_in(loses_news: bool) -> None:
    async def scenario(seed: int) -> int:
        rng = random.Random(seed + 1)
        async with hubs(seed, loses_news=loses_news) as (one, two):
            ended: list[int] = []

            async def revoke() -> None:
                ended.append(await two.delegation.revoke(ALICE, KEY))
                # From the answer on nobody gets in, anywhere.
                assert not any(await asyncio.gather(one.log_in(), two.log_in()))

            logins = [later(rng, hub.log_in) for hub in (one, two) for _ in range(2)]
            await asyncio.gather(*logins, later(rng, revoke))
            got_in = len(one.sessions) + len(two.sessions)
            await asyncio.sleep(LOOK_EVERY_S + 4 * SLOW_S)
            assert ended == [1]
            assert (one.alive, two.alive) == ([], [])
            assert one.refusals | two.refusals <= {ErrorCode.BAD_SIGNATURE}
            return got_in

    got_in = [
        run_seeded(functools.partial(scenario, seed), seed) for seed in seeds("delegation", 150)
    ]
    assert 0 in got_in  # The races went both ways.
    assert max(got_in) >= 3


def test_a_block_shuts_every_key_out_in_the_instant_in_which_a_hub_hears_of_it() -> None:
    async def scenario(seed: int) -> int:
        rng = random.Random(seed + 1)
        async with hubs(seed, loses_news=True) as (one, two):
            block = Position(SEEN.epoch, SEEN.offset + 1)

            async def hear(hub: Hub) -> None:
                hub.delegation.block(ALICE, block)
                assert await hub.log_in() is False

            logins = [later(rng, hub.log_in) for hub in (one, two) for _ in range(2)]
            blocks = [later(rng, functools.partial(hear, hub)) for hub in (one, two)]
            await asyncio.gather(*logins, *blocks)
            got_in = len(one.sessions) + len(two.sessions)
            await asyncio.sleep(LOOK_EVERY_S + 4 * SLOW_S)
            assert (one.alive, two.alive) == ([], [])
            for hub in (one, two):
                assert await hub.delegation.grants_of(ALICE) == ()
            return got_in

    got_in = [
        run_seeded(functools.partial(scenario, seed), seed)
        for seed in seeds("delegation-block", 150)
    ]
    assert 0 in got_in
    assert max(got_in) >= 2
