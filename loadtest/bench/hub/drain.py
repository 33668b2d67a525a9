"""SIGTERM to a hub full of sessions: how long it takes to end, and how long others wait."""

import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Final

from bench.hub.contest import Contest
from bench.hub.processes import BenchError
from bench.hub.report import Goal, Table
from bench.hub.servers import HUB

CROWD_GROUP: Final = 0
PROBER_GROUP: Final = 1
PARALLEL: Final = 256
PROBE_EVERY_US: Final = 10_000
"""More often than a busy server's loop comes round, the prober would measure its own queue."""
OPEN_MS_MAX: Final = 60_000
EXIT_S_MAX: Final = 15.0
ENDED_MS_MAX: Final = 8_000


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain."""

    sessions: int
    alive: bool
    """Whether the clients answered."""
    exit_s: float
    worst_ms: float
    """Worst round trip of one more session until it was sent away itself."""
    codes: dict[str, int]


def measure_drain(contest: Contest, *, sessions: int) -> list[Drained]:
    """Drain a hub whose clients answer, and one whose clients are gone without a word."""
    return [_drain(contest, sessions, alive=alive) for alive in (True, False)]


def _drain(contest: Contest, sessions: int, *, alive: bool) -> Drained:
    contest.say(f"drain of {sessions:,} {'live' if alive else 'dead'} sessions")
    with contest.contender(HUB) as contender:
        tell = contender.generator.tell
        opened = tell("open", CROWD_GROUP, sessions, PARALLEL, OPEN_MS_MAX)
        if opened["opened"] != sessions:
            raise BenchError(f"the hub let in {opened['opened']} of {sessions} sessions")
        tell("open", PROBER_GROUP, 1, 1, OPEN_MS_MAX)
        if not alive:
            tell("become", CROWD_GROUP, "deaf")
        tell("pace", PROBER_GROUP, PROBE_EVERY_US)
        process = contender.server.process
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended: dict[str, Any] = tell("ended", CROWD_GROUP if alive else PROBER_GROUP, ENDED_MS_MAX)
        prober = tell("stats", PROBER_GROUP)
        try:
            process.wait(max(0.1, EXIT_S_MAX - (time.monotonic() - began_s)))
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"the hub did not end within {EXIT_S_MAX:.0f} s") from error
        exit_s = time.monotonic() - began_s
    return Drained(sessions, alive, exit_s, prober["max_us"] / 1_000, ended["codes"])


def drain_table(found: list[Drained]) -> Table:
    """Return both drains."""
    rows = [
        [
            f"{one.sessions:,} {'live' if one.alive else 'dead'}",
            f"{one.exit_s:.2f}",
            f"{one.worst_ms:.1f}",
            ", ".join(f"{code}: {count}" for code, count in one.codes.items()),
        ]
        for one in found
    ]
    return Table(
        "SIGTERM to the hub", ["sessions", "ended after s", "worst other ms", "close codes"], rows
    )


def drain_goals(found: list[Drained]) -> list[Goal]:
    """Hold the hub to its figures."""
    goals = []
    for one in found:
        name = f"drain of {one.sessions:,} {'live' if one.alive else 'dead'}"
        goals += [
            Goal(f"{name}: ended", 3, "s", one.exit_s),
            Goal(f"{name}: worst other round trip", 50, "ms", one.worst_ms),
        ]
    return goals
