"""What every payment journal promises, and what the durable one adds to it."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from realtime_hub.adapters.memory_payments import MemoryNetworkMemory, MemoryPaymentJournal
from realtime_hub.adapters.sqlite_payment_file import (
    NETWORKS_MAX,
    SqlitePaymentFile,
    connect,
)
from realtime_hub.adapters.sqlite_payments import SqlitePayments
from realtime_hub.chain.network import KnownTick, NetworkRecord
from realtime_hub.chain.ports import NetworkMemory
from realtime_hub.pay.events import JournalCorrupt
from realtime_hub.pay.ports import JournalFenced, JournalFull, JournalLocked, PaymentJournal

NETWORK = b"n" * 32
PAYMENT = b"p" * 16
QUEUE_MAX = 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub" / "payments.sqlite3"


@contextmanager
def writing(path: Path, *, queue_max: int = 4_096) -> Iterator[SqlitePayments]:
    """Open the file and write to it, alone."""
    with closing(SqlitePaymentFile.open(path)) as file:
        term = SqlitePayments(file, fence=file.fence() + 1, queue_max=queue_max)
        with closing(term):
            yield term


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[PaymentJournal]:
    if request.param == "memory":
        yield MemoryPaymentJournal(queue_max=QUEUE_MAX)
        return
    with writing(path, queue_max=QUEUE_MAX) as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite"])
def memory(request: pytest.FixtureRequest, path: Path) -> Iterator[NetworkMemory]:
    if request.param == "memory":
        yield MemoryNetworkMemory()
        return
    with closing(SqlitePaymentFile.open(path)) as opened:
        yield opened


async def append(journal: PaymentJournal, *bodies: bytes, network: bytes = NETWORK) -> list[int]:
    """Append and wait until all is durable; return the offsets in the order of the calls."""
    offsets: list[int] = []
    done = asyncio.Event()

    def durable(offset: int) -> None:
        offsets.append(offset)
        if len(offsets) == len(bodies):
            done.set()

    for body in bodies:
        journal.append(network, PAYMENT, body, durable, must=True)
    async with asyncio.timeout(5):
        await done.wait()
    return offsets


async def test_records_come_back_in_order_with_offsets_without_holes(
    journal: PaymentJournal,
) -> None:
    assert await append(journal, b"a", b"b", b"c") == [1, 2, 3]
    assert await append(journal, b"d") == [4]
    records = await journal.replay(NETWORK)
    assert [(one.offset, one.body) for one in records] == [
        (1, b"a"),
        (2, b"b"),
        (3, b"c"),
        (4, b"d"),
    ]


async def test_each_network_replays_its_own_records(journal: PaymentJournal) -> None:
    await append(journal, b"a")
    await append(journal, b"b", network=b"o" * 32)
    assert [one.body for one in await journal.replay(NETWORK)] == [b"a"]
    assert [one.offset for one in await journal.replay(b"o" * 32)] == [2]
    assert await journal.replay(b"?" * 32) == []


async def test_one_payments_records_are_found(journal: PaymentJournal) -> None:
    await append(journal, b"a", b"b")
    assert [one.body for one in await journal.find(NETWORK, PAYMENT)] == [b"a", b"b"]
    assert await journal.find(NETWORK, b"?" * 16) == []
    assert await journal.find(b"o" * 32, PAYMENT) == []


async def test_durable_is_never_called_during_the_append(journal: PaymentJournal) -> None:
    called: list[int] = []
    journal.append(NETWORK, PAYMENT, b"a", called.append)
    assert called == []
    assert await append(journal, b"b") == [2]
    assert called == [1]


async def test_at_the_bound_only_what_must_be_written_is_taken(tmp_path: Path) -> None:
    for journal in (MemoryPaymentJournal(queue_max=1), stalled(tmp_path, queue_max=1)):
        journal.append(NETWORK, PAYMENT, b"a", lambda _: None)
        with pytest.raises(JournalFull):
            journal.append(NETWORK, PAYMENT, b"b", lambda _: None)
        journal.append(NETWORK, PAYMENT, b"c", lambda _: None, must=True)
        assert journal.waiting == 2
        await asyncio.sleep(0)


def stalled(directory: Path, *, queue_max: int) -> SqlitePayments:
    """Return a journal whose file another connection holds, so that nothing is committed."""
    file = SqlitePaymentFile.open(directory / "stalled.sqlite3")
    journal = SqlitePayments(file, fence=1, queue_max=queue_max)
    blocker = sqlite3.connect(directory / "stalled.sqlite3", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    _KEPT.append((file, journal, blocker))
    return journal


_KEPT: list[tuple[SqlitePaymentFile, SqlitePayments, sqlite3.Connection]] = []


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    while _KEPT:
        file, journal, blocker = _KEPT.pop()
        blocker.close()
        journal.close()
        file.close()


async def test_what_waits_is_written_when_the_journal_closes(path: Path) -> None:
    with writing(path) as journal:
        for number in range(50):
            journal.append(NETWORK, PAYMENT, bytes([number]), lambda _: None)
    with writing(path) as again:
        assert len(await again.replay(NETWORK)) == 50
        assert again.journal_id == journal.journal_id
        assert await append(again, b"next") == [51]


def test_a_second_process_is_kept_out(path: Path) -> None:
    with writing(path), pytest.raises(JournalLocked, match="in use"):
        SqlitePaymentFile.open(path)
    with writing(path):
        program = (
            "import sys, pathlib\n"
            "from realtime_hub.pay.ports import JournalLocked as Locked\n"
            "from realtime_hub.adapters.sqlite_payment_file import SqlitePaymentFile as File\n"
            "try: File.open(pathlib.Path(sys.argv[1]), shared=True)\n"
            "except Locked: sys.exit(7)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
        assert done.returncode == 7


def test_the_journal_is_for_its_owners_eyes(path: Path) -> None:
    with writing(path):
        assert path.stat().st_mode & 0o077 == 0


def test_a_journal_survives_a_power_cut_by_its_settings(path: Path) -> None:
    with writing(path), closing(connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET body = x'00' WHERE journal_offset = 2",
        "UPDATE events SET payment_id = zeroblob(16) WHERE journal_offset = 2",
        "UPDATE events SET network_id = zeroblob(32) WHERE journal_offset = 2",
        "DELETE FROM events WHERE journal_offset = 2",
        "UPDATE events SET journal_offset = 9 WHERE journal_offset = 3",
    ],
    ids=["body", "payment", "network", "missing", "moved"],
)
async def test_a_changed_record_is_refused_loudly(path: Path, damage: str) -> None:
    with writing(path) as journal:
        await append(journal, b"a", b"b", b"c")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    with writing(path) as again, pytest.raises(JournalCorrupt):
        await again.replay(NETWORK)


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalCorrupt):
        SqlitePaymentFile.open(path)
    assert path.read_bytes() == b"not a database" * 100


@pytest.mark.slow
async def test_a_disk_that_fails_holds_records_back_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_hub.adapters.sqlite_payment_file.BUSY_TIMEOUT_S", 0.05)
    journal = stalled(tmp_path, queue_max=10)
    appending = asyncio.create_task(append(journal, b"a", b"b"))
    await becomes(journal, failing=True)
    assert not appending.done()
    *_, blocker = _KEPT[-1]
    blocker.execute("ROLLBACK")
    assert await appending == [1, 2]
    await becomes(journal, failing=False)
    assert [one.body for one in await journal.replay(NETWORK)] == [b"a", b"b"]


async def becomes(journal: SqlitePayments, *, failing: bool) -> None:
    async with asyncio.timeout(5):
        while (journal.failing is not None) is not failing:  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0.01)


def network(number: int, *, ticks: int = 1) -> NetworkRecord:
    record = NetworkRecord.begin("devnet", KnownTick(1, 1, bytes([number]) * 32))
    for tick in range(2, ticks + 1):
        record = record.remember(KnownTick(tick, 1, bytes([tick]) * 32))
    return record


async def test_networks_come_back_the_latest_used_first(memory: NetworkMemory) -> None:
    await memory.save(network(1))
    await memory.save(network(2))
    await memory.save(network(1, ticks=5))
    assert list(await memory.load()) == [network(1, ticks=5), network(2)]


async def test_the_durable_memory_keeps_the_networks_last_used(path: Path) -> None:
    with closing(SqlitePaymentFile.open(path)) as memory:
        for number in range(NETWORKS_MAX + 2):
            await memory.save(network(number))
    with closing(SqlitePaymentFile.open(path)) as memory:
        assert [one.network_id[0] for one in await memory.load()] == list(
            reversed(range(2, NETWORKS_MAX + 2))
        )


@pytest.fixture
def two_workers(path: Path) -> Iterator[tuple[SqlitePaymentFile, SqlitePaymentFile]]:
    """The file as two workers of one hub have it open."""
    with (
        closing(SqlitePaymentFile.open(path, shared=True)) as one,
        closing(SqlitePaymentFile.open(path, shared=True)) as other,
    ):
        yield one, other


async def test_a_newer_term_of_writing_ends_the_older_one_in_the_file_itself(
    two_workers: tuple[SqlitePaymentFile, SqlitePaymentFile],
) -> None:
    one, other = two_workers
    with closing(SqlitePayments(one, fence=1)) as old:
        assert await append(old, b"a") == [1]
        with closing(SqlitePayments(other, fence=2)) as new:
            late: list[int] = []
            old.append(NETWORK, PAYMENT, b"late", late.append, must=True)
            async with asyncio.timeout(5):
                while not old.fenced:  # noqa: ASYNC110 - a thread sets it
                    await asyncio.sleep(0.001)
            assert old.failing is not None
            assert await append(new, b"b") == [2]
            assert [one.body for one in await new.replay(NETWORK)] == [b"a", b"b"]
            assert late == []
            with pytest.raises(JournalFull, match="another process"):
                old.append(NETWORK, PAYMENT, b"refused", late.append)


def test_a_term_that_is_over_does_not_begin_again(
    two_workers: tuple[SqlitePaymentFile, SqlitePaymentFile],
) -> None:
    one, other = two_workers
    SqlitePayments(one, fence=5).close()
    assert other.fence() == 5
    for fence in (4, 5):
        with pytest.raises(JournalFenced, match="term 5"):
            SqlitePayments(other, fence=fence)
