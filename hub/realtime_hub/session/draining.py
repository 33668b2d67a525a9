"""Sending every session elsewhere: quickly as a whole, without holding others up on the way.

A goodbye costs about 0.2 ms, so thousands in one go would stop the loop for a second. They are said
in turns of a few milliseconds; between two turns everybody else is served, payments above all.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from realtime_hub.clock import Clock
from realtime_hub.session.registry import SessionRegistry

if TYPE_CHECKING:
    from realtime_hub.session.session import LiveSession

logger = logging.getLogger(__name__)

TURN_S_MAX: Final = 0.005
GONE_S_MAX: Final = 0.7
"""How long the last ones have to answer the goodbye; their connections are cut off before that."""
DRAIN_S_MAX: Final = 2.5
"""The whole of it. Who is still there is cut off with the process."""
_LOOK_EVERY_S: Final = 0.02


async def drain_sessions(registry: "SessionRegistry[LiveSession]", clock: Clock) -> int:
    """Let nobody in any more, say goodbye to all, wait until they are gone.

    Returns how many are left at the deadline.
    """
    registry.stop_admitting()
    began_s = turn_s = clock.monotonic_s()
    for session in list(registry.connections):
        session.drain()
        if clock.monotonic_s() - turn_s >= TURN_S_MAX:
            await asyncio.sleep(0)
            turn_s = clock.monotonic_s()
            if turn_s - began_s >= DRAIN_S_MAX:
                break
    end_s = min(clock.monotonic_s() + GONE_S_MAX, began_s + DRAIN_S_MAX)
    while registry.connections and clock.monotonic_s() < end_s:  # noqa: ASYNC110  # or time is up
        await asyncio.sleep(_LOOK_EVERY_S)
    left = len(registry.connections)
    if left:
        logger.warning("%d sessions didn't leave in time; they are cut off", left)
    return left
