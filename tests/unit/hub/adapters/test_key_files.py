"""Files of secrets: made once, whole, for their owner alone; and told clearly when they aren't."""

import os
import stat
from pathlib import Path

import pytest

from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.key_files import (
    FLEET_KEY_BYTES,
    KeyFileError,
    SigningKeyFile,
    WatchedKeys,
    create_private,
    read_fleet_key,
    read_private,
)
from realtime_hub.keys import KeyState, Purpose

OVERLAP_MS = dict.fromkeys(Purpose, 1_000)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def file(tmp_path: Path) -> SigningKeyFile:
    return SigningKeyFile(tmp_path / "keys.json", OVERLAP_MS)


def test_the_first_start_makes_keys_that_only_the_owner_can_read(file: SigningKeyFile) -> None:
    ring = file.open(FakeClock(), SeededEntropy())
    assert mode_of(file.path) == 0o600
    again = file.open(FakeClock(), SeededEntropy(2))
    assert again.describe(0) == ring.describe(0)
    assert list(file.path.parent.iterdir()) == [file.path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_keys_that_others_may_use_are_refused_with_the_remedy(
    file: SigningKeyFile, mode: int
) -> None:
    file.open(FakeClock(), SeededEntropy())
    file.path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"mode {mode:04o}\); run: chmod 600 "):
        file.read()


def test_keys_of_another_user_are_refused(
    file: SigningKeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.open(FakeClock(), SeededEntropy())
    owner = file.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:  # What root owns, nobody but root can have put there.
        file.read()
        os.chown(file.path, 12_345, -1)
        owner = 12_345
    with pytest.raises(KeyFileError, match=rf"belongs to user {owner}, not to user"):
        file.read()


def test_a_secret_that_root_mounted_for_our_group_is_taken(
    file: SigningKeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.open(FakeClock(), SeededEntropy())
    file.path.chmod(0o440)
    found = file.path.stat()
    mounted = os.stat_result((*found[:4], 0, 4_711, *found[6:]))
    monkeypatch.setattr(os, "fstat", lambda _: mounted)
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    monkeypatch.setattr(os, "getgroups", lambda: [4_711])
    file.read()
    monkeypatch.setattr(os, "getgroups", lambda: [4_712])
    with pytest.raises(KeyFileError, match="mode 0440"):
        file.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"version":2,"keys":[]}',
        b'{"version":1,"keys":[]}',
        b'{"version":1,"keys":[{"purpose":"decision","seed":"5ec7e7","signs_from_ms":0}]}',
        b'{"version":1,"keys":[{"purpose":"decision","seed":"' + b"5e" * 32 + b'",'
        b'"signs_from_ms":0}]}',
    ],
)
def test_a_file_that_holds_something_else_is_refused_without_a_secret(
    file: SigningKeyFile, content: bytes
) -> None:
    create_private(file.path, content)
    with pytest.raises(KeyFileError, match="no file of signing keys") as refused:
        file.read()
    assert "5e" not in str(refused.value)


def test_a_file_of_another_kind_or_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="Is a directory"):
        read_private(tmp_path, bytes_max=1)
    with pytest.raises(KeyFileError, match="No such file"):
        read_private(tmp_path / "none", bytes_max=1)
    create_private(tmp_path / "long", b"12")
    with pytest.raises(KeyFileError, match="over 1 bytes"):
        read_private(tmp_path / "long", bytes_max=1)


def test_of_two_processes_that_start_at_once_one_makes_the_file(tmp_path: Path) -> None:
    assert create_private(tmp_path / "key", b"first")
    assert not create_private(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cant_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"can't write in .*none"):
        create_private(tmp_path / "none" / "key", b"x")


def test_the_fleets_key_is_made_once_and_has_its_size(tmp_path: Path) -> None:
    path = tmp_path / "fleet.key"
    key = read_fleet_key(path, SeededEntropy())
    assert len(key) == FLEET_KEY_BYTES
    assert mode_of(path) == 0o600
    assert read_fleet_key(path, SeededEntropy(2)) == key
    path.write_bytes(key[:-1])
    with pytest.raises(KeyFileError, match="31 bytes, not 32; copy the fleet's key"):
        read_fleet_key(path, SeededEntropy())


def test_a_running_hub_takes_up_a_rotation_and_survives_a_bad_file(
    file: SigningKeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    watched = WatchedKeys(file, clock, SeededEntropy())
    before = watched.ring
    watched.refresh()
    assert watched.ring is before

    now_ms = clock.now_ms()
    rotated = before.rotated(Purpose.DECISION, bytes(32), now_ms=now_ms, lead_ms=500)
    file.write(rotated, now_ms=now_ms)
    assert mode_of(file.path) == 0o600
    watched.refresh()
    states = [told.state for told in watched.ring.describe(now_ms)]
    assert states == [KeyState.SIGNING, KeyState.NEXT, KeyState.SIGNING, KeyState.SIGNING]

    kept = watched.ring
    file.path.write_text("broken")
    watched.refresh()
    file.path.unlink()
    watched.refresh()
    assert watched.ring is kept
    assert caplog.text.count("the signing keys stay as they were") == 2
