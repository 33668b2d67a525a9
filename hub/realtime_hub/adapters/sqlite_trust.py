"""The administrator's journal in SQLite, and who the administrator is: durable before it counts."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from realtime_hub.adapters.sqlite_file import open_database
from realtime_hub.auth.administration import AdminChange, Outcome
from realtime_hub.auth.stewardship import Stewards
from realtime_protocol.identity import PublicKey

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS admin_changes (
    network_id BLOB NOT NULL,
    digest BLOB NOT NULL,
    signed_tx BLOB NOT NULL,
    target_tick INTEGER NOT NULL,
    log_seq INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    PRIMARY KEY (network_id, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stewards (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    configured BLOB NOT NULL,
    admin BLOB NOT NULL,
    proposed BLOB NOT NULL
)
"""
_COLUMNS: Final = "digest, signed_tx, target_tick, log_seq, outcome"
_WHICH: Final = "WHERE network_id = :network_id AND digest = :digest"
_BUSY_S_MAX: Final = 1.0

Result = TypeVar("Result")


class SqliteAdminJournal:
    """One file; each write is on disk when its call returns. Rows carry the network's id."""

    def __init__(self, path: Path, network_id: Callable[[], bytes]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._network_id = network_id
        self._lock = Lock()
        self._connection = open_database(path, _SCHEMA, busy_s_max=_BUSY_S_MAX, any_thread=True)

    def close_file(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def load(self) -> Stewards | None:
        """Return the stewards that were saved last: stewardship's StewardMemory."""
        with self._lock:
            row = self._connection.execute(
                "SELECT configured, admin, proposed FROM stewards"
            ).fetchone()
        return None if row is None else Stewards(*map(PublicKey, row))

    def save(self, stewards: Stewards) -> None:
        """Keep the stewards; on return they are on disk."""
        with self._lock, self._connection:
            self._connection.execute(
                "REPLACE INTO stewards (only, configured, admin, proposed) VALUES (1, ?, ?, ?)",
                (stewards.configured, stewards.admin, stewards.proposed),
            )

    async def add(self, change: AdminChange) -> None:
        """Write it down."""
        await self._write(
            f"INSERT INTO admin_changes (network_id, {_COLUMNS}) VALUES "  # noqa: S608  (ours)
            "(:network_id, :digest, :signed_tx, :target_tick, :log_seq, :outcome)",
            digest=change.digest,
            signed_tx=change.signed_tx,
            target_tick=change.target_tick,
            log_seq=change.log_seq,
            outcome=int(change.outcome),
        )

    async def find(self, digest: bytes) -> AdminChange | None:
        """Return the change with this digest."""
        found = await self._read("digest = ?", digest)
        return found[0] if found else None

    async def set_log_seq(self, digest: bytes, log_seq: int) -> None:
        """Note where its first lowering stands in the trust log."""
        await self._write(
            f"UPDATE admin_changes SET log_seq = :log_seq {_WHICH}",  # noqa: S608  (ours)
            log_seq=log_seq,
            digest=digest,
        )

    async def close(self, digest: bytes, outcome: Outcome) -> None:
        """Note its end."""
        await self._write(
            f"UPDATE admin_changes SET outcome = :outcome {_WHICH}",  # noqa: S608  (ours)
            outcome=int(outcome),
            digest=digest,
        )

    async def open_changes(self) -> Sequence[AdminChange]:
        """Return those without an end."""
        return await self._read("outcome = ?", int(Outcome.OPEN))

    async def _write(self, statement: str, **values: bytes | int) -> None:
        def write() -> None:
            with self._connection:
                self._connection.execute(statement, {"network_id": self._network_id(), **values})

        await self._locked(write)

    async def _read(self, condition: str, value: bytes | int) -> list[AdminChange]:
        def read() -> list[AdminChange]:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM admin_changes WHERE network_id = ? AND {condition}",  # noqa: S608  (only our own conditions)
                (self._network_id(), value),
            )
            return [
                AdminChange(digest, signed_tx, tick, log_seq, Outcome(outcome))
                for digest, signed_tx, tick, log_seq, outcome in rows
            ]

        return await self._locked(read)

    async def _locked(self, work: Callable[[], Result]) -> Result:
        def run() -> Result:
            with self._lock:
                return work()

        return await asyncio.to_thread(run)
