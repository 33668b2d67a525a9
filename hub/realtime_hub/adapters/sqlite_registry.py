"""The registry that this hub keeps, in SQLite: every entry on disk before it counts.

Worker processes of one hub share the file: each takes up what another appended when it is asked.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from realtime_hub.adapters.sqlite_file import closed_on_error, open_database
from realtime_hub.clock import Clock
from realtime_protocol.registry import (
    ENTRIES_PER_PAGE_MAX,
    Registry,
    RegistryEntry,
    RegistryError,
)
from realtime_protocol.transaction import transaction_digest

logger = logging.getLogger(__name__)

REGISTRY_FILE: Final = "registry.sqlite3"
"""In a hub's state folder."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS registry_entries (
    number INTEGER PRIMARY KEY,
    signed_tx BLOB NOT NULL,
    accepted_ms INTEGER NOT NULL,
    hash BLOB NOT NULL
)
"""
_READ: Final = (
    "SELECT number, signed_tx, accepted_ms, hash FROM registry_entries "
    "WHERE number > ? ORDER BY number LIMIT ?"
)
_APPEND: Final = (
    "INSERT INTO registry_entries (number, signed_tx, accepted_ms, hash) VALUES (?, ?, ?, ?)"
)
_BUSY_S_MAX: Final = 1.0
_APPEND_TRIES_MAX: Final = 8


class SqliteRegistry:
    """One registry in one file; *begin* makes its empty table.

    RegistryError at the start when the file's chain is broken.
    """

    def __init__(self, path: Path, begin: Callable[[], Registry], clock: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._begin = begin
        self._table = begin()
        self._clock = clock
        self._lock = Lock()
        self._connection = open_database(path, _SCHEMA, busy_s_max=_BUSY_S_MAX, any_thread=True)
        with closed_on_error(self._connection):
            self._take_up()

    @property
    def table(self) -> Registry:
        """The table as far as it has been read."""
        return self._table

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    async def call_function(self, _contract_index: int, function: int, payload: bytes) -> bytes:
        """Answer a function of the TurboAuth ABI: contract_trust's ContractCaller."""
        await asyncio.to_thread(self._take_up_locked)
        return self._table.call(function, payload)

    async def append(self, signed_tx: bytes) -> bool:
        """Make an order of the administrator part of the chain; True also if it is already.

        False for one that the table refuses, as the contract would.
        """
        return await asyncio.to_thread(self._append, signed_tx)

    async def entries_after(self, number: int) -> Sequence[RegistryEntry]:
        """Return up to 256 entries that follow the one with that number."""
        return await asyncio.to_thread(self._read_locked, number)

    def _append(self, signed_tx: bytes) -> bool:
        with self._lock:
            for _ in range(_APPEND_TRIES_MAX):
                self._take_up()
                if self._table.has_taken(transaction_digest(signed_tx)):
                    return True
                entry = self._table.next_entry(signed_tx, self._clock.now_ms())
                try:
                    with self._connection:
                        row = (entry.number, entry.signed_tx, entry.accepted_ms, entry.hash)
                        self._connection.execute(_APPEND, row)
                        self._table.take(entry)
                except RegistryError as error:
                    logger.warning("the registry refuses an order: %s", error)
                    return False
                except sqlite3.IntegrityError:
                    continue  # Another worker was faster: its entry comes first.
                except sqlite3.Error:
                    # The table may be ahead of the disk: only what is there counts.
                    self._table = self._begin()
                    raise
                return True
        return False

    def _take_up_locked(self) -> None:
        with self._lock:
            self._take_up()

    def _take_up(self) -> None:
        """Take the entries that the file has and the table hasn't."""
        while entries := self._read(self._table.number):
            for entry in entries:
                self._table.take(entry)

    def _read_locked(self, number: int) -> list[RegistryEntry]:
        with self._lock:
            return self._read(number)

    def _read(self, number: int) -> list[RegistryEntry]:
        rows = self._connection.execute(_READ, (number, ENTRIES_PER_PAGE_MAX))
        return [RegistryEntry(*row) for row in rows]


def check_file(path: Path, table: Registry) -> Registry:
    """Return the table that a registry's file makes; RegistryError, or OSError if there is none."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no registry here")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = connection.execute(_READ, (0, -1))
        for row in rows:
            table.take(RegistryEntry(*row))
    except sqlite3.DatabaseError as error:
        raise RegistryError(f"{path} can't be read: {error}") from error
    finally:
        connection.close()
    return table
