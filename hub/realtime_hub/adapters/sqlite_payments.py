"""The payment journal in SQLite: append-only, one writer, group commit.

WAL with synchronous=FULL: a record that was called durable survives a power cut. A thread of its
own takes all records that wait and commits them in one transaction. Each record carries its CRC,
offsets have no holes, and a lock file keeps a second process out.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import MsgspecError, msgpack

from realtime_hub.chain.network import NetworkRecord
from realtime_hub.pay.events import JournalCorrupt
from realtime_hub.pay.ports import JournalFull, JournalRecord

logger = logging.getLogger(__name__)

FORMAT_VERSION: Final = 1
BATCH_RECORDS_MAX: Final = 1_024
RETRY_PAUSE_S: Final = 0.1
BUSY_TIMEOUT_S: Final = 5.0
NETWORKS_MAX: Final = 8
"""The networks last served are remembered; their payments stay in the journal in any case."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    journal_offset INTEGER PRIMARY KEY,
    network_id BLOB NOT NULL,
    payment_id BLOB NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_payment ON events (payment_id);
CREATE TABLE IF NOT EXISTS networks (
    network_id BLOB PRIMARY KEY, used INTEGER NOT NULL, record BLOB NOT NULL
) WITHOUT ROWID;
"""
_SELECT: Final = "SELECT journal_offset, network_id, payment_id, body, crc FROM events"


class JournalLocked(Exception):  # noqa: N818 - says what is the matter
    """Another process has the journal."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    record: JournalRecord
    durable: Callable[[int], None]


class SqlitePayments:
    """PaymentJournal and NetworkMemory in one file. Use :meth:`open`; close it at the end."""

    def __init__(self, path: Path, lock: int, *, queue_max: int) -> None:
        self._path = path
        self._lock_file = lock
        self._queue_max = queue_max
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failing: str | None = None
        with closing(self._connect()) as connection:
            self._journal_id = _prepare(connection)
            self._next_offset = _newest_offset(connection) + 1
        self._writer = threading.Thread(target=self._write_all, name="payment-journal", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: Path, *, queue_max: int = 4_096) -> "SqlitePayments":
        """Open or make the journal at *path*; JournalLocked when another process has it."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Before SQLite makes it: who pays whom is for the owner's eyes.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            return cls(path, lock, queue_max=queue_max)
        except BlockingIOError as error:
            os.close(lock)
            raise JournalLocked(f"{path} is in use by another hub process") from error
        except sqlite3.DatabaseError as error:
            os.close(lock)
            raise JournalCorrupt(f"{path} can't be opened: {error}") from error
        except BaseException:
            os.close(lock)
            raise

    @property
    def journal_id(self) -> bytes:
        """See PaymentJournal."""
        return self._journal_id

    @property
    def failing(self) -> str | None:
        """See PaymentJournal."""
        return self._failing

    @property
    def waiting(self) -> int:
        """See PaymentJournal."""
        return len(self._queue)

    def append(
        self,
        network_id: bytes,
        payment_id: bytes,
        body: bytes,
        durable: Callable[[int], None],
        *,
        must: bool = False,
    ) -> None:
        """See PaymentJournal."""
        self._loop = asyncio.get_running_loop()
        with self._changed:
            if self._closing:
                raise RuntimeError("the payment journal is closed")
            if len(self._queue) >= self._queue_max and not must:
                raise JournalFull(f"{self._queue_max} records wait for the disk")
            record = JournalRecord(self._next_offset, network_id, payment_id, body)
            self._next_offset += 1
            self._queue.append(_Waiting(record, durable))
            self._changed.notify()

    async def find(self, network_id: bytes, payment_id: bytes) -> Sequence[JournalRecord]:
        """See PaymentJournal."""
        return await asyncio.to_thread(self._find, network_id, payment_id)

    async def replay(self, network_id: bytes) -> Sequence[JournalRecord]:
        """See PaymentJournal."""
        return await asyncio.to_thread(self._replay, network_id)

    async def load(self) -> Sequence[NetworkRecord]:
        """See NetworkMemory."""
        return await asyncio.to_thread(self._load_networks)

    async def save(self, record: NetworkRecord) -> None:
        """See NetworkMemory. What can't be kept is logged: the next record holds it too."""
        try:
            await asyncio.to_thread(self._save_network, record)
        except sqlite3.Error as error:
            logger.warning("the network's last ticks were not kept: %s", error)

    def close(self) -> None:
        """Write what waits, then let go of the file."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._writer.join()
        os.close(self._lock_file)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    # The writer's thread ------------------------------------------------------------------------

    def _write_all(self) -> None:
        with closing(self._connect()) as connection:
            while batch := self._next_batch():
                self._write_until_done(connection, batch)

    def _next_batch(self) -> list[_Waiting]:
        """Wait for records; an empty list says that the journal closes."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            return [self._queue[at] for at in range(min(len(self._queue), BATCH_RECORDS_MAX))]

    def _write_until_done(self, connection: sqlite3.Connection, batch: list[_Waiting]) -> None:
        while not self._write(connection, batch):
            with self._changed:
                if self._closing:
                    # None of these was called durable, so nothing that was promised is lost.
                    logger.error("%d payment records could not be written", len(self._queue))
                    self._queue.clear()
                    return
                self._changed.wait(RETRY_PAUSE_S)
        with self._changed:
            for _ in batch:
                self._queue.popleft()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_tell, batch)

    def _write(self, connection: sqlite3.Connection, batch: list[_Waiting]) -> bool:
        rows = [(one.record.offset, *_columns(one.record), _crc(one.record)) for one in batch]
        try:
            connection.execute("BEGIN IMMEDIATE")
            # OR REPLACE: a commit that failed after it had reached the disk is written over.
            connection.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._note_failure(connection, error)
            return False
        self._failing = None
        return True

    def _note_failure(self, connection: sqlite3.Connection, error: sqlite3.Error) -> None:
        if self._failing is None:
            logger.error("payment journal: %s", error)
        self._failing = f"the payment journal can't be written: {error}"
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error as rollback_error:
                logger.warning("payment journal, rollback: %s", rollback_error)

    # Reading ------------------------------------------------------------------------------------

    def _find(self, network_id: bytes, payment_id: bytes) -> list[JournalRecord]:
        query = f"{_SELECT} WHERE payment_id = ? AND network_id = ? ORDER BY journal_offset"
        with closing(self._connect()) as connection:
            return [_checked(row) for row in connection.execute(query, (payment_id, network_id))]

    def _replay(self, network_id: bytes) -> list[JournalRecord]:
        found = []
        try:
            with closing(self._connect()) as connection:
                rows = connection.execute(f"{_SELECT} ORDER BY journal_offset")
                for expected, row in enumerate(rows, start=1):
                    record = _checked(row)
                    if record.offset != expected:
                        raise JournalCorrupt(f"record {expected} of {self._path} is missing")
                    if record.network_id == network_id:
                        found.append(record)
        except sqlite3.DatabaseError as error:
            raise JournalCorrupt(f"{self._path}: {error}") from error
        return found

    def _load_networks(self) -> list[NetworkRecord]:
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT record FROM networks ORDER BY used DESC").fetchall()
        try:
            return [msgpack.decode(row[0], type=NetworkRecord) for row in rows]
        except MsgspecError as error:
            raise JournalCorrupt(f"what was kept of a network is unreadable: {error}") from error

    def _save_network(self, record: NetworkRecord) -> None:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT OR REPLACE INTO networks VALUES "
                "(?, (SELECT COALESCE(MAX(used), 0) + 1 FROM networks), ?)",
                (record.network_id, msgpack.encode(record)),
            )
            connection.execute(
                "DELETE FROM networks WHERE network_id NOT IN "
                "(SELECT network_id FROM networks ORDER BY used DESC LIMIT ?)",
                (NETWORKS_MAX,),
            )
            connection.execute("COMMIT")


def _tell(batch: list[_Waiting]) -> None:
    for one in batch:
        one.durable(one.record.offset)


def _prepare(connection: sqlite3.Connection) -> bytes:
    """Make the tables where they aren't; return the journal's id."""
    connection.executescript(_SCHEMA)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT OR IGNORE INTO meta VALUES ('format', ?), ('journal_id', ?)",
        (FORMAT_VERSION.to_bytes(2, "big"), secrets.token_bytes(8)),
    )
    connection.execute("COMMIT")
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    found = int.from_bytes(meta["format"], "big")
    if found != FORMAT_VERSION:
        raise JournalCorrupt(f"the journal has format {found}; this hub reads {FORMAT_VERSION}")
    return bytes(meta["journal_id"])


def _newest_offset(connection: sqlite3.Connection) -> int:
    [newest] = connection.execute("SELECT COALESCE(MAX(journal_offset), 0) FROM events").fetchone()
    return int(newest)


def _columns(record: JournalRecord) -> tuple[bytes, bytes, bytes]:
    return record.network_id, record.payment_id, record.body


def _crc(record: JournalRecord) -> int:
    return zlib.crc32(record.offset.to_bytes(8, "big") + b"".join(_columns(record)))


def _checked(row: tuple[int, bytes, bytes, bytes, int]) -> JournalRecord:
    record = JournalRecord(*row[:4])
    if _crc(record) != row[4]:
        raise JournalCorrupt(
            f"record {record.offset} of the payment journal was changed or damaged"
        )
    return record
