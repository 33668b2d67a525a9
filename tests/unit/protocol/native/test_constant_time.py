"""Neither making a key nor signing branches on a secret or uses one as an address.

Valgrind's memcheck takes the secrets for undefined memory and follows them through every
instruction; see docs/decisions/0006-constant-time.md.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from native_build import build
from qubic_vectors import qubic_vectors

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("constant_time.c")
SOURCES: list[str | Path] = [PROGRAM, "signing.c", "order.c", "k12.c"]
COMPLAINTS = 9
INSTALL = "apt-get install -y valgrind"


@pytest.fixture(scope="session")
def valgrind() -> str:
    """Return valgrind's path, or fail with the line to type; `make tools` gets it."""
    return shutil.which("valgrind") or pytest.fail(f"no valgrind found: {INSTALL}")


def watched(valgrind: str, program: Path, *secrets: str) -> subprocess.CompletedProcess[str]:
    command = [valgrind, "--quiet", f"--error-exitcode={COMPLAINTS}", str(program), *secrets]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def signature_vectors() -> list[tuple[str, ...]]:
    """Return private key, subseed, public key, message and signature of a few, in hex."""
    keys = {key["public_key"]: key for key in qubic_vectors()["keys"]}
    return [
        (
            keys[each["public_key"]]["private_key"],
            keys[each["public_key"]]["subseed"],
            each["public_key"],
            each["digest"],
            each["signature"],
        )
        for each in qubic_vectors()["signatures"][::16]
    ]


# Secrets are undefined whatever they are: one of them shows what all do.
@pytest.mark.parametrize(("number", "level"), [(0, "-O1"), (1, "-O2"), (2, "-O3")])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_branch_and_no_address_depends_on_a_secret(
    valgrind: str, tmp_path: Path, compiler: str, number: int, level: str
) -> None:
    program = build(SOURCES, tmp_path / "program", "-gdwarf-4", level, compiler=compiler)
    private_key, subseed, public_key, message, signature = signature_vectors()[number]
    done = watched(valgrind, program, private_key, subseed, public_key, message)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [public_key, signature, "signed"]


def test_a_refusal_depends_on_nothing_else_either(valgrind: str, tmp_path: Path) -> None:
    program = build(SOURCES, tmp_path / "program", "-gdwarf-4", "-O2")
    private_key, subseed, public_key, message, _ = signature_vectors()[0]
    done = watched(valgrind, program, private_key, subseed, "01" * 32, message)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [public_key, "00" * 64, "refused"]


@pytest.mark.parametrize("fault", ["branch", "address"])
def test_the_same_look_finds_a_branch_or_an_address_that_does(
    valgrind: str, tmp_path: Path, fault: str
) -> None:
    program = build(SOURCES, tmp_path / "program", "-gdwarf-4", "-O2")
    done = watched(valgrind, program, *signature_vectors()[0][:4], fault)
    assert done.returncode == COMPLAINTS
    assert "break_the_rule" in done.stderr or "main" in done.stderr
