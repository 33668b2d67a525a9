"""Taking turns at owning: one process at a time writes the journals and broadcasts.

Each worker asks for the lease. Who has it begins a term: recovers from the journal, serves its own
sessions and the other workers, prolongs the lease. Who hasn't serves its sessions through the
owner. A lease that isn't prolonged in time ends the term, before another can begin: on this
process's clock it ends earlier than at the place that grants it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.pay.ports import (
    Desk,
    JournalFenced,
    JournalLocked,
    LeaseUnavailable,
    Owner,
    OwnerLease,
    OwnerLink,
    QubicPaymentPort,
)

logger = logging.getLogger(__name__)

RENEW_EVERY_S: Final = 0.5
ASK_EVERY_S: Final = 0.5
"""How often a worker that doesn't own asks for the lease."""
LINK_PAUSE_S: Final = 0.05
_STOPPING: Final = "this process ends"


class Term(Protocol):
    """One process's time as the owner."""

    @property
    def owner(self) -> Owner:
        """Who serves during the term."""
        ...

    @property
    def fenced(self) -> bool:
        """Whether the journal belongs to a newer term."""
        ...

    @property
    def open_count(self) -> int:
        """How many payments are under way."""
        ...

    async def run(self, desk: Desk) -> None:
        """Recover, open the desk, and carry payments out until cancelled."""
        ...


class Ownership:
    """Finds the owner, or is it. One owner of tasks runs :meth:`run`."""

    def __init__(
        self,
        *,
        desk: Desk,
        lease: OwnerLease,
        link: OwnerLink,
        begin: Callable[[int], AbstractAsyncContextManager[Term]],
        newest_fence: Callable[[], Awaitable[int]],
        wait_ready: Callable[[], Awaitable[None]],
    ) -> None:
        """*begin* opens a term under a fence; *newest_fence* reads the journal's."""
        self._desk = desk
        self._lease = lease
        self._link = link
        self._begin = begin
        self._newest_fence = newest_fence
        self._wait_ready = wait_ready
        self._ask_now = asyncio.Event()
        self._retired = asyncio.Event()
        self._resting = asyncio.Event()
        self._said: str | None = None
        self._term: Term | None = None
        self.fence: int | None = None
        """That of the term that runs here; None while another process owns."""

    @property
    def open_count(self) -> int:
        """How many payments are under way here; 0 where another process owns."""
        return 0 if self._term is None else self._term.open_count

    async def run(self) -> None:
        """Own whenever the lease can be had; else be served by whoever does. Until cancelled."""
        await self._wait_ready()
        while True:
            following = asyncio.create_task(self._follow())
            try:
                fence = await self._acquire()
            finally:
                following.cancel()
                await asyncio.wait({following})
            try:
                await self._own(fence)
            finally:
                await self._release()

    async def retire(self) -> None:
        """Own no more: what was decided is written, then the lease is given up at once.

        This process's sessions are served by the next owner until they are gone.
        """
        self._retired.set()
        if self.fence is not None:
            await self._resting.wait()

    # Not owning ---------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await self._link.follow(self._desk)
            self._ask_now.set()
            await asyncio.sleep(LINK_PAUSE_S)

    async def _acquire(self) -> int:
        while True:
            self._ask_now.clear()
            if not self._retired.is_set():
                fence = await self._try_acquire()
                if fence is not None:
                    return fence
            try:
                async with asyncio.timeout(ASK_EVERY_S):
                    await self._ask_now.wait()
            except TimeoutError:
                pass

    async def _try_acquire(self) -> int | None:
        try:
            fence = await self._lease.acquire(floor=await self._newest_fence())
        except LeaseUnavailable as error:
            self._say(str(error))
            self._desk.explain(str(error))
            return None
        self._say(None)
        return fence

    # Owning -------------------------------------------------------------------------------------

    async def _own(self, fence: int) -> None:
        self.fence = fence
        self._resting.clear()
        logger.info("this process owns the payments, term %d", fence)
        try:
            async with self._begin(fence) as term:
                self._term = term
                why = await self._serve(term)
        except (JournalFenced, JournalLocked) as error:
            why = str(error)
            await asyncio.sleep(ASK_EVERY_S)
        finally:
            self.fence = self._term = None
        # A normal stop is no news; whoever else ends a term should know.
        level = logging.INFO if why is _STOPPING else logging.WARNING
        logger.log(level, "term %d is over: %s", fence, why)

    async def _serve(self, term: Term) -> str:
        """Serve until the term is over, and say why it is."""
        serving = asyncio.create_task(term.run(self._desk))
        keeping = asyncio.create_task(self._keep(term))
        retiring = asyncio.create_task(self._retired.wait())
        tasks = {serving, keeping, retiring}
        why = _STOPPING
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            if keeping.done():
                why = keeping.result()
        finally:
            self._desk.close(term.owner, f"the owner changes: {why}")
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return why

    async def _keep(self, term: Term) -> str:
        """Prolong the lease; return why that can't be done any more."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if term.fenced:
                return "the journal belongs to a newer term"
            try:
                if not await self._lease.renew():
                    return "another process has the lease"
            except LeaseUnavailable as error:
                self._say(str(error))
            if not self._lease.held:
                return "the lease wasn't prolonged in time"

    async def _release(self) -> None:
        try:
            await self._lease.release()
        except LeaseUnavailable as error:
            logger.warning("the lease ends by itself: %s", error)
        self._resting.set()

    def _say(self, trouble: str | None) -> None:
        """Log a trouble once, not each time."""
        if trouble not in (self._said, None):
            logger.warning("payments' lease: %s", trouble)
        self._said = trouble


class NoLink:
    """For a hub without other workers."""

    async def follow(self, desk: Desk) -> None:
        """There is nobody to be served by."""
        await asyncio.get_running_loop().create_future()


class SoleOwner:
    """The lease of a hub without other workers: always its own."""

    @property
    def held(self) -> bool:
        """It is."""
        return True

    async def acquire(self, *, floor: int) -> int | None:
        """Begin the next term."""
        return floor + 1

    async def renew(self) -> bool:
        """Nobody else wants it."""
        return True

    async def release(self) -> None:
        """Nobody waits for it."""


class LeasedChain:
    """The chain for one term: nothing is broadcast once the lease isn't held."""

    def __init__(self, chain: QubicPaymentPort, lease: OwnerLease) -> None:
        self._chain = chain
        self._lease = lease
        self.entity = chain.entity
        self.transaction = chain.transaction
        self.tick_transactions = chain.tick_transactions

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        """See QubicPaymentPort."""
        if not self._lease.held:
            raise NodeUnavailable("this process doesn't own the payments any more")
        await self._chain.broadcast(signed_tx, again=again)
