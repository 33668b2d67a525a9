"""The cache and the tables bear several threads, with the GIL and without."""

import importlib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from native_build import OUT_OF_LINE, build_core, has_ifma
from signature_corpus import make_records

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("hammer_threads.c")


def test_threads_share_the_cache_without_a_race(tmp_path: Path) -> None:
    options = ("-fsanitize=thread", "-g", "-O1", OUT_OF_LINE)
    program = build_core([PROGRAM], tmp_path / "hammer", *options, compiler="clang")
    for path in ("portable", "ifma") if has_ifma() else ("portable",):
        done = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr[-4000:]
        assert done.stdout == "0 wrong\n"


def test_batches_in_several_threads_of_python_have_the_verdicts_they_have_alone() -> None:
    native = importlib.import_module("realtime_protocol._native")
    batches = [b"".join(islice(make_records(seed), 200)) for seed in range(12)]
    alone = [native.verify_records(batch) for batch in batches]
    native.use_key_cache(False)
    native.use_key_cache(True)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(native.verify_records, batches)) == alone
