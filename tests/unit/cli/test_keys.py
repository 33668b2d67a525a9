"""`realtime keys`: tells states and times, rotates, and prints no secret."""

from pathlib import Path

import pytest

from fakes import SeededEntropy
from realtime_cli.main import main
from realtime_hub.adapters.key_files import SigningKeyFile
from realtime_hub.adapters.system import SystemClock
from realtime_hub.config import HubSettings
from realtime_hub.keys import KeyRing, Purpose


@pytest.fixture
def file(tmp_path: Path) -> SigningKeyFile:
    settings = HubSettings(state=tmp_path)
    file = SigningKeyFile(settings.signing_keys_path, settings.key_overlap_ms)
    file.open(SystemClock(), SeededEntropy())
    return file


def secrets_of(ring: KeyRing) -> list[str]:
    return [told.key.seed.hex() for told in ring.describe(0)]


def test_the_keys_are_listed_without_their_secrets(
    file: SigningKeyFile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "list", "--state", str(file.path.parent)]) == 0
    out = capsys.readouterr().out
    for told in file.read().describe(0):
        assert f"{told.key.key_id.hex()}  {told.key.purpose:<8}  signing" in out
    assert not any(secret in out for secret in secrets_of(file.read()))
    assert "none: a hub without Redis" in out


def test_a_rotation_shows_the_old_key_and_the_next(
    file: SigningKeyFile, capsys: pytest.CaptureFixture[str]
) -> None:
    old = file.read().signing(Purpose.DECISION, SystemClock().now_ms())
    assert main(["keys", "rotate", "decision", "--state", str(file.path.parent)]) == 0
    out = capsys.readouterr().out
    assert f"{old.key_id.hex()}  decision  signing" in out
    assert "decision  next" in out
    assert not any(secret in out for secret in secrets_of(file.read()))
    assert file.read().signing(Purpose.DECISION, SystemClock().now_ms()) == old

    assert main(["keys", "rotate", "decision", "--state", str(file.path.parent)]) == 2
    assert "hasn't taken effect yet; see realtime keys list" in capsys.readouterr().err


def test_a_stolen_key_is_forgotten(file: SigningKeyFile) -> None:
    state = ["--state", str(file.path.parent)]
    old = file.read().signing(Purpose.DECISION, SystemClock().now_ms())
    assert main(["keys", "rotate", "decision", "--stolen", *state]) == 0
    kept = file.read().public_keys(Purpose.DECISION, SystemClock().now_ms())
    assert len(kept) == 1
    assert old.key_id not in kept


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rotate", "fleet"], "no purpose of a signing key; there are decision, quote, event"),
        (["rotate", "quote", "--lead", "-1"], "--lead is 0 to"),
    ],
)
def test_what_cant_be_rotated_is_refused(
    file: SigningKeyFile,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    assert main(["keys", *arguments, "--state", str(file.path.parent)]) == 2
    assert told in capsys.readouterr().err


def test_a_hub_that_never_started_has_no_keys_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "list", "--state", str(tmp_path)]) == 1
    assert "can't read" in capsys.readouterr().err
