"""What `realtime doctor` found: each a verdict, and for what isn't right one line on what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    HINT = "hint"
    """It works, within limits that somebody should know."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; *facts* are for machines."""

    name: str
    level: Level
    text: str
    remedy: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def fine(name: str, text: str, **facts: object) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, text, facts=facts)


def hint(name: str, text: str, remedy: str, **facts: object) -> Finding:
    """It works; more could be had."""
    return Finding(name, Level.HINT, text, remedy, facts)


def wrong(name: str, text: str, remedy: str, **facts: object) -> Finding:
    """It doesn't work, or not as it should."""
    return Finding(name, Level.WRONG, text, remedy, facts)
