"""When to try again after a connection was lost."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How to come back: pauses double from *first_s* to *longest_s*, each with full jitter.

    A range that the hub asks for with a goaway is kept instead. After *tries_max* failures in a row
    the session ends. ``Reconnect(tries_max=0)`` never comes back.
    """

    first_s: float = 0.25
    longest_s: float = 30.0
    tries_max: int = 20

    def pause_s(self, failures: int, uniform: Callable[[float, float], float]) -> float:
        """Return the pause after so many failures in a row (0 for the first loss).

        Jitter is full, so that the clients of a hub that fell don't come back in one moment.
        """
        highest = min(self.longest_s, self.first_s * 2 ** min(failures, 30))
        return uniform(0.0, highest)
