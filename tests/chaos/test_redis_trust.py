"""What a hub says of wallets while Redis is emptied, set back, full, slow, or lied in."""

import asyncio
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import redis

from chaos.hub_book import running_book
from chaos.log_bench import FLEET_KEY, NETWORK
from realtime_hub.adapters.redis_seal import Seal
from realtime_hub.adapters.redis_trust import TrustKeys
from realtime_hub.auth.ports import CachedRecord
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustReason, TrustStatus, TrustTier
from redis_fixture import RedisServer, running_redis
from redis_topologies import ask, find_disk_full
from slow_proxy import running_slow_proxy
from trust_fakes import ALICE, BOB, FakeSource, record
from waiting import eventually

pytestmark = pytest.mark.slow

KEYS = TrustKeys(NETWORK)
BLOCKED = TrustStatus.BLOCKED


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as running:
        yield running


def wallets(count: int) -> list[PublicKey]:
    return [PublicKey((n + 1).to_bytes(32, "big")) for n in range(count)]


async def test_r5_an_emptied_redis_leaves_no_stale_active(server: RedisServer) -> None:
    source = FakeSource()
    source.write(record(ALICE))
    source.write(record(BOB, sequence=2))
    async with running_book(server.url, source) as one, running_book(server.url, source) as two:
        for hub in (one, two):
            assert [(await hub.ask(w)).status for w in (ALICE, BOB)] == [TrustStatus.ACTIVE] * 2
        # The block is never listed as a change: only reading again can find it.
        source.records[ALICE] = record(ALICE, status=BLOCKED, sequence=3)
        ask(server, "FLUSHALL")
        await eventually(lambda: one.doubts and two.doubts)
        for hub in (one, two):
            assert (await hub.ask(ALICE)).status is BLOCKED
            assert (await hub.ask(BOB)).tier in (TrustTier.L2, TrustTier.L3)
        source.write(record(BOB, status=BLOCKED, sequence=4))
        for hub in (one, two):
            hub.book.on_tick(None)
        await eventually(lambda: one.told and one.told == two.told)
        assert one.book.position().offset == 1


async def test_r5_every_wallet_is_read_again(server: RedisServer) -> None:
    """Until then none of them is answered from memory."""
    source = FakeSource()
    every = wallets(20_000)
    for number, wallet in enumerate(every):
        source.records[wallet] = record(wallet, sequence=number + 1)
    async with running_book(server.url, source) as hub:
        for start in range(0, len(every), 1_000):
            await hub.book.get(every[start : start + 1_000])
        reads, doubts = len(source.reads), hub.doubts
        ask(server, "FLUSHALL")
        await eventually(lambda: hub.doubts > doubts)
        assert hub.book.peek(every[:1]) is None
        for start in range(0, len(every), 1_000):
            answers = await hub.book.get(every[start : start + 1_000])
            assert {answer.tier for answer in answers} == {TrustTier.L3}
        assert len(source.reads) >= reads + len(every) // 16


async def test_r6_a_server_that_lost_the_last_changes_undoes_none(
    server: RedisServer, tmp_path: Path
) -> None:
    source = FakeSource()
    first, second = wallets(200)[:100], wallets(200)[100:]
    async with running_book(server.url, source) as one, running_book(server.url, source) as two:
        write_blocks(source, first)
        one.book.on_tick(None)
        await eventually(lambda: len(two.heard) == 100)
        ask(server, "BGREWRITEAOF")
        await asyncio.to_thread(keep_copy, server, tmp_path)
        write_blocks(source, second)
        one.book.on_tick(None)
        await eventually(lambda: len(two.heard) == 200)
        before = two.book.position()
        server.stop(signal.SIGKILL)
        set_back(server, tmp_path)
        server.start()
        await eventually(lambda: one.doubts and two.doubts, within_s=10)
        assert two.book.position().epoch != before.epoch
        # The hub that feeds the log writes again what it lacks.
        await eventually(lambda: two.log.position().offset == 200, within_s=10)
        for hub in (one, two):
            assert {(await hub.ask(wallet)).status for wallet in second} == {BLOCKED}
    async with running_book(server.url, source) as newcomer:
        source.silent = True
        answers = await newcomer.book.get(second)
        assert {answer.status for answer in answers} <= {BLOCKED, TrustStatus.UNKNOWN}


def write_blocks(source: FakeSource, some: list[PublicKey]) -> None:
    for wallet in some:
        source.write(record(wallet, status=BLOCKED, sequence=source.last_sequence + 1))


def keep_copy(server: RedisServer, folder: Path) -> None:
    while b"aof_rewrite_in_progress:1" in ask_text(server):
        pass
    shutil.copytree(server.folder / "appendonlydir", folder / "copy")


def ask_text(server: RedisServer) -> bytes:
    info = ask(server, "INFO", "persistence")
    return b"\n".join(f"{name}:{value}".encode() for name, value in info.items())


def set_back(server: RedisServer, folder: Path) -> None:
    shutil.rmtree(server.folder / "appendonlydir")
    shutil.copytree(folder / "copy", server.folder / "appendonlydir")


async def test_r7_a_full_redis_keeps_answers_coming_until_a_change_cannot_be_told(
    server: RedisServer,
) -> None:
    source = FakeSource()
    source.write(record(ALICE))
    async with running_book(server.url, source) as hub:
        ask(server, "CONFIG", "SET", "maxmemory", "1mb")
        answer = await hub.ask(ALICE)
        assert (answer.status, answer.tier) == (TrustStatus.ACTIVE, TrustTier.L3)
        await asyncio.sleep(2.5)  # Longer than the lease: looking at the log needs no memory.
        assert hub.book.backbone_ok
        source.write(record(BOB, status=BLOCKED, sequence=2))
        await eventually(lambda: not hub.book.backbone_ok, within_s=15)
        assert "maxmemory" in str(hub.book.trouble)
        assert (await hub.ask(ALICE)).reason == TrustReason.UNAVAILABLE
        ask(server, "CONFIG", "SET", "maxmemory", "0")
        await eventually(lambda: hub.book.backbone_ok and hub.told, within_s=15)
        assert hub.told == [(1, BLOCKED)]


def ask_for_a_password(server: RedisServer) -> None:
    """Who is connected stays so; the others are let in no more."""
    with redis.Redis(port=server.port, protocol=2) as client:
        client.config_set("requirepass", "secret")
        client.client_kill_filter(_type="pubsub")
        client.client_kill_filter(_type="normal", skipme=True)


def want_no_password(server: RedisServer) -> None:
    with redis.Redis(port=server.port, password="secret", protocol=2) as client:
        client.config_set("requirepass", "")


def fill_disk(server: RedisServer) -> None:
    """With `everysec` Redis goes on and refuses every command that may write, PING as well."""
    ask(server, "CONFIG", "SET", "appendfsync", "everysec")
    server.fill_disk()
    find_disk_full(server)


def load_slowly(server: RedisServer) -> None:
    """Restart it with seconds of work before it serves; meanwhile it answers LOADING."""
    with redis.Redis(port=server.port, protocol=2) as client, client.pipeline() as pipeline:
        for number in range(40_000):
            pipeline.set(f"filler{number}", 1)
        pipeline.execute()
    server.stop()
    server.begin("--key-load-delay", "100")  # Of each key, in us; it answers every 1,024 keys.


@dataclass(frozen=True, slots=True)
class Refusing:
    """A state in which Redis answers errors: how it begins and ends, and what a hub says of it."""

    begin: Callable[[RedisServer], object]
    end: Callable[[RedisServer], object]
    said: str


STATES: Final = {
    "NOAUTH": Refusing(ask_for_a_password, want_no_password, "Authentication required"),
    "MISCONF": Refusing(fill_disk, RedisServer.free_disk, "MISCONF Errors writing to the AOF file"),
    "READONLY": Refusing(
        lambda server: ask(server, "REPLICAOF", "127.0.0.1", 1),
        lambda server: ask(server, "REPLICAOF", "NO", "ONE"),
        "can't serve now: ReadOnlyError",
    ),
    "LOADING": Refusing(load_slowly, lambda _server: None, "can't serve now: BusyLoadingError"),
}


@pytest.mark.parametrize("state", STATES)
async def test_r11_an_error_of_redis_makes_no_wallet_active_and_frees_none(
    server: RedisServer, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = STATES[state]
    source = FakeSource()
    source.write(record(ALICE))
    source.write(record(BOB, status=BLOCKED, sequence=2))
    async with running_book(server.url, source) as hub:
        assert [(await hub.ask(one)).status for one in (ALICE, BOB)] == [
            TrustStatus.ACTIVE,
            BLOCKED,
        ]
        await asyncio.to_thread(refusing.begin, server)
        await eventually(lambda: not hub.book.backbone_ok, within_s=15)
        # A server that starts anew is gone for a moment before it says anything.
        await eventually(lambda: refusing.said in str(hub.book.trouble), within_s=15)
        assert refusing.said in caplog.text
        assert not hub.book.log_answers
        answers = [await hub.ask(one) for one in (ALICE, BOB)]
        assert answers[0].reason == TrustReason.UNAVAILABLE
        assert answers[1].status is BLOCKED
        await asyncio.to_thread(refusing.end, server)
        await eventually(lambda: hub.book.backbone_ok, within_s=30)
        assert (await hub.ask(ALICE)).status is TrustStatus.ACTIVE
        await eventually(lambda: hub.book.log_answers)


async def test_r9_a_slow_redis_is_left_alone_after_three_tries(server: RedisServer) -> None:
    source = FakeSource()
    every = wallets(40)
    for number, wallet in enumerate(every):
        source.records[wallet] = record(wallet, sequence=number + 1)
    async with running_slow_proxy(server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with running_book(url, source) as hub:
            proxy.delay_s = 0.12  # More than the 50 ms for a record, less than the log may take.
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            for wallet in every[:20]:
                assert (await hub.ask(wallet)).status is TrustStatus.ACTIVE
            took_s = loop.time() - began_s
            assert hub.book._cache.breaker.opened == 1
            assert took_s < 20 * 0.05, "only the first few waited"
            assert hub.book.backbone_ok, "slow isn't silent"
            proxy.delay_s = 0.0
            await asyncio.sleep(0.6)
            await hub.ask(every[21])
            assert not hub.book._cache.breaker.is_open


async def test_r10_no_forged_record_makes_a_wallet_active(server: RedisServer) -> None:
    source, rng = FakeSource(), random.Random(10)
    seal = Seal(b"another key" + bytes(21))
    ours = Seal(FLEET_KEY)
    async with running_book(server.url, source) as hub:
        now_ms = hub.book._clock.now_ms()
        of_bob = ours.record(CachedRecord(record(BOB, sequence=9), now_ms))
        forgeries = [
            seal.record(CachedRecord(record(ALICE, sequence=9), now_ms)),
            of_bob,
            of_bob[:-1],
            b"",
            b"\xff" * 200,
            rng.randbytes(90),
        ]
        for forged in forgeries:
            await hub.client.hset(KEYS.records, mapping={ALICE: forged})
            answer = await hub.ask(ALICE)
            assert answer.status is TrustStatus.UNKNOWN
            assert await hub.client.hget(KEYS.records, ALICE) is None
            hub.book._memory.doubt_all(hub.book._clock.now_ms())
        await hub.client.delete(KEYS.records)
        await hub.client.set(KEYS.records, "a string")
        assert (await hub.ask(ALICE)).status is TrustStatus.UNKNOWN
