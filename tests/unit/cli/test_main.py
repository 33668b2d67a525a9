"""The commands that need no hub, and how the others fail: one line, and a status."""

import importlib
import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from realtime_cli.main import COMMANDS, main
from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.wallet_signatures import verify_login_signature

SEED = "s" * 55
KEYS = keypair(SEED)
IDENTITY = encode_identity(KEYS.public_key)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REALTIME_SEED", raising=False)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as error:  # argparse's own way out.
            status = int(error.code or 0)
        out, err = capfd.readouterr()
        return status, out, err

    return call


@pytest.fixture
def seed_file(tmp_path: Path) -> Path:
    path = tmp_path / "my.seed"
    path.touch(mode=0o600)
    path.write_text(SEED + "\n", encoding="ascii")
    return path


def test_help_lists_every_command(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(f"\n  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    status, out, _ = run(name, "--help")
    assert status == 0
    assert f"usage: realtime {name}" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fly"], "unknown command 'fly'; realtime --help lists them"),
        (["status", "A" * 60], "look for a mistyped letter"),
        (["wallet", "show"], "no wallet: give --demo 0"),
        (["wallet", "show", "--demo", "0"], "can't read .realtime/devnet/demo.json"),
        (["wallet", "show", "--seed-file", "nowhere"], "can't read nowhere"),
        (["trust", "set", IDENTITY, "admired"], "there are unknown, active, blocked"),
        (["trust", "set", IDENTITY, "active", "--score", "101"], "score 101 is not in 0..100"),
        (["serve", "--port", "70000"], "--port: Expected `int` <= 65535"),
        (["devnet", "--tick-ms", "5"], "devnet.tick_ms is 5, not in 10..60000"),
        (["serve", "--config", "nowhere.toml"], "can't read nowhere.toml"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(run: Run, arguments: list[str], line: str) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert line in err
    assert err.startswith("realtime: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["login", SEED], ["login", f"--seed-file={SEED}"]])
def test_a_seed_on_the_command_line_is_refused_and_not_repeated(
    run: Run, arguments: list[str]
) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert "--seed-file or REALTIME_SEED" in err
    assert SEED not in err


def test_a_new_wallets_seed_is_in_a_file_that_only_its_owner_reads(run: Run) -> None:
    status, out, err = run("wallet", "new")
    identity = out.strip()
    path = Path(f"{identity[:8].lower()}.seed")
    assert status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert encode_identity(keypair(path.read_text().strip()).public_key) == identity
    assert path.read_text().strip() not in out + err


def test_a_seed_is_never_overwritten(run: Run, seed_file: Path) -> None:
    status, _, err = run("wallet", "new", "--out", str(seed_file))
    assert (status, seed_file.read_text().strip()) == (2, SEED)
    assert "never overwritten" in err


def test_a_seed_file_that_others_can_read_is_refused(run: Run, seed_file: Path) -> None:
    seed_file.chmod(0o644)
    status, _, err = run("wallet", "show", "--seed-file", str(seed_file))
    assert status == 2
    assert "chmod 600" in err


def test_a_wallet_is_shown_by_file_variable_or_demo_number(
    run: Run, seed_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"{IDENTITY}\n{KEYS.public_key.hex()}\n"
    assert run("wallet", "show", "--seed-file", str(seed_file))[1] == expected
    demo = tmp_path / "demo.json"
    demo.touch(mode=0o600)
    demo.write_text(
        json.dumps(
            {
                "admin_seed": SEED,
                "wallets": [{"seed": "t" * 55, "identity": "T", "balance": 1}],
                "contract_index": 29,
            }
        )
    )
    assert run("wallet", "show", "--demo", "admin", "--demo-file", str(demo))[1] == expected
    status, _, err = run("wallet", "show", "--demo", "7", "--demo-file", str(demo))
    assert status == 2
    assert "wallets 0 to 0, and admin" in err
    monkeypatch.setenv("REALTIME_SEED", SEED)
    assert run("wallet", "show")[1] == expected


@pytest.mark.parametrize("scheme", ["wc", "k12", "raw"])
def test_a_text_is_signed_under_the_scheme_asked_for(
    run: Run, seed_file: Path, tmp_path: Path, scheme: str
) -> None:
    text = tmp_path / "text"
    text.write_text("hello\nworld")
    status, out, _ = run(
        "wallet", "sign", "--seed-file", str(seed_file), "--text-file", str(text),
        "--scheme", scheme,
    )  # fmt: skip
    assert status == 0
    signature = bytes.fromhex(out.strip())
    kind = Scheme[scheme.upper()]
    assert verify_login_signature(kind, KEYS.public_key, b"hello\nworld", signature)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (bytes(80), "can't be printed"),
        (b"\xff" * 80, "not UTF-8"),
        (b"x" * 8_193, "at most 8192 bytes"),
        (b"x" * 32, "digest of a transaction"),
    ],
)
def test_what_could_be_a_transaction_is_not_signed_as_a_text(
    run: Run, seed_file: Path, tmp_path: Path, data: bytes, line: str
) -> None:
    text = tmp_path / "text"
    text.write_bytes(data)
    status, out, err = run(
        "wallet", "sign", "--seed-file", str(seed_file), "--text-file", str(text), "--scheme", "raw"
    )
    assert (status, out) == (2, "")
    assert line in err


def test_no_hub_there_is_one_line_and_status_1(run: Run, seed_file: Path) -> None:
    url = ("--url", "ws://127.0.0.1:9/v1")
    for arguments in (["status", IDENTITY], ["login", "--seed-file", str(seed_file)]):
        status, _, err = run(*arguments, *url)
        assert status == 1
        assert "is a hub running there?" in err
        assert err.count("\n") == 1


def test_a_taken_port_is_one_line_and_status_1(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, _, err = run("devnet", "--http-port", "0", "--node-port", port)
    assert status == 1
    assert f"127.0.0.1:{port} is taken" in err
    assert err.count("\n") == 1


def test_an_extra_that_is_not_installed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    monkeypatch.setattr(importlib, "import_module", absent)
    status, _, err = run("serve")
    assert status == 1
    assert "pip install 'qubic-realtime[hub]'" in err
