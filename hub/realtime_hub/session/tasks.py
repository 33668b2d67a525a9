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

    def spawn(
        self, work: Coroutine[Any, Any, None], *, awaits: Coroutine[Any, Any, Any] | None = None
    ) -> asyncio.Task[None]:
        """Start *work*, which *awaits* another; RequestError 107 while the hub starts or stops.

        A task that is cancelled in the turn in which it was made runs none of its code: both are
        closed then, for nobody else will.
        """

        def close(_task: asyncio.Task[None] | None = None) -> None:
            work.close()
            if awaits is not None:
                awaits.close()

        if self._group is None:
            close()
            raise RequestError(
                ErrorCode.OVERLOADED,
                "the hub is starting or stopping",
                retry_after_ms=STOPPED_RETRY_MS,
            )
        task = self._group.create_task(_guarded(work))
        task.add_done_callback(close)
        return task


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    """Keep one request's unforeseen failure from ending all others."""
    try:
        await work
    except Exception:
        logger.exception("serving a request failed")
