"""A crowd of sessions: the storm of their logins, memory, fan-out to all, and their return."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from bench.hub.contest import Contender, Contest
from bench.hub.probe import SUBSCRIBE
from bench.hub.processes import BenchError, memory_bytes
from bench.hub.report import ABSENT, Goal, Table, quotient, ratio
from bench.hub.servers import HUB
from bench.hub.signer import ADMIN_GROUP

CROWD: Final = 10_000
FEW: Final = 1_000
PARALLEL: Final = 256
"""Connections between SYN and login at a time."""
CROWD_GROUP: Final = 0
FEW_GROUP: Final = 1
PROBER_GROUP: Final = 2
PROBE_EVERY_US: Final = 10_000
"""More often than a busy server's loop comes round, the prober would measure its own queue."""
OPEN_MS_MAX: Final = 60_000
PUBLISH_MS_MAX: Final = 5_000
BACK_MS_MAX: Final = 60_000
PROBE_ENDS_MS: Final = 20
PUBLISH_TRIES: Final = 3
SETTLE_MS: Final = 500


@dataclass(slots=True)
class Crowd:
    """One server's figures, one of each for every pass."""

    login_cpu_us: list[float] = field(default_factory=list)
    storm_s: list[float] = field(default_factory=list)
    session_bytes: list[float] = field(default_factory=list)
    few: list[dict[str, float]] = field(default_factory=list)
    many: list[dict[str, float]] = field(default_factory=list)
    back: list[dict[str, float]] = field(default_factory=list)


def measure_crowd(
    contest: Contest, *, crowd: int, passes: int, publishes: int, all_rivals: bool
) -> dict[str, Crowd]:
    """Measure with a crowd, in turns: in the first pass all, then those that goals name."""
    needed = contest.among(HUB, "bun")
    found = {name: Crowd() for name in (contest.names if all_rivals else needed)}
    for number in range(passes):
        for name in found if number == 0 else needed:
            contest.say(f"crowd of {crowd:,}: {name}, pass {number + 1} of {passes}")
            with contest.contender(name) as contender:
                _measure(contest, contender, found[name], crowd=crowd, publishes=publishes)
    return found


def _measure(
    contest: Contest, contender: Contender, into: Crowd, *, crowd: int, publishes: int
) -> None:
    tell = contender.generator.tell
    _open(contender, PROBER_GROUP, 1)
    _open(contender, ADMIN_GROUP, 1)
    # First of all, since memory that was used and freed would hide what a session needs.
    before_bytes = memory_bytes(contender.server.pid)
    opened = _open(contender, CROWD_GROUP, crowd)
    tell("wait", SETTLE_MS)
    into.session_bytes.append((memory_bytes(contender.server.pid) - before_bytes) / crowd)
    into.login_cpu_us.append(opened["server_cpu_us"] / crowd)
    into.storm_s.append(opened["last_ms"] / 1_000)
    into.many += _fan_out(contest, contender, CROWD_GROUP, publishes)
    if contender.name == HUB:
        order = contest.orders.next_publish(for_hub=True).hex()
        into.back.append(tell("resume", CROWD_GROUP, PARALLEL, BACK_MS_MAX, ADMIN_GROUP, order))
    tell("close", CROWD_GROUP)
    tell("wait", SETTLE_MS)
    _open(contender, FEW_GROUP, FEW)
    into.few += _fan_out(contest, contender, FEW_GROUP, publishes)


def _open(contender: Contender, group: int, count: int) -> dict[str, Any]:
    opened = contender.generator.tell("open", group, count, PARALLEL, OPEN_MS_MAX)
    if opened["opened"] != count:
        raise BenchError(f"{contender.name} let in {opened['opened']} of {count} sessions")
    return opened


def _fan_out(
    contest: Contest, contender: Contender, group: int, publishes: int
) -> list[dict[str, float]]:
    tell = contender.generator.tell
    sent = tell("send", group, SUBSCRIBE.hex(), OPEN_MS_MAX)
    if sent["answered"] != sent["sent"] or sent["refused"]:
        raise BenchError(f"{contender.name} refused subscriptions: {sent}")
    return [_publish(contest, contender, group) for _ in range(publishes)]


def _publish(contest: Contest, contender: Contender, group: int) -> dict[str, float]:
    tell = contender.generator.tell
    for _ in range(PUBLISH_TRIES):
        order = contest.orders.next_publish(for_hub=contender.name == HUB).hex()
        tell("pace", PROBER_GROUP, PROBE_EVERY_US)
        found = tell("publish", ADMIN_GROUP, order, group, PUBLISH_MS_MAX)
        tell("wait", PROBE_ENDS_MS)  # The answer that came latest is the one that matters.
        prober = tell("stats", PROBER_GROUP)
        tell("pace", PROBER_GROUP, 0)
        if not found["refusal"]:
            break
        contest.say(f"{contender.name} refused a change with {found['refusal']}; once more")
    if found["missing"] or found["twice"]:
        raise BenchError(f"{contender.name} lost or repeated pushes: {found}")
    return found | {"worst_ms": prober["max_us"] / 1_000}


def crowd_tables(found: dict[str, Crowd], crowd: int) -> list[Table]:
    """Return the figures: medians over all passes."""
    return [
        _fan_out_table(FEW, {name: one.few for name, one in found.items()}),
        _fan_out_table(crowd, {name: one.many for name, one in found.items()}),
        _storm_table(found, crowd),
        _back_table(found[HUB], crowd),
    ]


def _fan_out_table(count: int, found: dict[str, list[dict[str, float]]]) -> Table:
    def middle(name: str, key: str) -> float:
        return median(one[key] for one in found[name])

    bun = middle("bun", "last_ms") if "bun" in found else None
    rows = [
        [
            name,
            *(f"{middle(name, f'{key}_ms'):.1f}" for key in ("first", "median", "last")),
            ratio(middle(name, "last_ms"), bun),
            f"{sum(one['server_cpu_us'] for one in rounds) / len(rounds) / count:.2f}",
            f"{middle(name, 'worst_ms'):.1f}",
            f"{max(one['worst_ms'] for one in rounds):.1f}",
        ]
        for name, rounds in found.items()
    ]
    heads = ["server", "first ms", "median ms", "last ms", "last / bun", "CPU us/delivery"]
    heads += ["worst other ms", "worst of all ms"]
    return Table(f"One change to {count:,} watching sessions", heads, rows)


def _storm_table(found: dict[str, Crowd], crowd: int) -> Table:
    rows = [
        [
            name,
            f"{median(one.storm_s):.2f}",
            f"{median(one.login_cpu_us):.0f}",
            f"{median(one.session_bytes) / 1_000:.1f}",
        ]
        for name, one in found.items()
    ]
    heads = ["server", "all in, s", "CPU us/login", "KB/idle session"]
    return Table(f"{crowd:,} sessions connect and log in (only the hub verifies)", heads, rows)


def _back_table(hub: Crowd, crowd: int) -> Table:
    rows = []
    for one in hub.back:
        if one["opened"]:
            times = [f"{one['back_ms'] / 1_000:.2f}", f"{one['server_cpu_us'] / one['opened']:.0f}"]
        else:
            times = [ABSENT, ABSENT]
        lost, twice = one["opened"] - one["delivered"], one["twice"]
        rows.append([f"{one['opened']:,.0f}", *times, f"{lost:.0f}", f"{twice:.0f}"])
    heads = ["back", "all back, s", "CPU us/resume", "lost", "twice"]
    return Table(
        f"{crowd:,} sessions of the hub resume after a cut; a change meanwhile", heads, rows
    )


def crowd_goals(found: dict[str, Crowd], crowd: int) -> list[Goal]:
    """Hold the hub to its figures for a crowd of that size."""
    hub = found[HUB]
    bun = median(one["last_ms"] for one in found["bun"].many) if "bun" in found else None
    last_ms = median(one["last_ms"] for one in hub.many)
    to = f"fan-out to {crowd:,}"
    lost = sum(crowd - one["delivered"] for one in hub.back)
    twice = sum(one["twice"] for one in hub.back)
    return [
        Goal(f"{to}: last to bun", 1.5, "x", quotient(last_ms, bun)),
        Goal(f"{to}: last to bun, further goal", 1.2, "x", quotient(last_ms, bun)),
        Goal(f"{to}: worst other round trip", 10, "ms", median(o["worst_ms"] for o in hub.many)),
        Goal("idle session", 8, "KB", median(hub.session_bytes) / 1_000),
        Goal(f"{crowd:,} back", 5, "s", median(one["back_ms"] for one in hub.back) / 1_000),
        Goal(f"{crowd:,} back: lost or twice", 0, "", lost + twice),
    ]
