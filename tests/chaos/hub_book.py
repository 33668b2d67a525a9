"""A hub's trust book on a real Redis, over a contract that the test steers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from chaos.log_bench import FLEET_KEY, NETWORK, open_log
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust_cache import RedisTrustCache
from realtime_hub.adapters.system import SystemClock
from realtime_hub.auth.model import TrustChange
from realtime_hub.auth.stewardship import ForgetfulMemory, Stewardship
from realtime_hub.auth.trust import TrustBook, TrustLimits
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Trust
from trust_fakes import ADMIN, FakeSource
from waiting import eventually


class BookHub:
    """The trust side of a hub."""

    def __init__(self, url: str, source: FakeSource, limits: TrustLimits | None) -> None:
        self.client = connect(url)
        self.log = open_log(self.client)
        self.cache = RedisTrustCache(self.client, lambda: NETWORK, FLEET_KEY)
        self.heard: list[TrustChange] = []
        self.doubts = 0
        self.book = TrustBook(
            log=self.log,
            cache=self.cache,
            source=source,
            clock=SystemClock(),
            stewardship=Stewardship(ADMIN, ForgetfulMemory()),
            limits=limits,
        )
        self.book.listeners.append(self.heard.append)
        self.book.doubt_listeners.append(self._doubt)

    def _doubt(self) -> None:
        self.doubts += 1

    async def ask(self, wallet: PublicKey) -> Trust:
        """Return what the hub says of a wallet."""
        [trust] = await self.book.get([wallet])
        return trust

    @property
    def told(self) -> list[tuple[int, int]]:
        """The changes that sessions were told: place in the log, status."""
        return [(change.log_seq, int(change.body.status)) for change in self.heard]


@contextlib.asynccontextmanager
async def running_book(
    url: str, source: FakeSource, limits: TrustLimits | None = None
) -> AsyncIterator[BookHub]:
    """Run a hub's trust book until the block ends."""
    hub = BookHub(url, source, limits)
    task = asyncio.create_task(hub.book.run())
    await eventually(lambda: hub.book.backbone_ok)
    yield hub
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with contextlib.suppress(Exception):
        await hub.client.aclose()
