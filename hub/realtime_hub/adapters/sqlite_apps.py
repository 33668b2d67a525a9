"""API keys and block lists of apps in SQLite, in a file that every process of a folder shares.

A key's secret never comes here: only its hash does.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from realtime_hub.adapters.sqlite_file import open_database
from realtime_hub.apps.model import ApiKey, AppBlock
from realtime_hub.apps.ports import StoreUnavailable
from realtime_protocol.identity import PublicKey

BUSY_S_MAX: Final = 2.0
KEYS_MAX: Final = 1_024
BLOCKS_PER_APP_MAX: Final = 2_048
"""All of them are sent to each backend that follows every wallet, when it comes."""
ENDED_PER_APP_MAX: Final = 1_024
ENDED_KEPT_MS: Final = 86_400_000
"""How long it is remembered that a block was taken back: longer than a session lives."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS keys (
  key_id TEXT PRIMARY KEY,
  app TEXT NOT NULL,
  token_hash BLOB NOT NULL,
  scopes TEXT NOT NULL,
  requests_per_s INTEGER NOT NULL,
  sessions_max INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  revoked_ms INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS blocks (
  app TEXT NOT NULL,
  wallet BLOB NOT NULL,
  reason INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  PRIMARY KEY (app, wallet)
) STRICT;
"""


class SqliteApps:
    """The store. Every method raises StoreUnavailable when the disk fails."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self._database = open_database(path, _SCHEMA, busy_s_max=BUSY_S_MAX, autocommit=True)

    def close_file(self) -> None:
        """Let go of the file."""
        self._database.close()

    def version(self) -> int:
        """Return a number that changes when another process wrote."""
        with _told():
            [[version]] = self._database.execute("PRAGMA data_version")
        return int(version)

    # Keys -----------------------------------------------------------------------------------

    def keys(self) -> list[ApiKey]:
        """Return every key in the order in which they were made."""
        with _told():
            rows = self._database.execute(
                "SELECT key_id, app, token_hash, scopes, requests_per_s, sessions_max, created_ms,"
                " expires_ms, revoked_ms FROM keys ORDER BY created_ms, key_id"
            ).fetchall()
        return [
            ApiKey(
                key_id=key_id,
                app=app,
                token_hash=token_hash,
                scopes=frozenset(scopes.split(",")),
                requests_per_s=requests_per_s,
                sessions_max=sessions_max,
                created_ms=created_ms,
                expires_ms=expires_ms,
                revoked_ms=revoked_ms,
            )
            for (
                key_id, app, token_hash, scopes, requests_per_s, sessions_max, created_ms,
                expires_ms, revoked_ms,
            ) in rows
        ]  # fmt: skip

    def add_key(self, key: ApiKey) -> None:
        """Keep a further key; ValueError when its id is taken or there are too many."""
        with self._writing():
            [[held]] = self._database.execute("SELECT count(*) FROM keys")
            if held >= KEYS_MAX:
                self._forget_revoked()
            try:
                self._database.execute(
                    "INSERT INTO keys VALUES (?,?,?,?,?,?,?,?,?)",
                    (
                        key.key_id,
                        key.app,
                        key.token_hash,
                        ",".join(sorted(key.scopes)),
                        key.requests_per_s,
                        key.sessions_max,
                        key.created_ms,
                        key.expires_ms,
                        key.revoked_ms,
                    ),
                )
            except sqlite3.IntegrityError as error:
                raise ValueError(f"key id {key.key_id} is taken; try again") from error

    def _forget_revoked(self) -> None:
        """Make room by the key that was revoked first; ValueError when every one is in use."""
        gone = self._database.execute(
            "DELETE FROM keys WHERE key_id = (SELECT key_id FROM keys"
            " WHERE revoked_ms IS NOT NULL ORDER BY revoked_ms LIMIT 1)"
        )
        if not gone.rowcount:
            raise ValueError(f"{KEYS_MAX} keys are kept already; revoke some")

    def end_key(self, key_id: str, *, at_ms: int, revoked: bool) -> bool:
        """Revoke a key at once, or let it expire at *at_ms*; False when there is none such."""
        column = "revoked_ms" if revoked else "expires_ms"
        with self._writing():
            done = self._database.execute(
                f"UPDATE keys SET {column} = min(coalesce({column}, :at_ms), :at_ms)"  # noqa: S608  (ours)
                " WHERE key_id = :key_id",
                {"at_ms": at_ms, "key_id": key_id},
            )
        return done.rowcount > 0

    # Blocks ---------------------------------------------------------------------------------

    def blocks(self) -> list[AppBlock]:
        """Return every block of every app, and those that ended not long ago."""
        with _told():
            rows = self._database.execute(
                "SELECT app, wallet, reason, at_ms, ended_ms FROM blocks"
            ).fetchall()
        return [
            AppBlock(app, PublicKey(wallet), reason, at_ms, ended_ms)
            for app, wallet, reason, at_ms, ended_ms in rows
        ]

    def put_block(self, block: AppBlock) -> None:
        """Keep a block; ValueError when the app has too many."""
        with self._writing():
            self._database.execute(
                "DELETE FROM blocks WHERE ended_ms < ?", (block.at_ms - ENDED_KEPT_MS,)
            )
            [[held]] = self._database.execute(
                "SELECT count(*) FROM blocks WHERE app = ? AND wallet <> ? AND ended_ms IS NULL",
                (block.app, bytes(block.wallet)),
            )
            if held >= BLOCKS_PER_APP_MAX:
                raise ValueError(
                    f"app {block.app} blocks {BLOCKS_PER_APP_MAX} wallets already; unblock some"
                )
            self._database.execute(
                "INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,NULL)",
                (block.app, bytes(block.wallet), block.reason, block.at_ms),
            )

    def end_block(self, app: str, wallet: bytes, *, at_ms: int) -> bool:
        """Take a block back; False when there was none."""
        with self._writing():
            done = self._database.execute(
                "UPDATE blocks SET ended_ms = ? WHERE app = ? AND wallet = ? AND ended_ms IS NULL",
                (at_ms, app, bytes(wallet)),
            )
            self._database.execute(
                "DELETE FROM blocks WHERE app = :app AND ended_ms IS NOT NULL AND wallet NOT IN"
                " (SELECT wallet FROM blocks WHERE app = :app AND ended_ms IS NOT NULL"
                " ORDER BY ended_ms DESC LIMIT :kept_max)",
                {"app": app, "kept_max": ENDED_PER_APP_MAX},
            )
        return done.rowcount > 0

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Read and write as one step, beside other processes; a ValueError changes nothing."""
        with _told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


@contextmanager
def _told() -> Iterator[None]:
    """Tell of a failing disk in the domain's words."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(str(error)) from error
