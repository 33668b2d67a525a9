"""Figures, the bounds they are held to, and their table."""

from collections.abc import Sequence
from dataclasses import dataclass


class Latencies:
    """Times in milliseconds."""

    def __init__(self, took_ms: Sequence[float]) -> None:
        self._sorted = sorted(took_ms)

    def __len__(self) -> int:
        return len(self._sorted)

    def at(self, percent: float) -> float:
        """Return the time that so many percent don't exceed."""
        return self._sorted[min(len(self) - 1, int(len(self) * percent / 100))]

    def __str__(self) -> str:
        return f"p50 {self.at(50):.2f} ms, p99 {self.at(99):.2f} ms"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what, what was measured, what it is held to, and whether it holds."""

    what: str
    measured: str
    bound: str
    holds: bool | None

    def row(self) -> str:
        """Return it as a line of a Markdown table."""
        verdict = {True: "yes", False: "**no**", None: ""}[self.holds]
        return f"| {self.what} | {self.measured} | {self.bound} | {verdict} |"


def table(figures: Sequence[Figure]) -> str:
    """Return the table."""
    head = ["| what | measured | at least | holds |", "|---|---|---|---|"]
    return "\n".join([*head, *(figure.row() for figure in figures)])
