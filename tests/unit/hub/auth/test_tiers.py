"""Reading through the tiers: together, once, bounded in time, and not at all what is down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from fakes import FakeClock
from realtime_hub.auth.breaker import Breaker
from realtime_hub.auth.model import TrustRecord
from realtime_hub.auth.ports import CachedRecord, LogUnavailable, SourceUnavailable
from realtime_hub.auth.shared_cache import SharedCache
from realtime_hub.auth.tiers import Found, TierReader
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustTier
from trust_fakes import ALICE, BOB, record

WALLETS = [PublicKey(bytes([n]) * 32) for n in range(1, 41)]


@dataclass
class CountingCache:
    """L2 that counts, fails or hangs."""

    records: dict[PublicKey, CachedRecord] = field(default_factory=dict)
    gets: list[int] = field(default_factory=list)
    puts: int = 0
    down: bool = False
    hangs: bool = False

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        self.gets.append(len(wallets))
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.down:
            raise LogUnavailable("down")
        return [self.records.get(wallet) for wallet in wallets]

    async def put(self, records: Sequence[CachedRecord]) -> None:
        self.puts += 1
        if self.down:
            raise LogUnavailable("down")


class TierBench:
    """A reader with tiers in the test's hands."""

    def __init__(self, *, cache_timeout_s: float = 0.01) -> None:
        self.clock = FakeClock()
        self.l2 = CountingCache()
        self.calls: list[int] = []
        self.taken: list[PublicKey] = []
        self.source_down = False
        self.release = asyncio.Event()
        self.release.set()
        self.cache = SharedCache(self.l2, self.clock, timeout_s=cache_timeout_s)
        self.reader = TierReader(
            cache=self.cache,
            statuses=self.statuses,
            clock=self.clock,
            take_cached=lambda _wallet, _cached: Found(TrustTier.L2),
            take_record=self.take_record,
            source_timeout_s=0.05,
        )

    def take_record(self, wallet: PublicKey, _record: TrustRecord | None, _ms: int) -> Found:
        self.taken.append(wallet)
        return Found(TrustTier.L3)

    async def statuses(self, wallets: Sequence[PublicKey]) -> dict[PublicKey, TrustRecord | None]:
        self.calls.append(len(wallets))
        await self.release.wait()
        if self.source_down:
            raise SourceUnavailable("down")
        return {wallet: record(wallet) for wallet in wallets}


@pytest.fixture
async def bench() -> AsyncIterator[TierBench]:
    made = TierBench()
    task = asyncio.create_task(made.reader.run())
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_asked_in_one_turn_goes_in_one_command(bench: TierBench) -> None:
    for wallet in WALLETS:
        bench.l2.records[wallet] = CachedRecord(record(wallet), 1)
    found = await asyncio.gather(*(bench.reader.read([wallet]) for wallet in WALLETS))
    assert {answer.tier for one in found for answer in one.values()} == {TrustTier.L2}
    assert (bench.l2.gets, bench.calls) == ([40], [])


async def test_a_crowd_at_one_cold_wallet_causes_one_read(bench: TierBench) -> None:
    await asyncio.gather(*(bench.reader.read([ALICE]) for _ in range(10_000)))
    assert (bench.l2.gets, bench.calls) == ([1], [1])


async def test_wallets_that_wait_for_the_source_go_together(bench: TierBench) -> None:
    bench.release.clear()
    waiting = [asyncio.create_task(bench.reader.read([wallet])) for wallet in WALLETS]
    await asyncio.sleep(0)
    for wallet in WALLETS[:4]:
        await asyncio.sleep(0)
        bench.reader.begin(wallet)
    bench.release.set()
    await asyncio.gather(*waiting)
    assert sorted(bench.calls) == [8, 16, 16]


async def test_a_slow_cache_is_given_up_and_after_three_times_not_asked(bench: TierBench) -> None:
    bench.l2.hangs = True
    for wallet in WALLETS[:6]:
        assert (await bench.reader.read([wallet]))[wallet].tier is TrustTier.L3
    assert len(bench.l2.gets) == 3
    bench.l2.hangs = False
    bench.clock.advance_ms(500)
    await bench.reader.read([ALICE])
    await bench.reader.read([BOB])
    assert len(bench.l2.gets) == 5, "a probe that went well closes the breaker"


async def test_a_failed_write_opens_nothing(bench: TierBench) -> None:
    original = bench.l2.get

    async def get(wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        bench.l2.down = False
        try:
            return await original(wallets)
        finally:
            bench.l2.down = True

    bench.l2.get = get  # type: ignore[method-assign]
    for wallet in WALLETS[:6]:
        assert (await bench.reader.read([wallet]))[wallet].tier is TrustTier.L3
    assert (bench.l2.puts, len(bench.l2.gets), bench.cache.breaker.opened) == (6, 6, 0)


async def test_a_source_that_is_down_is_asked_by_probes_only(bench: TierBench) -> None:
    bench.source_down = True
    for wallet in WALLETS[:10]:
        assert (await bench.reader.read([wallet]))[wallet].tier is TrustTier.NONE
    assert len(bench.calls) == 3


async def test_whoever_gives_up_waiting_disturbs_nobody(bench: TierBench) -> None:
    bench.release.clear()
    first = asyncio.create_task(bench.reader.read([ALICE]))
    await asyncio.sleep(0)
    second = asyncio.create_task(bench.reader.read([ALICE, BOB]))
    await asyncio.sleep(0)
    first.cancel()
    bench.release.set()
    assert {found.tier for found in (await second).values()} == {TrustTier.L3}
    assert bench.taken.count(ALICE) == 1


def test_a_breaker_lets_one_probe_through_at_a_time() -> None:
    clock = FakeClock()
    breaker = Breaker(clock, failures_max=2, probe_every_s=1.0)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert (breaker.is_open, breaker.allows()) == (True, False)
    clock.advance_ms(1_000)
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.failed()
    clock.advance_ms(1_000)
    assert breaker.allows()
    breaker.succeeded()
    assert (breaker.is_open, breaker.allows(), breaker.opened) == (False, True, 1)
