"""The hub beside other servers that do the same work, on this machine.

Every server decodes the same frames, looks up the same wallets and gives the same bytes, which is
checked. Rounds are interleaved; figures are medians. Progress goes to standard error.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.hub.contest import Contest, open_contest
from bench.hub.crowd import CROWD, crowd_goals, crowd_tables, measure_crowd
from bench.hub.drain import drain_goals, drain_table, measure_drain
from bench.hub.hostile import KINDS, QUICK_KINDS, hostile_goals, hostile_table, measure_hostile
from bench.hub.overload import measure_overload, overload_goals, overload_table
from bench.hub.processes import BenchError, cores
from bench.hub.report import Findings, goals_table
from bench.hub.requests import SHAPES, measure_requests, requests_goals, requests_table
from bench.hub.servers import RIVAL_COMMANDS
from bench.page import Place
from realtime_cli.machine import describe_machine

PLACE: Final = Place("bench-hub")


def run_requests(contest: Contest, *, quick: bool) -> Findings:
    """Request and reply."""
    rounds, round_ms = (1, 500) if quick else (3, 1_000)
    found = measure_requests(contest, SHAPES, rounds=rounds, round_ms=round_ms)
    tables = [requests_table(shape, measured) for shape, measured in found.items()]
    return Findings(tables, requests_goals(found))


def run_crowd(contest: Contest, *, quick: bool) -> Findings:
    """Logins, memory, fan-out and resumption."""
    crowd, passes, publishes = (2_000, 1, 3) if quick else (CROWD, 2, 5)
    found = measure_crowd(
        contest, crowd=crowd, passes=passes, publishes=publishes, all_rivals=not quick
    )
    return Findings(crowd_tables(found, crowd), crowd_goals(found, crowd))


def run_hostile(contest: Contest, *, quick: bool) -> Findings:
    """Clients that do harm."""
    found = measure_hostile(contest, QUICK_KINDS if quick else KINDS)
    return Findings([hostile_table(found)], hostile_goals(found))


def run_overload(contest: Contest, *, quick: bool) -> Findings:
    """More than the hub can answer."""
    crowds, seconds = ((1_000,), 2) if quick else ((1_000, 10_000), 3)
    found = [measure_overload(contest, sessions=crowd, seconds=seconds) for crowd in crowds]
    return Findings([overload_table(found)], overload_goals(found))


def run_drain(contest: Contest, *, quick: bool) -> Findings:
    """The end of a hub."""
    found = measure_drain(contest, sessions=1_000 if quick else 5_000)
    return Findings([drain_table(found)], drain_goals(found))


SCENARIOS: Final[dict[str, Callable[..., Findings]]] = {
    "requests": run_requests,
    "crowd": run_crowd,
    "hostile": run_hostile,
    "overload": run_overload,
    "drain": run_drain,
}


def main() -> None:
    """Measure what was asked for."""
    options = parse_options()
    if options.into is not None:
        PLACE.split(options.into)  # Refused now rather than after the measurement.
    rivals = [name for name in RIVAL_COMMANDS if name in options.rivals]
    began_s = time.monotonic()
    found: list[Findings] = []

    def say(progress: str) -> None:
        """Tell people how far it is, apart from the report."""
        print(f"[{time.monotonic() - began_s:3.0f} s] {progress}", file=sys.stderr, flush=True)

    try:
        with open_contest(rivals, say) as contest:
            for name in options.only or SCENARIOS:
                found.append(SCENARIOS[name](contest, quick=options.quick))
                say("\n\n".join(table.as_markdown() for table in found[-1].tables))
            head = describe(contest, options, time.monotonic() - began_s)
    except BenchError as error:
        sys.exit(f"bench hub: {error}")
    tables = [table for findings in found for table in findings.tables]
    tables.append(goals_table([goal for findings in found for goal in findings.goals]))
    report = "\n\n".join([head, *(table.as_markdown() for table in tables)])
    if options.into is None:
        print(report)
    else:
        PLACE.write(options.into, report)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.hub", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer, shorter and smaller rounds")
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
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FILE",
        help=f"put the tables between its lines {PLACE.begin} and {PLACE.end}",
    )
    return parser.parse_args()


def describe(contest: Contest, options: argparse.Namespace, took_s: float) -> str:
    """Say where and how this was measured."""
    server, generator = cores()
    machine = describe_machine()
    lines = [
        f"{machine['processor']}, {os.cpu_count()} cores, {machine['system']}, "
        f"{machine['python']}; load {os.getloadavg()[0]:.1f} at the end of {took_s:.0f} s"
        f"{', quick' if options.quick else ''}.",
        f"Servers on core {server}, the generator and the process that signs on core {generator}.",
        *(f"Missing: {name} ({why})." for name, why in contest.missing.items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
