"""Looks at every session's deadlines, in small turns."""

import asyncio
from typing import TYPE_CHECKING, Final

from realtime_hub.clock import Clock
from realtime_hub.session.fanout import Fanout
from realtime_hub.session.registry import SessionRegistry

if TYPE_CHECKING:
    from realtime_hub.session.session import LiveSession

EVERY_S: Final = 0.25
SESSIONS_PER_TURN: Final = 128


class Housekeeping:
    """One loop for all sessions: cheaper than timers of each, and late by at most its period."""

    def __init__(
        self, registry: "SessionRegistry[LiveSession]", fanout: Fanout, clock: Clock
    ) -> None:
        self._registry = registry
        self._fanout = fanout
        self._clock = clock

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.round()

    async def round(self) -> None:
        """Look at every session once."""
        self._fanout.check_epoch()
        sessions = list(self._registry.connections)
        for begin in range(0, len(sessions), SESSIONS_PER_TURN):
            now_s = self._clock.monotonic_s()
            for session in sessions[begin : begin + SESSIONS_PER_TURN]:
                session.tick(now_s)
            await asyncio.sleep(0)
