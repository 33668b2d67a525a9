"""The file that payments are kept in: whose it is, and what it remembers of networks.

All workers of a hub have it open; one at a time writes payments to it, for a term that a fence
number names (`sqlite_payments`). The number only grows, so that a writer whose time is over, and
who doesn't know it yet, is refused by the file itself.
"""

import asyncio
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from msgspec import MsgspecError, msgpack

from realtime_hub.adapters.sqlite_file import open_database
from realtime_hub.chain.network import NetworkRecord
from realtime_hub.pay.events import JournalCorrupt
from realtime_hub.pay.ports import JournalFenced, JournalLocked

logger = logging.getLogger(__name__)

FORMAT_VERSION: Final = 1
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
_FENCE_BYTES: Final = 8


class SqlitePaymentFile:
    """The file, and its NetworkMemory. Use :meth:`open`; close it at the end."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        with closing(connect(path)) as connection:
            self.journal_id = _prepare(connection)

    @classmethod
    def open(cls, path: Path, *, shared: bool = False) -> "SqlitePaymentFile":
        """Open or make the file; JournalLocked when another process has it.

        *shared*: other workers of this hub may have it open too; who writes is agreed elsewhere.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            # Before SQLite makes it: who pays whom is for the owner's eyes.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            return cls(path, lock)
        except BlockingIOError as error:
            os.close(lock)
            raise JournalLocked(f"{path} is in use by another hub process") from error
        except sqlite3.DatabaseError as error:
            os.close(lock)
            raise JournalCorrupt(f"{path} can't be opened: {error}") from error
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def fence(self) -> int:
        """Return the number of the newest term of writing; 0 before the first."""
        with closing(connect(self.path)) as connection:
            return read_fence(connection)

    @contextmanager
    def joining(self) -> Iterator[bool]:
        """See NetworkMemory."""
        path = self.path.with_name(self.path.name + ".joining")
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(lock)

    async def load(self) -> Sequence[NetworkRecord]:
        """See NetworkMemory."""
        return await asyncio.to_thread(self._load_networks)

    async def save(self, record: NetworkRecord) -> None:
        """See NetworkMemory. What can't be kept is logged: the next record holds it too."""
        try:
            await asyncio.to_thread(self._save_network, record)
        except sqlite3.Error as error:
            logger.warning("the network's last ticks were not kept: %s", error)

    def _load_networks(self) -> list[NetworkRecord]:
        with closing(connect(self.path)) as connection:
            rows = connection.execute("SELECT record FROM networks ORDER BY used DESC").fetchall()
        try:
            return [msgpack.decode(row[0], type=NetworkRecord) for row in rows]
        except MsgspecError as error:
            raise JournalCorrupt(f"what was kept of a network is unreadable: {error}") from error

    def _save_network(self, record: NetworkRecord) -> None:
        with closing(connect(self.path)) as connection:
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


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection whose commits survive a power cut."""
    return open_database(path, busy_s_max=BUSY_TIMEOUT_S, autocommit=True)


def read_fence(connection: sqlite3.Connection) -> int:
    """Return the number of the newest term of writing; 0 before the first."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'fence'").fetchone()
    return 0 if row is None else int.from_bytes(row[0], "big")


def begin_term(connection: sqlite3.Connection, fence: int) -> None:
    """Shut every writer with a lower number out; JournalFenced when a higher one has begun."""
    connection.execute("BEGIN IMMEDIATE")
    newest = read_fence(connection)
    if newest >= fence:
        connection.execute("ROLLBACK")
        raise JournalFenced(f"term {newest} of writing has begun; {fence} is over")
    connection.execute(
        "INSERT OR REPLACE INTO meta VALUES ('fence', ?)", (fence.to_bytes(_FENCE_BYTES, "big"),)
    )
    connection.execute("COMMIT")


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
