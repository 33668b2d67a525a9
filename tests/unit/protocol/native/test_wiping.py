"""No secret lies on the stack once a key or a signature is made."""

import subprocess
from pathlib import Path

import pytest

from native_build import build

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("stack_after_signing.c")
# As in test_constant_time.py, so that one compilation does for both.
OPTIONS = ("-gdwarf-4",)
SOURCES: list[str | Path] = [PROGRAM, "signing.c", "order.c", "k12.c"]


def found_on_the_stack(program: Path, *arguments: str) -> int:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_piece_of_a_secret_is_left_on_the_stack(
    tmp_path: Path, compiler: str, level: str
) -> None:
    program = build(
        SOURCES, tmp_path / "program", *OPTIONS, level, link=["-pthread"], compiler=compiler
    )
    assert found_on_the_stack(program, "keygen") == 0
    assert found_on_the_stack(program, "sign") == 0
    assert found_on_the_stack(program, "sign", "keep") > 0
