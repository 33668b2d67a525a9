"""How each SQLite file of the hub is opened, and closed again when that fails."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_database(
    path: Path,
    schema: str = "",
    *,
    busy_s_max: float,
    autocommit: bool = False,
    any_thread: bool = False,
) -> sqlite3.Connection:
    """Return a connection whose commits survive a power cut; the tables of *schema* are there.

    *busy_s_max* is how long it waits for another's write. With *autocommit* a transaction is what
    stands between BEGIN and COMMIT; without, a write begins one. With *any_thread* the caller sees
    to it that one thread at a time uses it. Raises sqlite3.Error, and leaves nothing open.
    """
    connection = sqlite3.connect(
        path,
        timeout=busy_s_max,
        isolation_level=None if autocommit else "DEFERRED",
        check_same_thread=not any_thread,
    )
    with closed_on_error(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(schema)
    return connection


@contextmanager
def closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close *connection* when the block fails; else it stays open."""
    try:
        yield
    except BaseException:
        connection.close()
        raise
