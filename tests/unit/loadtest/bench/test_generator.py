"""The load generator's parts, checked in C: what it counts as an answer must be one."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
CHECKS = Path(__file__).with_name("check_generator.c")
HEADERS = ROOT / "loadtest" / "bench" / "hub" / "generator"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.mark.slow
def test_frames_histograms_and_replies_are_read_as_they_should_be(tmp_path: Path) -> None:
    program = tmp_path / "checks"
    command = ["cc", *FLAGS, *SANITIZERS, f"-I{HEADERS}", "-o", str(program), str(CHECKS)]
    subprocess.run(command, check=True)
    found = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.slow
def test_generator_and_floor_compile_without_a_warning(tmp_path: Path) -> None:
    floor = HEADERS.parent / "rivals" / "floor.c"
    for name, sources in {"generator": sorted(HEADERS.glob("*.c")), "floor": [floor]}.items():
        command = ["cc", *FLAGS, "-o", str(tmp_path / name), *map(str, sources)]
        subprocess.run(command, check=True)
