"""Twice as many requests as the hub can answer: what it still does, what it refuses, and after."""

import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.hub.contest import Contender, Contest
from bench.hub.probe import SUBSCRIBE, Probe, probing
from bench.hub.processes import BenchError
from bench.hub.report import Goal, Table, quotient, ratio
from bench.hub.servers import HUB
from bench.hub.signer import ADMIN_GROUP
from bench.hub.wallets import wallet
from realtime_protocol.codes import ErrorCode
from realtime_protocol.messages import ERROR_REPLY, Priority, RequestType

CROWD_GROUP: Final = 0
WATCHER_GROUP: Final = 1
WATCHERS: Final = 64
PARALLEL: Final = 256
TIMES_CAPACITY: Final = 2
OPEN_MS_MAX: Final = 60_000
PUBLISH_MS_MAX: Final = 5_000
PUBLISH_EVERY_MS: Final = 250
CAPACITY_MS: Final = 2_000
SETTLE_MS: Final = 2_000
"""Until the load is what it is for the rest."""
RECOVER_S_MAX: Final = 20.0
QUOTE_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Overloaded:
    """One hub before, under and after the load."""

    sessions: int
    capacity_per_s: float
    offered_per_s: float
    answered_per_s: float
    refused_per_s: float
    pushes_before_ms: list[float]
    """From a change to the last of its watchers."""
    pushes_ms: list[float]
    refusals_ms: list[float]
    """What a quote's refusal took."""
    quotes_served: int
    recovered_s: float
    """From the end of the load to the first quote."""


def measure_overload(contest: Contest, *, sessions: int, seconds: int) -> Overloaded:
    """Load a hub of its own."""
    contest.say(f"overload: {sessions:,} sessions ask for {TIMES_CAPACITY} times what it can do")
    with contest.contender(HUB) as contender, probing(contender.server.port) as probe:
        return _measure(contest, contender, probe, sessions=sessions, seconds=seconds)


def _measure(
    contest: Contest, contender: Contender, probe: Probe, *, sessions: int, seconds: int
) -> Overloaded:
    tell = contender.generator.tell
    for group, count in ((ADMIN_GROUP, 1), (WATCHER_GROUP, WATCHERS), (CROWD_GROUP, sessions)):
        opened = tell("open", group, count, PARALLEL, OPEN_MS_MAX)
        if opened["opened"] != count:
            raise BenchError(f"the hub let in {opened['opened']} of {count} sessions")
    tell("send", WATCHER_GROUP, SUBSCRIBE.hex(), OPEN_MS_MAX)
    count = seconds * 1_000 // PUBLISH_EVERY_MS
    before_ms = [_push_ms(contest, contender) for _ in range(count)]
    peak = tell("load", CROWD_GROUP, 1, CAPACITY_MS // 4, CAPACITY_MS)
    capacity_per_s = peak["answers"] / peak["seconds"]
    offered_per_s = capacity_per_s * TIMES_CAPACITY
    tell("pace", CROWD_GROUP, round(sessions / offered_per_s * 1_000_000))
    tell("wait", SETTLE_MS)
    tell("stats", CROWD_GROUP)
    began_s = time.monotonic()
    pushes_ms, asked = [], []
    for _ in range(count):
        pushes_ms.append(_push_ms(contest, contender))
        asked.append(_ask_quote(probe))
    found = tell("stats", CROWD_GROUP)
    took_s = time.monotonic() - began_s
    tell("pace", CROWD_GROUP, 0)
    return Overloaded(
        sessions=sessions,
        capacity_per_s=capacity_per_s,
        offered_per_s=offered_per_s,
        answered_per_s=found["answers"] / took_s,
        refused_per_s=found["refused"] / took_s,
        pushes_before_ms=before_ms,
        pushes_ms=pushes_ms,
        refusals_ms=[ms for served, ms in asked if not served],
        quotes_served=sum(served for served, _ in asked),
        recovered_s=_recover_s(probe),
    )


def _push_ms(contest: Contest, contender: Contender) -> float:
    order = contest.orders.next_publish(for_hub=True).hex()
    found: dict[str, Any] = contender.generator.tell(
        "publish", ADMIN_GROUP, order, WATCHER_GROUP, PUBLISH_MS_MAX
    )
    if found["refusal"] or found["missing"]:
        raise BenchError(f"a change was not told to all: {found}")
    contender.generator.tell("wait", PUBLISH_EVERY_MS)  # The order's own reply comes after.
    last_ms: float = found["last_ms"]
    return last_ms


def _ask_quote(probe: Probe) -> tuple[bool, float]:
    """Return whether a quote was opened, and after how many milliseconds that was said."""
    payer, payee = (wallet(number).public_key for number in (0, 1))
    intent = [payer, payee, 1_000, int(Priority.SPEED), 1_000, 60_000]
    began_s = time.monotonic()
    kind, body = probe.request(RequestType.QUOTE_OPEN, [intent])
    took_ms = (time.monotonic() - began_s) * 1_000
    if kind == ERROR_REPLY:
        if body[0] != ErrorCode.OVERLOADED:
            raise BenchError(f"a quote was refused with {body}")
        return False, took_ms
    probe.request(RequestType.QUOTE_CLOSE, body)
    return True, took_ms


def _recover_s(probe: Probe) -> float:
    began_s = time.monotonic()
    while not _ask_quote(probe)[0]:
        if time.monotonic() - began_s > RECOVER_S_MAX:
            raise BenchError(f"no quote {RECOVER_S_MAX:.0f} s after the load ended")
        time.sleep(QUOTE_EVERY_S)
    return time.monotonic() - began_s


def overload_table(found: list[Overloaded]) -> Table:
    """Return the figures, one row a number of sessions."""
    rows = [
        [
            f"{one.sessions:,}",
            f"{one.offered_per_s:,.0f}",
            f"{one.answered_per_s:,.0f}",
            ratio(one.answered_per_s, one.capacity_per_s),
            f"{one.refused_per_s:,.0f}",
            f"{median(one.pushes_before_ms):.2f}",
            f"{median(one.pushes_ms):.2f}",
            f"{max(one.pushes_ms):.2f}",
            f"{len(one.refusals_ms)} of {len(one.refusals_ms) + one.quotes_served}",
            f"{max(one.refusals_ms, default=0.0):.1f}",
            f"{one.recovered_s:.1f}",
        ]
        for one in found
    ]
    heads = [
        "sessions",
        "asked/s",
        "answered/s",
        "/ peak",
        "refused/s",
        "change ms, calm",
        "loaded",
        "worst",
    ]
    heads += ["quotes refused", "slowest refusal ms", "recovered s"]
    return Table("Twice what the hub can answer", heads, rows)


def overload_goals(found: list[Overloaded]) -> list[Goal]:
    """Hold the hub to its figures under too much load."""
    goals = []
    for one in found:
        to = f"overload by {one.sessions:,}"
        goals += [
            Goal(f"{to}: peak to answered", 1.1, "x", one.capacity_per_s / one.answered_per_s),
            Goal(
                f"{to}: change to calm",
                2,
                "x",
                quotient(median(one.pushes_ms), median(one.pushes_before_ms)),
            ),
            Goal(f"{to}: slowest refusal", 50, "ms", max(one.refusals_ms, default=None)),
            Goal(f"{to}: recovered", 5, "s", one.recovered_s),
        ]
    return goals
