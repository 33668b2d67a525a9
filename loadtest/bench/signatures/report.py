"""Tables of what was measured, for the terminal or in Markdown, and the figures to reach."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.signatures.engines import LANES, PORTABLE
from bench.signatures.plan import (
    HASH,
    KNOWN_KEY,
    NEW_KEY,
    REFUSE,
    known_keys,
    new_keys,
)
from bench.signatures.threads import ThreadRate
from realtime_protocol.signature_timing import SECOND_NS

Row = Sequence[str]
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """Nanoseconds for one operation: of each engine's works, of the threads', of the yardstick."""

    engines: Mapping[str, Mapping[str, float]]
    threads: Sequence[ThreadRate]
    yardstick_ns: float

    def rate(self, engine: str, work: str) -> str:
        """Return operations a second and their ratio to the yardstick; a dash if not measured."""
        spent_ns = self.engines[engine].get(work)
        if spent_ns is None:
            return "-"
        return f"{SECOND_NS / spent_ns:,.0f} ({self.yardstick_ns / spent_ns:.2f}x)"

    def ratio(self, engine: str, work: str) -> float | None:
        """Return how many times the yardstick's rate it has; None where it doesn't run."""
        spent_ns = self.engines.get(engine, {}).get(work)
        return None if spent_ns is None else self.yardstick_ns / spent_ns

    def microseconds(self, work: str) -> float | None:
        """Return what one operation takes on the quickest path; None where nothing is native."""
        for engine in (LANES, PORTABLE):
            if engine in self.engines:
                return self.engines[engine][work] / 1_000
        return None

    def gain_of_threads(self) -> float | None:
        """Return how many times the rate of one thread two have; None where it wasn't measured."""
        return next((rate.gain for rate in self.threads if rate.size == _BATCH), None)


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach: at least so many times, or at most so many microseconds."""

    name: str
    bound: float
    unit: str
    read: Callable[[Measured], float | None]

    def row(self, measured: Measured) -> Row:
        """Return name, bound, what was measured, and the verdict."""
        is_at_most = self.unit == "us"
        bound = f"{'under' if is_at_most else 'at least'} {self.bound:g} {self.unit}"
        value = self.read(measured)
        if value is None:
            return self.name, bound, "-", "doesn't run here"
        reached = value < self.bound if is_at_most else value >= self.bound
        return self.name, bound, f"{value:.2f} {self.unit}", "yes" if reached else "NO"


GOALS: Final = (
    Goal("portable C, one, new key", 2.3, "x", lambda m: m.ratio(PORTABLE, NEW_KEY)),
    Goal("portable C, one, known key", 2.3, "x", lambda m: m.ratio(PORTABLE, KNOWN_KEY)),
    Goal("IFMA, batches of 64, new keys", 6, "x", lambda m: m.ratio(LANES, new_keys(_BATCH))),
    Goal("IFMA, batches of 64, known keys", 6, "x", lambda m: m.ratio(LANES, known_keys(_BATCH))),
    Goal("the same, further goal", 8, "x", lambda m: m.ratio(LANES, known_keys(_BATCH))),
    Goal("two threads, batches of 64", 1.9, "x", Measured.gain_of_threads),
    Goal("a call from Python", 0.3, "us", lambda m: m.microseconds(REFUSE)),
    Goal("k12 of 64 bytes from Python", 0.4, "us", lambda m: m.microseconds(HASH)),
)


def tables(measured: Measured) -> Iterator[tuple[str, list[Row]]]:
    """Return title and rows of each table; the first row is the head."""
    names = list(measured.engines)
    works = list(dict.fromkeys(work for found in measured.engines.values() for work in found))
    rows: list[Row] = [("one thread", *names)]
    rows += [(work, *(measured.rate(name, work) for name in names)) for work in works]
    yield "Operations a second (and to Ed25519):", rows
    if measured.threads:
        yield (
            "Checks a second in threads (the best round):",
            [
                ("batches, known keys", "one thread", "two threads", "gain"),
                *(_thread_row(rate) for rate in measured.threads),
            ],
        )
    yield (
        "Figures to reach:",
        [
            ("figure", "bound", "here", "reached"),
            *(goal.row(measured) for goal in GOALS),
        ],
    )


def _thread_row(rate: ThreadRate) -> Row:
    one, two = SECOND_NS / rate.one_ns, SECOND_NS / rate.two_ns
    return f"of {rate.size:,}", f"{one:,.0f}", f"{two:,.0f}", f"{rate.gain:.2f}x"


def as_text(rows: Sequence[Row]) -> str:
    """Align the columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """Write a Markdown table; figures stand to the right."""
    head, *body = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))
