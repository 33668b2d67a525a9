"""A login that races a revocation, at every interleaving that the steps allow."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_challenges import MemoryChallenges
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.login import Logins
from realtime_hub.auth.model import TrustChange, TrustRecord
from realtime_hub.auth.ports import CachedRecord
from realtime_hub.auth.service import AuthService
from realtime_hub.auth.stewardship import ForgetfulMemory, Stewardship
from realtime_hub.auth.trust import TrustBook
from realtime_hub.pay.desk import PaymentDesk
from realtime_hub.signatures import SignatureChecks
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustStatus
from trust_fakes import ADMIN, ALICE, BOB, FakeSource, block, record
from waiting import eventually

BLOCKED = record(status=TrustStatus.BLOCKED, score=0, sequence=2)
ORDERS = range(300)


class Steps:
    """Lets the tasks that wait at a gate go on one at a time, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._waiting: list[asyncio.Future[None]] = []
        self.open = True

    async def gate(self) -> None:
        """Wait for this task's turn."""
        if not self.open:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    async def play(self, *actors: Callable[[], Awaitable[None]]) -> None:
        """Run the actors to their ends."""
        self.open = False
        tasks = [asyncio.ensure_future(self._act(actor)) for actor in actors]
        while not all(task.done() for task in tasks):
            for _ in range(self._random.randint(1, 4)):
                await asyncio.sleep(0)
            if self._waiting:
                turn = self._waiting.pop(self._random.randrange(len(self._waiting)))
                if not turn.done():
                    turn.set_result(None)
        self.open = True
        for task in tasks:
            await task

    async def _act(self, actor: Callable[[], Awaitable[None]]) -> None:
        await self.gate()
        await actor()


class GatedSource(FakeSource):
    """A contract whose answers are on their way for a while: what they say may be old."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        await self._steps.gate()
        answer = await super().statuses(wallets)
        await self._steps.gate()
        return answer


class GatedCache(MemoryTrustCache):
    """A shared cache with a way to it and a way back."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        await self._steps.gate()
        answer = await super().get(wallets)
        await self._steps.gate()
        return answer

    async def put(self, records: Sequence[CachedRecord]) -> None:
        await self._steps.gate()
        await super().put(records)


class Fleet:
    """One hub's auth service, with sessions as the session layer keeps them."""

    def __init__(self, seed: int) -> None:
        self.steps = Steps(seed)
        self.clock = FakeClock()
        self.source = GatedSource(self.steps)
        self.source.write(record())
        self.cache = GatedCache(self.steps)
        self.log = MemoryTrustLog(SeededEntropy(), self.cache)
        self.book = TrustBook(
            log=self.log,
            cache=self.cache,
            source=self.source,
            clock=self.clock,
            stewardship=Stewardship(ADMIN, ForgetfulMemory()),
        )
        delegation = Delegation(MemoryGrants(), clock=self.clock, entropy=SeededEntropy())
        self.auth = AuthService(
            logins=Logins(
                verifier=SignatureChecks(),
                clock=self.clock,
                entropy=SeededEntropy(),
                chain="devnet",
                session_ttl_ms=1_000,
                grants=delegation,
            ),
            book=self.book,
            orders=PaymentDesk(),
            challenges=MemoryChallenges(self.clock),
            clock=self.clock,
            entropy=SeededEntropy(),
            delegation=delegation,
        )
        self.registered: set[int] = set()
        self.admitted: set[int] = set()
        self.book.listeners.append(self._on_change)

    def _on_change(self, change: TrustChange) -> None:
        if change.body.wallet == ALICE and change.body.status is TrustStatus.BLOCKED:
            self.registered.clear()

    async def log_in(self, session: int) -> None:
        """Register first, then ask whether the wallet may stay."""
        self.registered.add(session)
        try:
            await self.auth.admit(ALICE)
        except RequestError as error:
            if error.code is not ErrorCode.WALLET_BLOCKED:
                raise
            self.registered.discard(session)
        else:
            self.admitted.add(session)

    @property
    def alive(self) -> set[int]:
        """Sessions that were let in and not thrown out."""
        return self.registered & self.admitted


async def played(seed: int, revoke: Callable[[Fleet], Awaitable[None]]) -> Fleet:
    """Play three logins against one revocation, on a hub that knows nothing of the wallet yet."""
    fleet = Fleet(seed)
    running = asyncio.ensure_future(fleet.book.run())
    await eventually(lambda: fleet.book.backbone_ok)
    await fleet.steps.play(
        lambda: fleet.log_in(1),
        lambda: revoke(fleet),
        lambda: fleet.log_in(2),
        lambda: fleet.log_in(3),
    )
    await eventually(lambda: fleet.log.position().offset == 1)
    running.cancel()
    await asyncio.wait([running])
    return fleet


async def revoke_on_chain(fleet: Fleet) -> None:
    fleet.source.write(BLOCKED)
    fleet.book.on_tick(None)


async def revoke_pending(fleet: Fleet) -> None:
    await fleet.book.lower(block())


@pytest.mark.slow
@pytest.mark.parametrize("revoke", [revoke_on_chain, revoke_pending])
async def test_no_session_of_a_revoked_wallet_lives_in_any_order(
    revoke: Callable[[Fleet], Awaitable[None]],
) -> None:
    outcomes = set()
    for seed in ORDERS:
        fleet = await played(seed, revoke)
        assert fleet.alive == set(), f"seed {seed}: sessions {fleet.alive} of a blocked wallet live"
        outcomes.add(frozenset(fleet.admitted))
    # Three logins share one read, so that all are let in or none is; both orders must occur.
    assert len(outcomes) > 1, "the orders were not different enough to prove anything"


async def test_a_reader_that_is_cancelled_decides_for_itself_only() -> None:
    fleet = Fleet(1)
    running = asyncio.ensure_future(fleet.book.run())
    await eventually(lambda: fleet.book.backbone_ok)
    fleet.steps.open = False
    first = asyncio.ensure_future(fleet.book.get([ALICE]))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(fleet.book.get([ALICE, BOB]))
    await asyncio.sleep(0)
    first.cancel()
    fleet.steps.open = True
    for turn in fleet.steps._waiting:
        if not turn.done():
            turn.set_result(None)
    [alice, _bob] = await second
    assert alice.status is TrustStatus.ACTIVE
    running.cancel()
    await asyncio.wait([running, first])
