"""Remove each check of the native verification in turn and see that a test fails.

Works in a copy of protocol/. For each mutant it compiles the module and runs the tests that look at
verdicts, up to the first that fails, which it prints. Exit status 1 when a mutant survives all.

    make mutants                 (some minutes)
    python scripts/mutate_verification.py WORD...    (those whose name has a word)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
TESTS: Final = (
    "tests/unit/protocol/native/test_engines.py",
    "tests/unit/protocol/native/test_forgeries.py",
    "tests/unit/protocol/native/test_corpus.py",
    "tests/unit/protocol/test_schnorrq.py",
)


class Mutant(NamedTuple):
    """One line changed: *old* is a regular expression that fits exactly one place of the file."""

    name: str
    file: str
    old: str
    new: str


MUTANTS: Final = (
    Mutant("S below N", "verification.c", r"&& scalar_is_below_order\(signature \+ 32\)", ""),
    Mutant(
        "the form of a signature, one by one",
        "verification.c",
        r"!has_signature_form\(item->signature\) \|\| ",
        "",
    ),
    Mutant(
        "the form of a signature, in lanes",
        "batch.c",
        r"!has_signature_form\(item->signature\) \|\| ",
        "",
    ),
    Mutant("the key's reserved bit", "verification.c", r"!\(public_key\[15\] & 0x80\) && ", ""),
    Mutant("reserved keys", "verification.c", r" && !is_reserved\(public_key\)", ""),
    Mutant(
        "the form of a key, one by one",
        "verification.c",
        r" \|\| !has_key_form\(item->public_key\)",
        "",
    ),
    Mutant(
        "the form of a key, in lanes", "batch.c", r" \|\| !has_key_form\(item->public_key\)", ""
    ),
    Mutant("on the curve", "key.h", r"return is_on_curve;", "return is_on_curve | ~is_on_curve;"),
    Mutant(
        "on the curve, in lanes",
        "lanes_keys.h",
        r"fp_mask is_sound = find_x\(y, has_sign, &x\);",
        "fp_mask is_sound = find_x(y, has_sign, &x); is_sound |= ~is_sound;",
    ),
    Mutant("the sign of x", "key.h", r"sign \^ has_sign\);", "sign ^ sign ^ (has_sign & 0));"),
    Mutant("halves of y that are p", "verification.c", r" & P; }", "; }"),
    Mutant(
        "the subgroup, one by one",
        "verification.c",
        r" \|\| !is_in_subgroup\(x, y\)\) \{\n        return false",
        ") {\n        return false",
    ),
    Mutant("the subgroup, in lanes", "lanes_keys.h", r"is_sound &= is_in_subgroup\(x, y\);", ""),
    Mutant("torsion of order 8", "subgroup.h", r"return pairs_with_order_8\(x, y\) & ", "return "),
    Mutant("torsion of order 7", "subgroup.h", r" & pairs_with_order_7\(x, y\);", ";"),
    Mutant(
        "one of two of order 7",
        "subgroup.h",
        r"FP2_ONE\.re\)\) &\n\s+fp_zero_mask\(fp_subtract\(pair\.b, FP2_ONE\.re\)\);",
        "FP2_ONE.re));",
    ),
    Mutant(
        "the other of two of order 7",
        "subgroup.h",
        r"fp_zero_mask\(fp_subtract\(pair\.a, FP2_ONE\.re\)\) &",
        "",
    ),
    Mutant("low order, by name", "verification.c", r"is_of_low_order\(x, y\) \?", "!x.re ?"),
    Mutant(
        "the equation, one by one",
        "verification.c",
        r"return memcmp\(encoded, item->signature, KEY_BYTES\) == 0;",
        "return true;",
    ),
    Mutant(
        "the equation, in lanes",
        "batch.c",
        r"memcmp\(encoded\[lane\], ready_item\(batch, lane\)->signature, 32\) == 0",
        "1",
    ),
    Mutant(
        "R in the challenge",
        "verification.c",
        r"\{item->signature, 32\}, \{item->public_key",
        "{item->signature, 0}, {item->public_key",
    ),
    Mutant(
        "the key in the challenge, in lanes",
        "batch.c",
        r"\{item->public_key, KEY_BYTES\}",
        "{item->public_key, 0}",
    ),
    Mutant("the length of a key", "module.c", r"size_of\(parts\[0\]\) == KEY_BYTES && ", ""),
    Mutant(
        "the length of a signature", "module.c", r" && size_of\(parts\[2\]\) == SIGNATURE_BYTES", ""
    ),
    Mutant(
        "the length of records",
        "module.c",
        r"size_of\(data\) % RECORD_BYTES != 0",
        "size_of(data) == 1",
    ),
    Mutant(
        "the key of a place in the cache",
        "key_cache.c",
        r"memcmp\(set->public_keys\[way\], public_key, BYTES_OF_KEY\) == 0",
        "true",
    ),
)


def main(words: list[str]) -> int:
    """Judge the mutants that were asked for; return the exit status."""
    chosen = [each for each in MUTANTS if not words or any(word in each.name for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "protocol"
        shutil.copytree(
            ROOT / "protocol", copy, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
        if (failed := _first_failure(copy)) is not None:
            print(f"fails without a mutant: {failed}")
            return 1
        for mutant in chosen:
            failed = _judge(copy, mutant)
            print(
                f"{'killed ' if failed else 'SURVIVED'} {mutant.name}: {failed or ''}", flush=True
            )
            survivors += [] if failed else [mutant.name]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


def _judge(copy: Path, mutant: Mutant) -> str | None:
    path = copy / "native" / mutant.file
    source = path.read_text(encoding="utf-8")
    changed, count = re.subn(mutant.old, lambda _: mutant.new, source)
    if count != 1:
        raise ValueError(f"{mutant.name}: {mutant.old} fits {count} places of {mutant.file}, not 1")
    path.write_text(changed, encoding="utf-8")
    try:
        return _first_failure(copy)
    finally:
        path.write_text(source, encoding="utf-8")


def _first_failure(copy: Path) -> str | None:
    environment = os.environ | {"PYTHONPATH": str(copy), "REALTIME_NATIVE": "require"}
    environment |= {"NATIVE_SOURCES": str(copy / "native")}
    # A mutant may leave variables or functions unused.
    environment |= {"CFLAGS": "-w"}
    compiler = [sys.executable, str(copy / "native" / "compile.py")]
    subprocess.run(compiler, env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=no"]
    done = subprocess.run(
        [*command, *TESTS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) \S*?([^/\s]+::\S+)", done.stdout, re.MULTILINE)
    return found[1] if found else f"pytest ended with status {done.returncode}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
