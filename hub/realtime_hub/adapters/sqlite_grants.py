"""Grants in a file, for a hub without Redis: a key outlives the hub's restart."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

import msgspec

from realtime_hub.adapters.sqlite_file import open_database
from realtime_hub.auth.grant_store import GrantsUnavailable
from realtime_hub.auth.grants import Grants
from realtime_protocol.identity import PublicKey

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS grants (
    network_id BLOB NOT NULL,
    wallet BLOB NOT NULL,
    grants BLOB NOT NULL,
    PRIMARY KEY (network_id, wallet)
) WITHOUT ROWID
"""
_BUSY_S_MAX: Final = 1.0

Result = TypeVar("Result")


class SqliteGrants:
    """One file of mode 0600; what a call wrote is on disk when it returns.

    *network_id* raises GrantsUnavailable while the network isn't known.
    """

    def __init__(self, path: Path, network_id: Callable[[], bytes]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._network_id = network_id
        self._lock = Lock()
        self._decode = msgspec.msgpack.Decoder(Grants).decode
        self._connection = open_database(path, _SCHEMA, busy_s_max=_BUSY_S_MAX, any_thread=True)

    def close_file(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    async def load(self, wallets: Sequence[PublicKey]) -> list[Grants]:
        """Return each wallet's grants."""
        return await self._locked(lambda: [self._find(wallet) for wallet in wallets])

    async def swap(self, wallet: PublicKey, before: Grants, after: Grants) -> bool:
        """Put *after* in the place of *before*."""

        def write() -> bool:
            if self._find(wallet) != before:
                return False
            names = (self._network_id(), wallet)
            with self._connection:
                if after:
                    self._connection.execute(
                        "REPLACE INTO grants (network_id, wallet, grants) VALUES (?, ?, ?)",
                        (*names, msgspec.msgpack.encode(after)),
                    )
                else:
                    self._connection.execute(
                        "DELETE FROM grants WHERE network_id = ? AND wallet = ?", names
                    )
            return True

        return await self._locked(write)

    async def tell(self, grant_ids: Sequence[bytes]) -> None:
        """There is no other hub."""

    async def follow(self, on_revoked: Callable[[bytes], None]) -> None:
        """Tell nothing: whoever revokes something here is this hub itself."""
        await asyncio.get_running_loop().create_future()

    def _find(self, wallet: PublicKey) -> Grants:
        row = self._connection.execute(
            "SELECT grants FROM grants WHERE network_id = ? AND wallet = ?",
            (self._network_id(), wallet),
        ).fetchone()
        return () if row is None else self._decode(row[0])

    async def _locked(self, work: Callable[[], Result]) -> Result:
        def run() -> Result:
            with self._lock:
                return work()

        try:
            return await asyncio.to_thread(run)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise GrantsUnavailable(f"the file of grants: {error}") from error
