"""Waiting for what has no event to wait on."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Return once *condition* holds; TimeoutError when it doesn't."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  (the condition is anything, not an event)
            await asyncio.sleep(0.001)
