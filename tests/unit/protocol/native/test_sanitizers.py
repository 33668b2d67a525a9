"""All vectors through the whole C core, with every undefined step and stray access fatal."""

import subprocess
from pathlib import Path

import pytest

from core_lines import vector_lines
from native_build import SANITIZED, build_core, has_ifma

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("check_vectors.c")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sanitized") / "check_vectors"
    return build_core([PROGRAM], target, *SANITIZED, compiler="clang")


@pytest.mark.parametrize(
    "path", ["portable", "twin", "ifma"] if has_ifma() else ["portable", "twin"]
)
def test_all_vectors_come_out_right_without_undefined_behaviour(program: Path, path: str) -> None:
    lines = list(vector_lines())
    if path == "twin" and has_ifma():
        lines = lines[::4]  # It is slow, and its source is that of IFMA.
    done = subprocess.run(
        [program, path],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout == f"{len(lines)} lines, 0 wrong\n"
