"""Looks ten times a second at how loaded this process is, and tells the monitor."""

import asyncio
from collections.abc import Callable
from typing import Final

from realtime_hub.clock import Clock
from realtime_hub.session.input_turns import InputTurns
from realtime_hub.session.overload import Load, OverloadMonitor, Pressure

EVERY_S: Final = 0.1


class LoadWatch:
    """One owner runs :meth:`run`; *on_lag* hears each time how late requests are, in seconds."""

    def __init__(
        self,
        monitor: OverloadMonitor,
        clock: Clock,
        inputs: InputTurns,
        *,
        memory_percent: Callable[[], float],
        checks_percent: Callable[[], float],
        on_lag: Callable[[float], None],
        on_level: Callable[[Load], None],
    ) -> None:
        self._monitor = monitor
        self._clock = clock
        self._inputs = inputs
        self._memory_percent = memory_percent
        self._checks_percent = checks_percent
        self._on_lag = on_lag
        self._on_level = on_level

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            before_s = self._clock.monotonic_s()
            await asyncio.sleep(EVERY_S)
            now_s = self._clock.monotonic_s()
            self.look(late_s=max(0.0, now_s - before_s - EVERY_S), now_s=now_s)

    def look(self, *, late_s: float, now_s: float) -> None:
        """Take the figures of one moment."""
        late_s = self._inputs.look(late_s)
        self._on_lag(late_s)
        pressure = Pressure(
            lag_ms=late_s * 1_000,
            memory_percent=self._memory_percent(),
            checks_percent=self._checks_percent(),
        )
        before = self._monitor.level
        level = self._monitor.update(pressure, now_s=now_s)
        if level is not before:
            self._on_level(level)
