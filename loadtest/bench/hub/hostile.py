"""Clients that do harm, beside clients that don't: memory, the others' latency, and their end."""

from dataclasses import dataclass
from typing import Any, Final

from bench.hub.contest import Contender, Contest
from bench.hub.processes import BenchError, resident_bytes
from bench.hub.report import ABSENT, Goal, Table, quotient, ratio
from bench.hub.servers import HUB

HONEST_GROUP: Final = 0
HOSTILE_GROUP: Final = 1
HONEST: Final = 64
HONEST_EVERY_US: Final = 20_000
"""3,200 requests a second in all: the hub is far from busy."""
PARALLEL: Final = 64
OPEN_MS_MAX: Final = 20_000
SAMPLE_MS: Final = 100
WARM_DEPTH: Final = 16
WARM_MS: Final = 500
BASELINE_MS: Final = 3_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to do harm, by how many, and for how long it is looked at."""

    name: str
    title: str
    count: int
    watch_ms: int
    cut: bool
    """Whether the hub has to end it within that time."""


KINDS: Final = (
    Kind("stalled", "stop reading", 20, 9_000, cut=True),
    Kind("trickling", "read 2 KiB/s of 4", 100, 6_000, cut=False),
    Kind("flooding", "ping flood", 1, 2_000, cut=True),
    Kind("huge", "1 MB frames", 20, 2_000, cut=True),
    Kind("slowloris", "slowloris", 500, 12_000, cut=True),
)
QUICK_KINDS: Final = KINDS[2:4]


@dataclass(frozen=True, slots=True)
class Harm:
    """What one kind of client did."""

    kind: Kind
    grown_bytes: int
    """Most memory above what the hub had before, over all of them."""
    before: dict[str, Any]
    meanwhile: dict[str, Any]
    ended: dict[str, Any]


def measure_hostile(contest: Contest, kinds: tuple[Kind, ...]) -> list[Harm]:
    """Let each kind loose on a hub of its own."""
    found = []
    for kind in kinds:
        contest.say(f"hostile: {kind.count} {kind.title}")
        with contest.contender(HUB) as contender:
            found.append(_measure(contender, kind))
    return found


def _measure(contender: Contender, kind: Kind) -> Harm:
    tell = contender.generator.tell
    tell("open", HONEST_GROUP, HONEST, PARALLEL, OPEN_MS_MAX)
    # What a busy hub needs anyway must not count as the harm of those who come later.
    tell("load", HONEST_GROUP, WARM_DEPTH, WARM_MS, WARM_MS)
    tell("pace", HONEST_GROUP, HONEST_EVERY_US)
    if kind.name != "slowloris":
        opened = tell("open", HOSTILE_GROUP, kind.count, PARALLEL, OPEN_MS_MAX)
        if opened["opened"] != kind.count:
            raise BenchError(f"the hub let in {opened['opened']} of {kind.count} sessions")
    tell("wait", BASELINE_MS // 3)
    tell("stats", HONEST_GROUP)
    tell("wait", BASELINE_MS)
    before = tell("stats", HONEST_GROUP)
    had_bytes = most_bytes = resident_bytes(contender.server.pid)
    if kind.name == "slowloris":
        tell("slowloris", HOSTILE_GROUP, kind.count)
    else:
        tell("become", HOSTILE_GROUP, kind.name)
    for _ in range(kind.watch_ms // SAMPLE_MS):
        tell("wait", SAMPLE_MS)
        most_bytes = max(most_bytes, resident_bytes(contender.server.pid))
    meanwhile = tell("stats", HONEST_GROUP)
    ended = tell("ended", HOSTILE_GROUP, 0)
    return Harm(kind, most_bytes - had_bytes, before, meanwhile, ended)


def hostile_table(found: list[Harm]) -> Table:
    """Return what was found, one row a kind."""
    heads = [
        "clients",
        "KB/client",
        "others' p99 us",
        "before",
        "ratio",
        "cut",
        "last cut s",
        "codes",
    ]
    rows = []
    for harm in found:
        ended = harm.ended
        rows.append(
            [
                f"{harm.kind.count} {harm.kind.title}",
                f"{harm.grown_bytes / harm.kind.count / 1_000:.0f}",
                f"{harm.meanwhile['p99_us']:,.0f}",
                f"{harm.before['p99_us']:,.0f}",
                ratio(harm.meanwhile["p99_us"], harm.before["p99_us"]),
                f"{ended['closed']} of {harm.kind.count if harm.kind.cut else 0}",
                f"{ended['last_ms'] / 1_000:.1f}" if ended["closed"] else ABSENT,
                ", ".join(f"{code}: {count}" for code, count in ended["codes"].items()),
            ]
        )
    return Table(f"Hostile clients of the hub beside {HONEST} others", heads, rows)


def hostile_goals(found: list[Harm]) -> list[Goal]:
    """Hold the hub to its figures, for each kind of client."""
    goals = []
    for harm in found:
        kind = harm.kind
        grown_kb = harm.grown_bytes / kind.count / 1_000
        later = quotient(harm.meanwhile["p99_us"], harm.before["p99_us"])
        wrong = kind.count - harm.ended["closed"] if kind.cut else harm.ended["closed"]
        fate = "not cut in time" if kind.cut else "cut though they drain"
        goals += [
            Goal(f"{kind.title}: memory a client", 256, "KB", grown_kb),
            Goal(f"{kind.title}: others' p99", 1.5, "x", later),
            Goal(f"{kind.title}: {fate}", 0, "", wrong),
        ]
    return goals
