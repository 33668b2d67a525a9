"""Remove each check of the native verification in turn and see that its test fails.

Works in a copy of protocol/. Without a mutant all tests named here must pass; with one, its own
must fail by an assertion. A module that doesn't compile, a fixture that fails or a crash is no kill
but an accident. Prints a line for each check, with the test that failed. Exit status 1 when a
mutant survives or ends by accident.

    make mutants                 (two to four minutes)
    python scripts/mutate_verification.py WORD...    (those whose name has a word)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
TESTS: Final = "tests/unit/protocol/native"
BOUND_S: Final = 120
# A line of pytest's summary; what a test says itself is an assert, or that nothing was raised.
FAILURE: Final = re.compile(r"^(FAILED|ERROR) \S*?::(\S+)(?: - (.*))?$", re.MULTILINE)
ASSERTIONS: Final = ("AssertionError", "assert ", "Failed: DID NOT RAISE")


class Mutant(NamedTuple):
    """One place changed: *old* is a regular expression that fits exactly one place of the file."""

    name: str
    file: str
    old: str
    new: str
    test: str


FORGERIES: Final = "test_forgeries.py::test_"
ENGINES: Final = "test_engines.py::test_"
OWN_FORGERY: Final = FORGERIES + "what_is_made_so_for_the_key_s_own_bytes_is_no_forgery"
RESERVED_BIT: Final = FORGERIES + "the_reserved_bit_of_a_key_is_no_other_writing"
ORDER_ADDED: Final = FORGERIES + "the_order_added_to_s_is_no_other_writing"
SIGN_OF_KEY: Final = FORGERIES + "the_sign_of_a_key_counts"
OTHER_COMMITMENT: Final = FORGERIES + "another_commitment_is_refused"
LANES_OF_KEYS: Final = (
    FORGERIES + "the_lanes_prepare_keys_as_one_by_one_and_tell_the_unsound_ones[twin]"
)
OFF_CURVE: Final = FORGERIES + "keys_off_the_curve_are_refused_by_name"
BY_NAME: Final = FORGERIES + "keys_of_low_and_of_mixed_order_are_refused_by_name"
TORSION: Final = (
    "test_field_and_group.py::"
    "test_of_392_torsion_classes_the_subgroup_is_the_one_without_torsion[gcc]"
)
# They compile what they look at, and need the module only as it is without the mutant.
BUILD_THEMSELVES: Final = frozenset({LANES_OF_KEYS, TORSION})
LENGTHS: Final = ENGINES + "lengths_that_cannot_count_are_false_and_no_error"

MUTANTS: Final = (
    Mutant(
        "S below N",
        "verification.c",
        r"&& scalar_is_below_order\(signature \+ 32\)",
        "",
        ORDER_ADDED,
    ),
    Mutant(
        "the form of a signature, one by one",
        "verification.c",
        r"!has_signature_form\(item->signature\) \|\| ",
        "",
        ORDER_ADDED,
    ),
    Mutant(
        "the form of a signature, in lanes",
        "batch.c",
        r"!has_signature_form\(item->signature\) \|\| ",
        "",
        ORDER_ADDED,
    ),
    Mutant(
        "the key's reserved bit",
        "verification.c",
        r"!\(public_key\[15\] & 0x80\) && ",
        "",
        RESERVED_BIT,
    ),
    Mutant(
        "reserved keys",
        "verification.c",
        r" && !is_reserved\(public_key\)",
        "",
        FORGERIES + "a_reserved_key_of_the_subgroup_is_refused",
    ),
    Mutant(
        "the form of a key, one by one",
        "verification.c",
        r" \|\| !has_key_form\(item->public_key\)",
        "",
        RESERVED_BIT,
    ),
    Mutant(
        "the form of a key, in lanes",
        "batch.c",
        r" \|\| !has_key_form\(item->public_key\)",
        "",
        RESERVED_BIT,
    ),
    Mutant(
        "on the curve",
        "key.h",
        "return is_on_curve;",
        "return is_on_curve | ~is_on_curve;",
        OFF_CURVE,
    ),
    Mutant(
        "on the curve, in lanes",
        "lanes_keys.h",
        r"fp_mask is_sound = find_x\(y, has_sign, &x\);",
        "fp_mask is_sound = find_x(y, has_sign, &x); is_sound |= ~is_sound;",
        LANES_OF_KEYS,
    ),
    Mutant(
        "the sign of x",
        "key.h",
        r"sign \^ has_sign\);",
        "sign ^ sign ^ (has_sign & 0));",
        SIGN_OF_KEY,
    ),
    Mutant("the sign's bit is no part of y", "verification.c", " & P; }", "; }", SIGN_OF_KEY),
    Mutant(
        "halves of y that are p",
        "verification.c",
        r"return find_x\(",
        "return y->re != P && y->im != P && find_x(",
        FORGERIES + "a_half_of_y_that_is_p_counts_as_zero_as_in_core",
    ),
    Mutant(
        "the subgroup, one by one",
        "verification.c",
        r" \|\| !is_in_subgroup\(x, y\)\) \{\n        return false",
        ") {\n        return false",
        LANES_OF_KEYS,
    ),
    Mutant(
        "the subgroup, in lanes",
        "lanes_keys.h",
        r"is_sound &= is_in_subgroup\(x, y\);",
        "",
        LANES_OF_KEYS,
    ),
    Mutant(
        "torsion of order 8",
        "subgroup.h",
        r"return is_in_prime_field\(powers\.trace, powers\.norm\) &",
        "return ",
        TORSION,
    ),
    Mutant(
        "torsion of order 7", "subgroup.h", r"powers\.norm\) &\n.*\n.*;", "powers.norm);", TORSION
    ),
    Mutant(
        "one of two of order 7",
        "subgroup.h",
        r" &\n\s+fp_zero_mask\(fp_subtract\(powers\.b, FP2_ONE\.re\)\);",
        ";",
        TORSION,
    ),
    Mutant(
        "the other of two of order 7",
        "subgroup.h",
        r"fp_zero_mask\(fp_subtract\(powers\.a, FP2_ONE\.re\)\) &",
        "",
        TORSION,
    ),
    Mutant(
        "low order, by name", "verification.c", r"is_of_low_order\(x, y\) \?", "!x.re ?", BY_NAME
    ),
    Mutant(
        "the equation, one by one",
        "verification.c",
        r"return memcmp\(encoded, item->signature, KEY_BYTES\) == 0;",
        "return true;",
        OTHER_COMMITMENT,
    ),
    Mutant(
        "the equation, in lanes",
        "batch.c",
        r"memcmp\(encoded\[lane\], ready_item\(batch, lane\)->signature, 32\) == 0",
        "1",
        OTHER_COMMITMENT,
    ),
    Mutant(
        "R in the challenge",
        "verification.c",
        r"\{item->signature, 32\}, \{item->public_key",
        "{item->signature, 0}, {item->public_key",
        OWN_FORGERY,
    ),
    Mutant(
        "the key in the challenge, in lanes",
        "batch.c",
        r"\{item->public_key, KEY_BYTES\}",
        "{item->public_key, 0}",
        OWN_FORGERY,
    ),
    Mutant(
        "the length of a key", "module.c", r"size_of\(parts\[0\]\) == KEY_BYTES && ", "", LENGTHS
    ),
    Mutant(
        "the length of a signature",
        "module.c",
        r" && size_of\(parts\[2\]\) == SIGNATURE_BYTES",
        "",
        LENGTHS,
    ),
    Mutant(
        "the length of records",
        "module.c",
        r"size_of\(data\) % RECORD_BYTES != 0",
        "size_of(data) == 1",
        ENGINES + "a_wrong_value_is_named",
    ),
    Mutant(
        "the key of a place in the cache",
        "key_cache.c",
        r"memcmp\(set->public_keys\[way\], public_key, BYTES_OF_KEY\) == 0",
        "true",
        FORGERIES + "many_keys_that_are_kept_are_not_taken_for_one_another",
    ),
)


def main(words: list[str]) -> int:
    """Judge the mutants that were asked for; return the exit status."""
    chosen = [each for each in MUTANTS if not words or any(word in each.name for word in words)]
    begin_s = time.monotonic()
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "protocol"
        shutil.copytree(
            ROOT / "protocol", copy, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
        tests = sorted({each.test for each in chosen})
        print(f"{len(tests)} tests without a mutant", flush=True)
        outcome = _compile_module(copy) or _try_tests(copy, tests)
        if outcome.word != "passed":
            print(f"{outcome.word}: {outcome.detail}")
            return 1
        for number, mutant in enumerate(chosen, 1):
            outcome = _judge(copy, mutant)
            killed += outcome.word == "killed"
            print(
                f"{number:2}/{len(chosen)} {time.monotonic() - begin_s:4.0f} s  "
                f"{outcome.word}  {mutant.name} -> {outcome.detail}",
                flush=True,
            )
    print(f"{killed} of {len(chosen)} mutants killed")
    return 0 if killed == len(chosen) else 1


class Outcome(NamedTuple):
    """What became of the tests: passed, killed or ACCIDENT; and the test or reason."""

    word: str
    detail: str


def _judge(copy: Path, mutant: Mutant) -> Outcome:
    path = copy / "native" / mutant.file
    source = path.read_text(encoding="utf-8")
    changed, count = re.subn(mutant.old, lambda _: mutant.new, source)
    if count != 1:
        raise ValueError(f"{mutant.name}: {mutant.old} fits {count} places of {mutant.file}, not 1")
    builds_itself = mutant.test in BUILD_THEMSELVES
    try:
        if builds_itself and (failed := _compile_module(copy)):
            return failed
        path.write_text(changed, encoding="utf-8")
        if not builds_itself and (failed := _compile_module(copy)):
            return failed
        outcome = _try_tests(copy, [mutant.test])
    finally:
        path.write_text(source, encoding="utf-8")
    return Outcome("SURVIVED", mutant.test) if outcome.word == "passed" else outcome


def _compile_module(copy: Path) -> Outcome | None:
    """Return what went wrong, if something did."""
    done = _run_python(copy, [str(copy / "native" / "compile.py")])
    return Outcome("ACCIDENT", done.stderr) if done.returncode else None


def _try_tests(copy: Path, tests: list[str]) -> Outcome:
    pytest = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=no"]
    return _outcome_of(_run_python(copy, [*pytest, *[f"{TESTS}/{test}" for test in tests]]))


def _run_python(copy: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "REALTIME_NATIVE": "require",
        "NATIVE_SOURCES": str(copy / "native"),
        # A mutant may leave variables or functions unused; and the verdicts are the same at -O1.
        "CFLAGS": "-w -O1",
        # Lines that aren't cut: the names of tests are long.
        "COLUMNS": "300",
    }
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=BOUND_S,
        )
    except subprocess.TimeoutExpired:
        late = f"not done in {BOUND_S} s"
        return subprocess.CompletedProcess(command, returncode=1, stdout=late, stderr=late)


def _outcome_of(tried: subprocess.CompletedProcess[str]) -> Outcome:
    """Tell a test that failed by its own assertion from all else."""
    if tried.returncode == 0:
        return Outcome("passed", "")
    found = FAILURE.search(tried.stdout)
    if found is None:
        return Outcome("ACCIDENT", f"pytest ended with {tried.returncode}: {tried.stdout[-1000:]}")
    kind, test, words = found.groups(default="")
    if kind == "FAILED" and words.startswith(ASSERTIONS):
        return Outcome("killed", test)
    return Outcome("ACCIDENT", f"{test}: {words}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
