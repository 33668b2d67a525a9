"""Whether the hub can serve, part by part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the hub can serve, and what stands in the way."""

    ready: bool
    parts: Mapping[str, str]


def readiness_of(troubles: Mapping[str, Callable[[], str | None]]) -> Readiness:
    """Ask each part what is wrong with it; None is well."""
    parts = {name: trouble() or "ok" for name, trouble in troubles.items()}
    return Readiness(all(state == "ok" for state in parts.values()), parts)
