"""Figures as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

ABSENT = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, column heads and rows of text."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        """Write it for people: columns are aligned in the source too."""
        lines = [list(self.heads), *map(list, self.rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.heads))]
        text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([f"**{self.title}**", "", text[0], rule, *text[1:]])


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach: at most so much of a unit."""

    name: str
    bound: float
    unit: str
    value: float | None
    """None: not measured here."""

    @property
    def row(self) -> list[str]:
        """Name, bound, what was measured, and the verdict."""
        unit = f" {self.unit}" if self.unit else ""
        bound = f"at most {self.bound:g}{unit}"
        if self.value is None:
            return [self.name, bound, ABSENT, "not measured"]
        verdict = "yes" if self.value <= self.bound else "NO"
        return [self.name, bound, f"{self.value:.2f}{unit}", verdict]


@dataclass(frozen=True, slots=True)
class Findings:
    """What one scenario found."""

    tables: Sequence[Table]
    goals: Sequence[Goal]


def goals_table(goals: Sequence[Goal]) -> Table:
    """Return the goals with their verdicts."""
    return Table("Figures to reach", ["figure", "bound", "here", "reached"], [g.row for g in goals])


def quotient(value: float, other: float | None) -> float | None:
    """Return how many times *other* a value is; None when there is no other."""
    return None if not other else value / other


def ratio(value: float, other: float | None) -> str:
    """Write how many times *other* a value is."""
    return ABSENT if not other else f"{value / other:.2f}"
