"""API keys and block lists in a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app_fakes import KEY_ID, api_key
from realtime_hub.adapters import sqlite_apps
from realtime_hub.adapters.sqlite_apps import ENDED_KEPT_MS, SqliteApps
from realtime_hub.apps.model import AppBlock
from realtime_hub.apps.ports import StoreUnavailable
from realtime_protocol.identity import PublicKey

ALICE, BOB = PublicKey(b"\x0a" * 32), PublicKey(b"\x0b" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteApps]:
    opened = SqliteApps(tmp_path / "apps.sqlite3")
    yield opened
    opened.close_file()


def test_only_the_owner_reads_the_file(store: SqliteApps, tmp_path: Path) -> None:
    assert (tmp_path / "apps.sqlite3").stat().st_mode & 0o777 == 0o600


def test_keys_come_back_as_they_were(store: SqliteApps) -> None:
    store.add_key(api_key())
    store.add_key(api_key("00000002", expires_ms=9))
    assert store.keys() == [api_key("00000002", expires_ms=9), api_key()]


def test_an_id_is_taken_once(store: SqliteApps) -> None:
    store.add_key(api_key())
    with pytest.raises(ValueError, match="taken"):
        store.add_key(api_key())


def test_a_key_never_lives_longer_than_was_said_once(store: SqliteApps) -> None:
    store.add_key(api_key(expires_ms=100))
    assert store.end_key(KEY_ID, at_ms=200, revoked=False)
    assert store.keys()[0].expires_ms == 100
    assert store.end_key(KEY_ID, at_ms=50, revoked=False)
    assert store.keys()[0].expires_ms == 50
    assert store.end_key(KEY_ID, at_ms=40, revoked=True)
    assert store.keys()[0].revoked_ms == 40
    assert not store.end_key("ffffffff", at_ms=1, revoked=True)


def test_at_the_bound_the_longest_revoked_key_makes_room(
    store: SqliteApps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_apps, "KEYS_MAX", 2)
    store.add_key(api_key("00000001"))
    store.add_key(api_key("00000002", revoked_ms=5))
    store.add_key(api_key("00000003"))
    held = store.keys()
    assert [key.key_id for key in held] == ["00000001", "00000003"]
    with pytest.raises(ValueError, match="revoke some"):
        store.add_key(api_key("00000004"))


def test_blocks_end_and_are_remembered_for_a_while(store: SqliteApps) -> None:
    store.put_block(AppBlock("shop", ALICE, 7, 1_000))
    assert store.end_block("shop", ALICE, at_ms=2_000)
    assert not store.end_block("shop", ALICE, at_ms=2_001)
    assert store.blocks() == [AppBlock("shop", ALICE, 7, 1_000, 2_000)]
    store.put_block(AppBlock("shop", BOB, 7, 2_001 + ENDED_KEPT_MS))
    assert [block.wallet for block in store.blocks()] == [BOB]


def test_a_list_has_a_bound_and_so_has_what_ended(
    store: SqliteApps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_apps, "BLOCKS_PER_APP_MAX", 1)
    monkeypatch.setattr(sqlite_apps, "ENDED_PER_APP_MAX", 1)
    store.put_block(AppBlock("shop", ALICE, 0, 1))
    store.put_block(AppBlock("shop", ALICE, 1, 2))
    with pytest.raises(ValueError, match="unblock some"):
        store.put_block(AppBlock("shop", BOB, 0, 3))
    store.put_block(AppBlock("other", BOB, 0, 3))
    store.end_block("shop", ALICE, at_ms=4)
    store.put_block(AppBlock("shop", BOB, 0, 5))
    store.end_block("shop", BOB, at_ms=6)
    assert {(block.app, block.wallet, block.ended_ms) for block in store.blocks()} == {
        ("shop", BOB, 6),
        ("other", BOB, None),
    }


def test_another_process_sees_that_something_was_written(store: SqliteApps, tmp_path: Path) -> None:
    other = SqliteApps(tmp_path / "apps.sqlite3")
    before = store.version()
    other.put_block(AppBlock("shop", ALICE, 0, 1))
    assert store.version() != before
    assert store.blocks() == other.blocks()
    other.close_file()


def test_a_store_that_fails_says_so_in_the_domains_words(store: SqliteApps) -> None:
    store.close_file()
    for ask in (store.version, store.keys, store.blocks):
        with pytest.raises(StoreUnavailable):
            ask()
    with pytest.raises(StoreUnavailable):
        store.put_block(AppBlock("shop", ALICE, 0, 1))
