"""A SQLite file is opened durably, or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from realtime_hub.adapters.sqlite_file import closed_on_error, open_database

TABLE = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY) WITHOUT ROWID"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.sqlite3"


def is_open(path: Path) -> bool:
    return any(one.resolve() == path for one in Path("/proc/self/fd").iterdir())


def test_what_is_committed_survives_a_power_cut(path: Path) -> None:
    with closing(open_database(path, TABLE, busy_s_max=1)) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert opened.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        with opened:
            opened.execute("INSERT INTO things VALUES ('kept')")
        assert is_open(path)
    with closing(open_database(path, TABLE, busy_s_max=1)) as again:
        assert again.execute("SELECT name FROM things").fetchall() == [("kept",)]
    assert not is_open(path)


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_write_begins_a_transaction_unless_each_is_its_own(path: Path, autocommit: bool) -> None:
    with closing(open_database(path, TABLE, busy_s_max=1, autocommit=autocommit)) as opened:
        opened.execute("INSERT INTO things VALUES ('new')")
        assert opened.in_transaction is not autocommit


# The errors are kept, and with them what their frames hold: nothing is closed by being forgotten.
def test_a_file_that_is_no_database_is_let_go_of(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError) as kept:
        open_database(path, busy_s_max=1)
    assert not is_open(path), kept


def test_a_file_whose_tables_cant_be_made_is_let_go_of(path: Path) -> None:
    with pytest.raises(sqlite3.Error) as kept:
        open_database(path, "CREATE TABLE", busy_s_max=1)
    assert not is_open(path), kept


def test_a_file_that_its_reader_refuses_is_let_go_of(path: Path) -> None:
    opened = open_database(path, TABLE, busy_s_max=1)
    with closed_on_error(opened):
        opened.execute("SELECT name FROM things")
    assert is_open(path)
    with pytest.raises(ValueError, match="refused"), closed_on_error(opened):
        raise ValueError("refused")
    assert not is_open(path)
