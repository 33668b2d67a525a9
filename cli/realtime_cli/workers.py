"""The workers of one hub: started, started again when they die, replaced one by one, stopped.

Each is `realtime serve` in a process of its own behind the same port. This process serves nothing
but the administrator's port, so that it has no reason to die.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from realtime_cli.errors import CliError
from realtime_cli.stack import Child
from realtime_hub.surfaces.fleet_admin import WorkerView

logger = logging.getLogger(__name__)

STOP_WORKER_S_MAX: Final = 4.0
"""A drain takes up to 3 s; what still runs then is killed."""
SILENT_S_MAX: Final = 10.0
"""A worker that answers nothing for so long stands still; it is killed and started again."""
WATCH_EVERY_S: Final = 1.0
REPLACE_S_MAX: Final = 30.0
"""How long a replacement may take to be ready before the old worker is kept."""
_POLL_S: Final = 0.1


@dataclass(slots=True)
class RestartPauses:
    """How long to wait before a worker that died is started again.

    Pauses double while it dies young, up to *longest_s*; a worker that lived for *steady_s* is
    started again at once.
    """

    first_s: float = 0.1
    longest_s: float = 10.0
    steady_s: float = 30.0
    _next_s: float = 0.0

    def after(self, *, lived_s: float) -> float:
        """Return the pause after a worker that lived for so long."""
        if lived_s >= self.steady_s:
            self._next_s = 0.0
        pause_s = self._next_s
        self._next_s = min(max(self.first_s, 2 * pause_s), self.longest_s)
        return pause_s


@dataclass(slots=True, eq=False)
class _Worker:
    """A place among the workers, and the process that fills it now."""

    name: str
    child: Child | None = None
    admin_url: str | None = None
    started_s: float = 0.0
    restarts: int = 0
    pauses: RestartPauses = field(default_factory=RestartPauses)


class Workers:
    """Keeps a number of workers running while :meth:`run` runs."""

    def __init__(
        self, count: int, arguments: Callable[[str], Sequence[str]], client: httpx.AsyncClient
    ) -> None:
        """*arguments* gives the options of `realtime serve` for a worker's name."""
        self._workers = [_Worker(str(number)) for number in range(count)]
        self._arguments = arguments
        self._client = client
        self._replacing = False
        self._replace = asyncio.Event()

    def views(self) -> list[WorkerView]:
        """Return the workers as they are now."""
        return [
            WorkerView(
                name=worker.name,
                admin_url=worker.admin_url,
                pid=None if worker.child is None else worker.child.pid,
                restarts=worker.restarts,
            )
            for worker in self._workers
        ]

    def replace_all(self) -> bool:
        """Begin to replace the workers one by one; False when that is under way."""
        if self._replacing:
            return False
        self._replacing = True
        self._replace.set()
        return True

    async def start(self) -> None:
        """Start all; CliError when one can't. The first makes the files that all read."""
        first, *others = self._workers
        await self._start(first)
        await asyncio.gather(*(self._start(worker) for worker in others))

    async def run(self) -> None:
        """Start again what dies, and replace when told, until cancelled; then stop all."""
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(self._keep(worker))
                    group.create_task(self._watch(worker))
                group.create_task(self._replace_when_told())
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Have every worker drain and end; kill what doesn't in time."""
        children = [worker.child for worker in self._workers if worker.child is not None]
        await asyncio.gather(*(child.stop(within_s=STOP_WORKER_S_MAX) for child in children))

    async def _start(self, worker: _Worker) -> None:
        child = await Child.start("serve", self._arguments(worker.name))
        try:
            facts = await child.ready()
        except BaseException:
            await child.stop()
            raise
        if worker.child is not None:
            await child.stop()  # Somebody else has filled the place meanwhile.
            return
        worker.child, worker.admin_url = child, facts["admin_url"]
        worker.started_s = time.monotonic()

    async def _keep(self, worker: _Worker) -> None:
        while True:
            child = worker.child
            if child is not None:
                status = await child.wait()
                if child is not worker.child:
                    continue  # It was replaced.
                worker.child = worker.admin_url = None
                logger.error("worker %s ended with status %d", worker.name, status)
            await asyncio.sleep(worker.pauses.after(lived_s=time.monotonic() - worker.started_s))
            if worker.child is not None:
                continue
            worker.restarts += 1
            worker.started_s = time.monotonic()
            try:
                await self._start(worker)
            except CliError as error:
                logger.error("worker %s did not start: %s", worker.name, error)

    async def _watch(self, worker: _Worker) -> None:
        """Kill a worker that stands still: it would hold its connections, and maybe the journal."""
        heard_s, heard_of = time.monotonic(), worker.child
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            child, admin_url = worker.child, worker.admin_url
            answers = admin_url is None or await self._says_anything(f"{admin_url}/readyz")
            if answers or child is not heard_of:
                heard_s, heard_of = time.monotonic(), child
            elif time.monotonic() - heard_s >= SILENT_S_MAX and child is not None:
                logger.error("worker %s stands still; it is killed", worker.name)
                child.kill()
                heard_s = time.monotonic()

    async def _says_anything(self, url: str) -> bool:
        try:
            await self._client.get(url)
        except httpx.HTTPError:
            return False
        return True

    async def _replace_when_told(self) -> None:
        while True:
            await self._replace.wait()
            self._replace.clear()
            try:
                for worker in self._workers:
                    if not await self._replace_one(worker):
                        break
            finally:
                self._replacing = False

    async def _replace_one(self, worker: _Worker) -> bool:
        """Start another beside it, and end it once the other is ready; False when that fails."""
        old = worker.child
        try:
            fresh = await Child.start("serve", self._arguments(worker.name))
            try:
                admin_url = (await fresh.ready())["admin_url"]
                await self._until_ready(admin_url, fresh)
            except BaseException:
                await fresh.stop()
                raise
        except CliError as error:
            logger.error("worker %s is kept; its replacement: %s", worker.name, error)
            return False
        worker.child, worker.admin_url = fresh, admin_url
        worker.started_s = time.monotonic()
        if old is not None:
            await old.stop(within_s=STOP_WORKER_S_MAX)
        logger.info("worker %s was replaced", worker.name)
        return True

    async def _until_ready(self, admin_url: str, child: Child) -> None:
        try:
            async with asyncio.timeout(REPLACE_S_MAX):
                while not await self._answers(f"{admin_url}/readyz"):
                    if child.status is not None:
                        raise CliError(f"ended with status {child.status}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise CliError(f"it wasn't ready within {REPLACE_S_MAX:.0f} s") from error

    async def _answers(self, url: str) -> bool:
        try:
            return (await self._client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False
