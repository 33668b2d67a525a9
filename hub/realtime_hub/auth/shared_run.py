"""One run of a piece of work for all who ask for it at about the same time."""

import asyncio
from collections.abc import Awaitable, Callable


class SharedRun:
    """Runs *work* for whoever calls; nobody gets a run that began before the call.

    So a thousand calls at once take two runs at most, and each sees at least what was there when
    it was made. A run that fails fails for all who share it.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._one_at_a_time = asyncio.Lock()
        self._begun = 0
        self._ended = 0
        self._failure: Exception | None = None

    async def __call__(self) -> None:
        """Return after a run that began after this call; raise what it raised."""
        begun_before = self._begun
        async with self._one_at_a_time:
            if self._ended <= begun_before:
                await self._run()
            elif self._failure is not None:
                raise self._failure

    async def _run(self) -> None:
        self._begun += 1
        number = self._begun
        try:
            await self._work()
        except Exception as error:
            self._failure, self._ended = error, number
            raise
        self._failure, self._ended = None, number
