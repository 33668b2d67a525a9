"""realtime apps: keys that are shown once, block lists."""

from pathlib import Path

import pytest

from realtime_cli.main import main
from realtime_hub.adapters.sqlite_apps import SqliteApps
from realtime_hub.apps.model import ApiKey, KeyScope, hash_token, key_id_of
from realtime_protocol.identity import encode_identity

WALLET = encode_identity(bytes(range(32)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "realtime.toml").write_text(
        '[[hub.apps]]\nname = "shop"\ndomains = ["shop.example"]\n'
    )
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["apps", *words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["apps", *words]) != 0
    return capsys.readouterr().err


def kept_keys(folder: Path) -> list[ApiKey]:
    store = SqliteApps(folder / ".realtime/hub/apps.sqlite3")
    try:
        return store.keys()
    finally:
        store.close_file()


def test_a_key_is_shown_once_and_only_its_hash_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = run(capsys, "key", "add", "shop", "--scopes", "service", "--sessions", "3").split()[0]
    [key] = kept_keys(folder)
    assert key.token_hash == hash_token(token)
    assert (key.key_id, key.sessions_max) == (key_id_of(token), 3)
    assert key.scopes == {KeyScope.SERVICE}
    listed = run(capsys, "key", "list")
    assert f"rtk_{key.key_id}" in listed
    assert token not in listed
    content = (folder / ".realtime/hub/apps.sqlite3").read_bytes()
    assert token.encode() not in content


def test_a_rotated_key_overlaps_and_a_revoked_one_does_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old_id = key_id_of(run(capsys, "key", "add", "shop").split()[0]) or ""
    run(capsys, "key", "rotate", old_id, "--overlap", "2")
    old, new = kept_keys(folder)
    assert old.expires_ms is not None
    assert abs(old.expires_ms - new.created_ms - 7_200_000) < 60_000
    run(capsys, "key", "revoke", f"rtk_{new.key_id}")  # As the list shows it.
    assert kept_keys(folder)[1].revoked_ms is not None
    assert "no key" in refused(capsys, "key", "rotate", new.key_id)
    assert "no key" in refused(capsys, "key", "revoke", "ffffffff")


def test_a_wallet_is_blocked_and_let_in_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "block", "shop", WALLET, "--reason", "7")
    assert run(capsys, "blocks", "shop").split()[:2] == [WALLET, "7"]
    run(capsys, "unblock", "shop", WALLET)
    assert run(capsys, "blocks", "shop") == ""
    assert "doesn't block" in refused(capsys, "unblock", "shop", WALLET)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["block", "shep", WALLET], "the settings list shop"),
        (["key", "add", "shop", "--scopes", "admin"], "service, rest"),
        (["key", "add", "shop", "--requests-per-s", "0"], "1 to"),
        (["block", "shop", WALLET, "--reason", "65536"], "0 to 65535"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert told in refused(capsys, *words)


def test_without_apps_it_says_how_to_list_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "realtime.toml").write_text("")
    assert "[[hub.apps]]" in refused(capsys, "list")
