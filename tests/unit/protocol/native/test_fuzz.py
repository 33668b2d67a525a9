"""A short run of the fuzz target from a fixed seed; `make fuzz` runs it for longer."""

import os
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from native_build import SANITIZED, build_core
from realtime_protocol.identity import encode_identity
from signature_corpus import make_records, wallets

pytestmark = pytest.mark.slow

TARGET = Path(__file__).with_name("fuzz_verification.c")
RUNS = int(os.environ.get("FUZZ_RUNS", "200"))


def write_corpus(folder: Path) -> None:
    """Write batches of one, three and nine records, and identities."""
    folder.mkdir()
    records = make_records(7)
    for number, count in enumerate([1] * 24 + [3] * 8 + [9] * 8):
        (folder / f"records-{number}").write_bytes(b"".join(islice(records, count)))
    for number, keys in enumerate(wallets()[:4]):
        (folder / f"identity-{number}").write_text(encode_identity(keys.public_key))


def test_all_paths_agree_on_whatever_the_fuzzer_finds(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    link = ["-fsanitize=fuzzer"]
    program = build_core([TARGET], tmp_path / "fuzz", *SANITIZED, link=link, compiler="clang")
    command = [str(program), f"-runs={RUNS}", "-seed=1", "-max_len=1160", str(tmp_path / "corpus")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr
