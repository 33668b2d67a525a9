"""Requests and replies: trust.get of one wallet, so many sessions, so many in flight."""

from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bench.hub.contest import Contest
from bench.hub.processes import BenchError
from bench.hub.report import Goal, Table, quotient, ratio
from bench.hub.servers import HUB

PARALLEL: Final = 256
OPEN_MS_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """A number of sessions and of requests in flight on each."""

    sessions: int
    depth: int

    def __str__(self) -> str:
        return f"{self.sessions:,} x {self.depth}"


SHAPES: Final = (Shape(64, 1), Shape(64, 16), Shape(1_000, 1))


@dataclass(slots=True)
class Measured:
    """One server's rounds of one shape."""

    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """Server CPU time, user and system, for each message."""
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)

    def add(self, found: dict[str, float]) -> None:
        """Take one round's figures."""
        self.per_s.append(found["answers"] / found["seconds"])
        self.cpu_us.append(found["server_cpu_us"] / found["answers"])
        self.p50_us.append(found["p50_us"])
        self.p99_us.append(found["p99_us"])


def measure_requests(
    contest: Contest, shapes: tuple[Shape, ...], *, rounds: int, round_ms: int
) -> dict[Shape, dict[str, Measured]]:
    """Measure every shape on every server, in turns."""
    results: dict[Shape, dict[str, Measured]] = {}
    with contest.all() as contenders:
        for group, shape in enumerate(shapes):
            found = {contender.name: Measured() for contender in contenders}
            for contender in contenders:
                opened = contender.generator.tell(
                    "open", group, shape.sessions, PARALLEL, OPEN_MS_MAX
                )
                if opened["opened"] != shape.sessions:
                    raise BenchError(f"{contender.name} opened {opened} of {shape.sessions}")
            for number in range(rounds):
                contest.say(f"{shape}: round {number + 1} of {rounds}")
                for contender in contenders:
                    answer = contender.generator.tell(
                        "load", group, shape.depth, round_ms // 4, round_ms
                    )
                    if answer["wrong"]:
                        raise BenchError(f"{contender.name} gave {answer['wrong']} wrong answers")
                    found[contender.name].add(answer)
            for contender in contenders:
                contender.generator.tell("close", group)
            results[shape] = found
    return results


def requests_table(shape: Shape, found: dict[str, Measured]) -> Table:
    """Return the figures of one shape, medians of the rounds."""
    cpu = {name: median(measured.cpu_us) for name, measured in found.items()}
    rows = [
        [
            name,
            f"{median(measured.per_s):,.0f}",
            f"{cpu[name]:.2f}",
            *(ratio(cpu[name], cpu.get(rival)) for rival in ("bun", "websockets", "floor")),
            f"{median(measured.p50_us):,.0f}",
            f"{median(measured.p99_us):,.0f}",
        ]
        for name, measured in found.items()
    ]
    heads = ["server", "messages/s", "CPU us/message", "/ bun", "/ websockets", "/ floor"]
    return Table(f"trust.get of one wallet, {shape}", [*heads, "p50 us", "p99 us"], rows)


def requests_goals(found: dict[Shape, dict[str, Measured]]) -> list[Goal]:
    """Hold the hub's CPU time for a message to that of others."""
    goals = []
    for shape, measured in found.items():
        cpu = {name: median(one.cpu_us) for name, one in measured.items()}
        bounds = (
            {"bun": 1.0, "floor": 6.0} if shape.depth > 1 else {"bun": 1.0, "websockets": 1 / 3}
        )
        goals += [
            Goal(
                f"{shape}: CPU to {rival}", round(bound, 3), "x", quotient(cpu[HUB], cpu.get(rival))
            )
            for rival, bound in bounds.items()
        ]
    return goals
