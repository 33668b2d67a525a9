"""How loaded this process is, and what it refuses then. Pure: figures in, a level out.

The order is fixed: quotes go first, then logins, then replies to what can be asked again. Payments,
signs of life and everything that ends something are served at any load, and revocations are pushed.
The level rises at once and falls one step at a time, so that it doesn't swing.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import RequestType


class Load(IntEnum):
    """What is refused; each level with all before it."""

    CALM = 0
    QUOTES = 1
    LOGINS = 2
    REPLIES = 3


_ALWAYS: Final = frozenset(
    {
        RequestType.PAY,
        RequestType.PAYMENT_GET,
        RequestType.PING,
        RequestType.ACK,
        RequestType.LOGOUT,
        RequestType.UNSUBSCRIBE,
        RequestType.QUOTE_CLOSE,
        RequestType.TRUST_SET,
        RequestType.SESSIONS_LIST,
        RequestType.DRAIN,
        RequestType.RESUME,
        RequestType.TRUST_GET,  # From memory a refusal costs as much; else see require_reading.
    }
)
_LOGINS: Final = frozenset(
    {RequestType.CHALLENGE, RequestType.LOGIN, RequestType.REFRESH, RequestType.VERIFY}
)
"""Logins, and what competes with them for signature checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadSettings:
    """From which figures on what is refused: for quotes, for logins, for replies."""

    lag_ms: tuple[int, int, int] = (50, 150, 500)
    """How late the event loop runs."""
    memory_percent: tuple[int, int, int] = (85, 92, 97)
    """Of what this process may use."""
    checks_percent: tuple[int, int, int] = (50, 75, 95)
    """Of the signature checks that may wait."""
    fall_percent: int = 70
    """A level ends when everything is below so much of what began it."""
    calm_ms: int = 1_000
    """For so long, before the level falls by one."""
    retry_after_ms: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """The figures of one moment."""

    lag_ms: float
    memory_percent: float = 0.0
    checks_percent: float = 0.0


class OverloadMonitor:
    """Keeps the level."""

    def __init__(self, settings: OverloadSettings | None = None) -> None:
        self.level = Load.CALM
        self._settings = settings or OverloadSettings()
        self._calm_since_s: float | None = None
        self._lag_before_ms = 0.0

    def update(self, pressure: Pressure, *, now_s: float) -> Load:
        """Take the figures of this moment and return the level.

        A single late turn of the loop, such as a collection of garbage, is no overload: of two
        figures in a row the lower counts.
        """
        lag_ms = min(pressure.lag_ms, self._lag_before_ms)
        self._lag_before_ms = pressure.lag_ms
        steady = Pressure(
            lag_ms=lag_ms,
            memory_percent=pressure.memory_percent,
            checks_percent=pressure.checks_percent,
        )
        reached = self._reached(steady, percent=100)
        if reached >= self.level:
            self.level = reached
            self._calm_since_s = None
        elif self._reached(steady, percent=self._settings.fall_percent) >= self.level:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        elif (now_s - self._calm_since_s) * 1_000 >= self._settings.calm_ms:
            self.level = Load(self.level - 1)
            self._calm_since_s = now_s
        return self.level

    def require(self, kind: RequestType) -> None:
        """Raise RequestError 107 for a request that isn't served at this load."""
        if self.level is Load.CALM or kind in _ALWAYS or self.level < _shed_from(kind):
            return
        raise self.refusal()

    def require_reading(self) -> None:
        """Raise RequestError 107 for trust that memory doesn't hold, when replies are refused."""
        if self.level >= Load.REPLIES:
            raise self.refusal()

    def refusal(self) -> RequestError:
        """Return what is answered instead of serving."""
        return RequestError(
            ErrorCode.OVERLOADED,
            "the hub is overloaded and serves payments first",
            retry_after_ms=self._settings.retry_after_ms * int(self.level),
        )

    def _reached(self, pressure: Pressure, *, percent: int) -> Load:
        """Return the highest level whose figures, times *percent*, are reached."""
        settings = self._settings
        figures = (
            (pressure.lag_ms, settings.lag_ms),
            (pressure.memory_percent, settings.memory_percent),
            (pressure.checks_percent, settings.checks_percent),
        )
        level = 0
        for value, bounds in figures:
            level = max(level, sum(value * 100 >= bound * percent for bound in bounds))
        return Load(level)


def _shed_from(kind: RequestType) -> Load:
    if kind is RequestType.QUOTE_OPEN:
        return Load.QUOTES
    return Load.LOGINS if kind in _LOGINS else Load.REPLIES
