"""Asking Redis: every failure is one error, and a cancellation stays a cancellation."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from redis.exceptions import RedisError

from realtime_hub.adapters.redis_servers import COMMAND_TIMEOUT_S
from realtime_hub.auth.ports import LogUnavailable
from realtime_hub.patience import patience


async def asked(answer: Awaitable[Any], unavailable: type[Exception] = LogUnavailable) -> Any:
    """Return Redis' answer; *unavailable* for any failure, whose outcome is then unknown."""
    try:
        async with patience(COMMAND_TIMEOUT_S):
            found = await answer
    except (RedisError, OSError, TimeoutError) as error:
        stop_if_cancelled()
        raise unavailable(f"Redis: {error or type(error).__name__}") from error
    stop_if_cancelled()
    return found


def stop_if_cancelled() -> None:
    """Raise the CancelledError that redis-py kept to itself.

    It takes a cancellation that falls on one of its time-outs for the time-out, or for the end of
    a connection; a task that goes on would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
