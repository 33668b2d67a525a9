"""How quickly a hub knows whom to trust, and hears of changes, against the figures to reach.

A Redis and a devnet run beside it on this machine. Answers from memory are measured by the
processor's time, which others' work hardly changes; the rest by the clock. How long a change takes
to the last of 10,000 watching sessions, `make bench-hub BENCH="--only crowd"` tells.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.page import Place
from bench.trust.answers import measure_cold, measure_memory
from bench.trust.changes import CHANGES, HUBS, measure_changes
from bench.trust.figures import Figure, table
from bench.trust.place import running_network, running_redis
from realtime_cli.machine import describe_machine

PLACE: Final = Place("bench-trust")
IN_USE: Final = (1_000, 10_000)
RATE_MIN: Final = 4_000_000
L2_MS_MAX: Final = 5.0
L3_MS_MAX: Final = 100.0
CHANGE_MS_MAX: Final = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="make bench-trust", description=__doc__)
    parser.add_argument("--into", type=Path, metavar="FILE", help="put it into that page")
    options = parser.parse_args(arguments)
    if options.into is not None:
        PLACE.split(options.into)  # Refused now rather than after the measurement.
    report = f"{_head()}\n\n{table(measure())}"
    print(report)
    if options.into is not None:
        PLACE.write(options.into, report)
    return 0


def measure() -> list[Figure]:
    """Run every measurement."""
    with running_network() as network, running_redis() as redis_url:
        rates = asyncio.run(measure_memory(network, IN_USE))
        from_cache, from_source = asyncio.run(measure_cold(network, redis_url))
        changes = measure_changes(redis_url)
    figures = [
        Figure(
            f"trust.get of 64 wallets, {count:,} in use, one core",
            f"{rate / 1e6:.2f} million wallets/s",
            f"{RATE_MIN / 1e6:.0f} million",
            rate >= RATE_MIN,
        )
        for count, rate in rates.items()
    ]
    for what, found, bound_ms in (
        ("a wallet that only Redis has (L2)", from_cache, L2_MS_MAX),
        ("a wallet that only the contract has (L3, devnet)", from_source, L3_MS_MAX),
        (f"a change, from its append to each of {HUBS} hubs ({CHANGES:,})", changes, CHANGE_MS_MAX),
    ):
        bound = f"p99 {bound_ms:.0f} ms"
        figures.append(Figure(what, str(found), bound, found.at(99) <= bound_ms))
    return figures


def _head() -> str:
    machine = describe_machine()
    return (
        f"{machine['processor']}, {os.cpu_count()} cores, {machine['system']}, "
        f"{machine['python']}; load {os.getloadavg()[0]:.1f}."
    )


if __name__ == "__main__":
    sys.exit(main())
