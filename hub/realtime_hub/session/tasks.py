"""The one owner of tasks that serve requests which have to wait for something."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

logger = logging.getLogger(__name__)

STOPPED_RETRY_MS: Final = 1_000


class RequestTasks:
    """Runs coroutines while :meth:`run` runs; their number is bounded by requests in flight."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the tasks until cancelled; then they are cancelled too."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start *work*; RequestError 107 while the hub starts or stops."""
        if self._group is None:
            work.close()
            raise RequestError(
                ErrorCode.OVERLOADED,
                "the hub is starting or stopping",
                retry_after_ms=STOPPED_RETRY_MS,
            )
        return self._group.create_task(_guarded(work))


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    """Keep one request's unforeseen failure from ending all others."""
    try:
        await work
    except Exception:
        logger.exception("serving a request failed")
