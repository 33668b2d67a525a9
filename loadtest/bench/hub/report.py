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
        return "\n".join([f"### {self.title}", "", text[0], rule, *text[1:], ""])


def ratio(value: float, other: float | None) -> str:
    """Write how many times *other* a value is."""
    return ABSENT if not other else f"{value / other:.2f}"
