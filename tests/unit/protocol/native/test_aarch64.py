"""The C core on the other processor that is promised, under an emulator when this isn't one."""

import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from core_lines import record_line, vector_lines
from native_build import AARCH64_GCC, build_core
from signature_corpus import SEED, VERDICTS, make_records, unpack

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("check_vectors.c")
EMULATOR = "qemu-aarch64-static"
RECORDS = 1_000


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str | Path]:
    target = tmp_path_factory.mktemp("aarch64") / "check_vectors"
    if platform.machine() == "aarch64":
        return [build_core([PROGRAM], target, "-O3")]
    if shutil.which(EMULATOR) is None:
        pytest.fail(f"{EMULATOR} not found: apt-get install qemu-user-static")
    program = build_core([PROGRAM], target, "-O3", link=["-static"], compiler=AARCH64_GCC)
    return [EMULATOR, program]


@pytest.mark.parametrize(("path", "every"), [("portable", 1), ("twin", 16)])
def test_the_verdicts_on_aarch64_are_those_of_the_reference(
    command: Sequence[str | Path], path: str, every: int
) -> None:
    """The portable twin of the lanes, which is slow, runs a part."""
    verdicts = unpack(json.loads(VERDICTS.read_text(encoding="utf-8"))["verdicts_zlib_base64"])
    records = zip(islice(make_records(SEED), RECORDS), verdicts[:RECORDS], strict=True)
    lines = [*vector_lines(), *(record_line(*each) for each in records)][::every]
    done = subprocess.run(
        [*command, path], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout == f"{len(lines)} lines, 0 wrong\n"
