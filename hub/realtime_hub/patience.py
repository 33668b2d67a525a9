"""Deadlines for others that don't count the time in which this process itself was busy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

LOOKS: Final = 4
"""Turns of the event loop that are waited for at least."""


@asynccontextmanager
async def patience(within_s: float) -> AsyncIterator[None]:
    """Raise TimeoutError when the block takes longer than *within_s*.

    When the loop comes round late, timers run before sockets are read: an answer that was there in
    time would count as missing. So the time passes in pieces, and after each sockets are read.
    """
    loop = asyncio.get_running_loop()
    left = LOOKS
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def look() -> None:
            nonlocal left, timer
            left -= 1
            if left:
                timer = loop.call_later(within_s / LOOKS, look)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(within_s / LOOKS, look)
        try:
            yield
        finally:
            timer.cancel()
