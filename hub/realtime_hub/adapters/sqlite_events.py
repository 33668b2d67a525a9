"""Queues of security events in SQLite: on disk before a change counts as exported."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from msgspec import MsgspecError

from realtime_hub.adapters.sqlite_file import open_database
from realtime_hub.export.events import SecurityEvent, decode_event, encode_event
from realtime_hub.export.ports import QueueUnavailable
from realtime_protocol.messages import Position

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    jti TEXT NOT NULL,
    event BLOB NOT NULL,
    UNIQUE (stream, jti)
);
CREATE INDEX IF NOT EXISTS events_in_order ON events (stream, number);
CREATE TABLE IF NOT EXISTS place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch BLOB NOT NULL,
    offset INTEGER NOT NULL
);
"""
_BUSY_S_MAX: Final = 1.0

Result = TypeVar("Result")


class SqliteEvents:
    """One file for all streams, at most *events_max* events for each."""

    def __init__(self, path: Path, *, events_max: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._events_max = events_max
        self._lock = Lock()
        self._connection = open_database(path, _SCHEMA, busy_s_max=_BUSY_S_MAX, any_thread=True)

    def close_file(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    async def add(
        self, events: Sequence[tuple[str, SecurityEvent]], position: Position | None
    ) -> int:
        """Keep events and position in one transaction; return how many made room."""

        def add() -> int:
            with self._connection as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO events (stream, jti, event) VALUES (?, ?, ?)",
                    [(stream, event.jti, encode_event(event)) for stream, event in events],
                )
                if position is not None:
                    connection.execute(
                        "INSERT OR REPLACE INTO place VALUES (1, ?, ?)",
                        (position.epoch, position.offset),
                    )
                return sum(self._trim(stream) for stream in {stream for stream, _ in events})

        return await self._locked(add)

    async def position(self) -> Position | None:
        """Return the place that was kept."""

        def read() -> Position | None:
            row = self._connection.execute("SELECT epoch, offset FROM place").fetchone()
            return None if row is None else Position(*row)

        return await self._locked(read)

    async def oldest(self, stream: str, count_max: int) -> list[SecurityEvent]:
        """Return the events that wait longest."""

        def read() -> list[SecurityEvent]:
            rows = self._connection.execute(
                "SELECT event FROM events WHERE stream = ? ORDER BY number LIMIT ?",
                (stream, count_max),
            )
            return [decode_event(event) for (event,) in rows]

        return await self._locked(read)

    async def remove(self, stream: str, jtis: Sequence[str]) -> None:
        """Forget events."""

        def remove() -> None:
            with self._connection as connection:
                connection.executemany(
                    "DELETE FROM events WHERE stream = ? AND jti = ?",
                    [(stream, jti) for jti in jtis],
                )

        await self._locked(remove)

    async def depth(self, stream: str) -> int:
        """Count the events that wait."""
        return await self._locked(lambda: self._count(stream))

    def _count(self, stream: str) -> int:
        [count] = self._connection.execute(
            "SELECT COUNT(*) FROM events WHERE stream = ?", (stream,)
        ).fetchone()
        return int(count)

    def _trim(self, stream: str) -> int:
        over = self._count(stream) - self._events_max
        if over <= 0:
            return 0
        self._connection.execute(
            "DELETE FROM events WHERE number IN "
            "(SELECT number FROM events WHERE stream = ? ORDER BY number LIMIT ?)",
            (stream, over),
        )
        return over

    async def _locked(self, work: Callable[[], Result]) -> Result:
        def run() -> Result:
            with self._lock:
                try:
                    return work()
                except (sqlite3.Error, MsgspecError) as error:
                    raise QueueUnavailable(str(error)) from error

        return await asyncio.to_thread(run)
