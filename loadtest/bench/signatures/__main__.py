"""How quick signatures are on this machine, on each path that runs here, in one and two threads.

Each figure is the median of interleaved rounds; libsodium's Ed25519 verification (PyNaCl), measured
in the same rounds, is the yardstick. Samples are digests of 32 bytes, each of another wallet. What
runs in one thread is measured by the processor's time, which others' work on the machine leaves
alone. Threads need the wall's: there the best round counts, for others may hold a core.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.page import Place
from bench.signatures.engines import PURE, find_engines
from bench.signatures.plan import plan_works
from bench.signatures.report import Measured, as_markdown, as_text, tables
from bench.signatures.threads import measure_threads
from realtime_cli.machine import describe_machine
from realtime_protocol.schnorrq import Engine
from realtime_protocol.signature_timing import SECOND_NS, Work, measure_ns, verify_ed25519

ROUNDS: Final = 15
PLACE: Final = Place("bench-signatures")
_YARDSTICK: Final = ("", "Ed25519")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="make bench-signatures", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"({ROUNDS})")
    parser.add_argument("--markdown", action="store_true", help="tables for a document")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help=f"put them between its lines {PLACE.begin} and {PLACE.end}",
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.rounds <= 1_000:
        parser.error("--rounds is not in 1..1000")
    if options.into is not None:
        PLACE.split(options.into)  # Refused now rather than after the measurement.
    engines = find_engines(lambda text: print(text, file=sys.stderr))
    begin_s = time.perf_counter()
    measured = measure(engines, options.rounds)
    head = _head(measured, options.rounds, time.perf_counter() - begin_s)
    is_page = options.markdown or options.into is not None
    parts = [
        f"{title}\n\n{(as_markdown if is_page else as_text)(rows)}"
        for title, rows in tables(measured)
    ]
    report = "\n\n".join([head, *parts])
    if options.into is None:
        print(report)
        return 0
    PLACE.write(options.into, report)
    return 0


def measure(engines: dict[str, Engine], rounds: int) -> Measured:
    """Measure all works of all engines, interleaved; then one thread beside two."""
    plan: dict[tuple[str, str], Work] = {_YARDSTICK: verify_ed25519(64)}
    for name, engine in engines.items():
        works = plan_works(name, engine)
        plan |= {(name, work): each for work, each in works.items()}
    found = measure_ns(plan, rounds=rounds, now_s=time.thread_time)
    quickest, engine = next(iter(engines.items()))
    threads = measure_threads(engine, rounds) if quickest != PURE else []
    return Measured({name: _of(found, name) for name in engines}, threads, found[_YARDSTICK])


def _of(found: dict[tuple[str, str], float], name: str) -> dict[str, float]:
    return {work: spent_ns for (owner, work), spent_ns in found.items() if owner == name}


def _head(measured: Measured, rounds: int, took_s: float) -> str:
    machine = describe_machine()
    return (
        f"{machine['processor']}, {os.cpu_count()} cores, {machine['system']}, "
        f"{machine['python']}; load {os.getloadavg()[0]:.1f}; medians of {rounds} rounds in "
        f"{took_s:.0f} s.\n"
        f"Ed25519 verify (PyNaCl): {SECOND_NS / measured.yardstick_ns:,.0f} a second."
    )


if __name__ == "__main__":
    sys.exit(main())
