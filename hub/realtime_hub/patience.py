"""Deadlines for others that don't count the time in which this process itself was busy."""

import asyncio
from types import TracebackType
from typing import Final

LOOKS: Final = 4
"""Turns of the event loop that are waited for at least."""


def patience(within_s: float) -> "_Patience":
    """Return a block that raises TimeoutError when it takes longer than *within_s*.

    When the loop comes round late, timers run before sockets are read: an answer that was there in
    time would count as missing. So the time passes in pieces, and after each sockets are read.
    """
    return _Patience(within_s)


class _Patience:
    __slots__ = ("_left", "_limit", "_loop", "_piece_s", "_timer")

    def __init__(self, within_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._piece_s = within_s / LOOKS
        self._left = LOOKS
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        """Begin."""
        await self._limit.__aenter__()
        self._timer = self._loop.call_later(self._piece_s, self._look)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Turn our own cancellation into TimeoutError."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._limit.__aexit__(kind, error, trace)

    def _look(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._piece_s, self._look)
        else:
            self._limit.reschedule(self._loop.time())
