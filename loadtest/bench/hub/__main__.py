"""``python -m bench.hub``: the hub beside other servers, on this machine. Prints Markdown."""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from typing import Final

from bench.hub.contest import Contest, open_contest
from bench.hub.crowd import CROWD, crowd_tables, measure_crowd
from bench.hub.drain import drain_table, measure_drain
from bench.hub.hostile import KINDS, QUICK_KINDS, hostile_table, measure_hostile
from bench.hub.processes import BenchError, cores
from bench.hub.report import Table
from bench.hub.requests import SHAPES, measure_requests, requests_table
from bench.hub.servers import RIVAL_COMMANDS


def run_requests(contest: Contest, *, quick: bool) -> list[Table]:
    """Request and reply."""
    rounds, round_ms = (1, 500) if quick else (3, 1_000)
    found = measure_requests(contest, SHAPES, rounds=rounds, round_ms=round_ms)
    return [requests_table(shape, measured) for shape, measured in found.items()]


def run_crowd(contest: Contest, *, quick: bool) -> list[Table]:
    """Logins, memory, fan-out and resumption."""
    crowd, passes, publishes = (2_000, 1, 3) if quick else (CROWD, 2, 5)
    found = measure_crowd(contest, crowd=crowd, passes=passes, publishes=publishes)
    return crowd_tables(found, crowd)


def run_hostile(contest: Contest, *, quick: bool) -> list[Table]:
    """Clients that do harm."""
    return [hostile_table(measure_hostile(contest, QUICK_KINDS if quick else KINDS))]


def run_drain(contest: Contest, *, quick: bool) -> list[Table]:
    """The end of a hub."""
    return [drain_table(measure_drain(contest, sessions=1_000 if quick else 5_000))]


SCENARIOS: Final[dict[str, Callable[..., list[Table]]]] = {
    "requests": run_requests,
    "crowd": run_crowd,
    "hostile": run_hostile,
    "drain": run_drain,
}


def main() -> None:
    """Measure what was asked for."""
    options = parse_options()
    rivals = [name for name in RIVAL_COMMANDS if name in options.rivals]
    try:
        with open_contest(rivals, say) as contest:
            print(describe(contest), flush=True)
            for name in options.only or SCENARIOS:
                for table in SCENARIOS[name](contest, quick=options.quick):
                    print(table.as_markdown(), flush=True)
    except BenchError as error:
        sys.exit(f"bench hub: {error}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.hub", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--only", action="append", choices=SCENARIOS, help="this scenario (may be repeated)"
    )
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=RIVAL_COMMANDS,
        default=list(RIVAL_COMMANDS),
        help="servers beside the hub; all by default",
    )
    return parser.parse_args()


def describe(contest: Contest) -> str:
    """Say where and how this was measured."""
    server, generator = cores()
    lines = [
        f"Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} cores; "
        f"server on core {server}, generator and signer on core {generator}.",
        *(f"Missing: {name} ({why})." for name, why in contest.missing.items()),
    ]
    return "\n".join(lines) + "\n"


def say(progress: str) -> None:
    """Tell people how far it is, apart from the report."""
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
