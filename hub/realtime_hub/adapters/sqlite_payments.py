"""The payment journal in SQLite: append-only, one writer, group commit.

WAL with synchronous=FULL: a record that was called durable survives a power cut. A thread of its
own takes all records that wait and commits them in one transaction, which also looks whether the
writer's term still runs. Each record carries its CRC, and offsets have no holes.
"""

import asyncio
import logging
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from realtime_hub.adapters.sqlite_payment_file import (
    SqlitePaymentFile,
    begin_term,
    connect,
    read_fence,
)
from realtime_hub.pay.events import JournalCorrupt
from realtime_hub.pay.ports import JournalFull, JournalLocked, JournalRecord

logger = logging.getLogger(__name__)

BATCH_RECORDS_MAX: Final = 1_024
RETRY_PAUSE_S: Final = 0.1

_SELECT: Final = "SELECT journal_offset, network_id, payment_id, body, crc FROM events"


@dataclass(frozen=True, slots=True)
class _Waiting:
    record: JournalRecord
    durable: Callable[[int], None]


class SqlitePayments:
    """One term of writing, as PaymentJournal. Begins at once; close it at the end."""

    def __init__(self, file: SqlitePaymentFile, *, fence: int, queue_max: int = 4_096) -> None:
        """Shut writers with a lower *fence* out; JournalFenced when a higher one has begun.

        JournalLocked while another process is in the middle of a write.
        """
        self.fenced = False
        """Whether a newer term has begun: then nothing that waits is written any more."""
        self._path = file.path
        self._journal_id = file.journal_id
        self._fence = fence
        self._queue_max = queue_max
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failing: str | None = None
        try:
            with closing(connect(self._path)) as connection:
                begin_term(connection, fence)
                self._next_offset = _newest_offset(connection) + 1
        except sqlite3.OperationalError as error:
            raise JournalLocked(f"{self._path} can't be written now: {error}") from error
        except sqlite3.DatabaseError as error:
            raise JournalCorrupt(f"{self._path} can't be opened: {error}") from error
        self._writer = threading.Thread(target=self._write_all, name="payment-journal", daemon=True)
        self._writer.start()

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
            if self.fenced and not must:
                raise JournalFull(self._failing or "")
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

    def close(self) -> None:
        """Write what waits, then end the term."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._writer.join()

    # The writer's thread ------------------------------------------------------------------------

    def _write_all(self) -> None:
        with closing(connect(self._path)) as connection:
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
                if self.fenced:
                    logger.error("%d payment records came after the term's end", len(self._queue))
                    self._queue.clear()
                    return
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
            # In the transaction itself: a process that stood still can't write past its term.
            if read_fence(connection) != self._fence:
                connection.execute("ROLLBACK")
                self.fenced = True
                self._failing = "another process writes the payment journal now"
                return False
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
        with closing(connect(self._path)) as connection:
            return [_checked(row) for row in connection.execute(query, (payment_id, network_id))]

    def _replay(self, network_id: bytes) -> list[JournalRecord]:
        found = []
        try:
            with closing(connect(self._path)) as connection:
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


def _tell(batch: list[_Waiting]) -> None:
    for one in batch:
        one.durable(one.record.offset)


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
