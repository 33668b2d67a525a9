"""The benchmark of signatures measures what it says; the verdicts follow from the figures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.signatures.__main__ import PLACE
from bench.signatures.engines import LANES, PORTABLE, PURE, find_engines
from bench.signatures.plan import HASH, KNOWN_KEY, NEW_KEY, REFUSE, known_keys, new_keys
from bench.signatures.report import GOALS, Measured, as_markdown, as_text, tables
from bench.signatures.threads import ThreadRate
from realtime_protocol.schnorrq import is_native

ROOT = Path(__file__).parents[4]

NATIVE = {NEW_KEY: 40e3, KNOWN_KEY: 20e3, new_keys(64): 30e3, HASH: 200.0, REFUSE: 400.0}
QUICK = Measured(
    {LANES: {**NATIVE, known_keys(64): 10e3}, PURE: {NEW_KEY: 8e6}},
    [ThreadRate(64, 10e3, 5e3)],
    60e3,
)
SLOW = Measured({PURE: {NEW_KEY: 8e6}}, [], 60e3)


def rows_of(measured: Measured, title: str) -> dict[str, tuple[str, ...]]:
    found = dict(tables(measured))
    return {row[0]: tuple(row[1:]) for row in found[title]}


def test_a_rate_comes_with_its_ratio_and_what_was_not_measured_is_a_dash() -> None:
    rows = rows_of(QUICK, "Operations a second (and to Ed25519):")
    assert rows["one thread"] == (LANES, PURE)
    assert rows[NEW_KEY] == ("25,000 (1.50x)", "125 (0.01x)")
    assert rows[HASH] == ("5,000,000 (300.00x)", "-")


def test_two_threads_stand_beside_one() -> None:
    [row] = [row for row in tables(QUICK) if "threads" in row[0]]
    assert row[1][1] == ("of 64", "100,000", "200,000", "2.00x")
    assert not [title for title, _ in tables(SLOW) if "threads" in title]


def test_each_goal_is_judged_at_its_bound() -> None:
    rows = rows_of(QUICK, "Figures to reach:")
    assert rows["IFMA, batches of 64, known keys"] == ("at least 6 x", "6.00 x", "yes")
    assert rows["the same, further goal"] == ("at least 8 x", "6.00 x", "NO")
    assert rows["two threads, batches of 64"][1:] == ("2.00 x", "yes")
    assert rows["a call from Python"] == ("under 0.3 us", "0.40 us", "NO")
    assert rows["k12 of 64 bytes from Python"] == ("under 0.4 us", "0.20 us", "yes")
    assert rows["portable C, one, new key"] == ("at least 2.3 x", "-", "doesn't run here")


def test_where_only_pure_python_runs_no_goal_is_judged() -> None:
    assert {goal.row(SLOW)[3] for goal in GOALS} == {"doesn't run here"}


def test_tables_are_aligned_or_markdown() -> None:
    rows = [("what", "rate"), ("sign", "1,000")]
    assert as_text(rows) == "what   rate\nsign  1,000"
    assert as_markdown(rows) == "| what | rate |\n| --- | ---: |\n| sign | 1,000 |"


@pytest.mark.slow
def test_every_path_of_this_machine_is_measured() -> None:
    told: list[str] = []
    engines = find_engines(told.append)
    assert list(engines)[-1] == PURE
    if is_native():
        assert engines[PORTABLE].IMPLEMENTATION == "native (portable)"
    else:
        assert told == ["Only pure Python runs here: make native"]


def run(*options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.signatures", "--rounds", "1", *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "loadtest")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_the_program_puts_all_tables_into_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{PLACE.begin}\nold\n{PLACE.end}\nafter\n", encoding="utf-8")
    done = run("--into", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{PLACE.begin}\n\n")
    assert text.endswith(f" |\n\n{PLACE.end}\nafter\n")
    assert "old" not in text
    assert "Ed25519 verify (PyNaCl): " in text
    assert "| k12 of 64 bytes from Python | under 0.4 us | " in text


@pytest.mark.parametrize("content", ["", PLACE.begin, PLACE.end])
def test_a_page_without_a_place_for_them_is_refused(tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match="has no lines"):
        PLACE.split(page)
