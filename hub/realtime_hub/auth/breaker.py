"""A circuit breaker: what failed a few times in a row isn't waited for by everybody."""

from typing import Final

from realtime_hub.clock import Clock

FAILURES_MAX: Final = 3
PROBE_EVERY_S: Final = 0.5


class Breaker:
    """Open after *failures_max* failures in a row; then one call each *probe_every_s* goes through.

    Ask :meth:`allows` before a call, and tell :meth:`succeeded` or :meth:`failed` after it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        failures_max: int = FAILURES_MAX,
        probe_every_s: float = PROBE_EVERY_S,
    ) -> None:
        self.opened = 0
        """How often it opened."""
        self._clock = clock
        self._failures_max = failures_max
        self._probe_every_s = probe_every_s
        self._failures = 0
        self._probe_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused but for probes."""
        return self._failures >= self._failures_max

    def allows(self) -> bool:
        """Whether a call may be made now; when open, the next probe is counted from here."""
        if not self.is_open:
            return True
        now_s = self._clock.monotonic_s()
        if now_s < self._probe_s:
            return False
        self._probe_s = now_s + self._probe_every_s
        return True

    def succeeded(self) -> None:
        """The call gave an answer."""
        self._failures = 0

    def failed(self) -> None:
        """The call gave none in time."""
        self._failures += 1
        if self._failures == self._failures_max:
            self.opened += 1
            self._probe_s = self._clock.monotonic_s() + self._probe_every_s
