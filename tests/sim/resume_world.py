"""Hubs that share a trust log and the store of sessions over a slow network, in virtual time."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from app_fakes import FakeSignatures
from decision_fakes import fake_decisions
from fakes import SeededEntropy
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.adapters.memory_trust import MemoryTrustCache
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.login import ProvenLogin
from realtime_hub.auth.model import LogEntry, TrustChange
from realtime_hub.auth.ports import LogBegin
from realtime_hub.auth.service import AuthService
from realtime_hub.auth.source_feed import chain_draft
from realtime_hub.auth.stewardship import ForgetfulMemory, Stewardship
from realtime_hub.auth.trust import TrustBook
from realtime_hub.metrics import Metrics
from realtime_hub.session.context import HubContext, SessionSettings, build_context
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.resume import Family, FamilyState
from realtime_hub.session.resume_store import HUB_ID_BYTES, Move, Standing
from realtime_hub.surfaces.dispatch import Dispatcher
from realtime_protocol.codec import ErrorReply, Push, Reply, decode_answer, decode_reply_body
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits
from realtime_protocol.login_resources import parse_resources
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import (
    LoginReply,
    LoginRequest,
    Position,
    PushType,
    RequestType,
    ResumeReply,
    ResumeSub,
)
from session_fakes import (
    DOMAIN,
    KEEP_MS,
    KEY_SEED,
    URI,
    Client,
    FakePayments,
    FakeQuotes,
    proof,
)
from sim.seeded_loop import SeededClock
from trust_fakes import ADMIN, ALICE, BOB, FakeSource, record

EPOCH: Final = b"epoch--1"
LAG_S: Final = 0.02
"""A hub hears of an entry of the log at most so long after it."""
TRIP_S: Final = 0.004
"""One way to the shared store or log, at most."""


@dataclass
class World:
    """What all hubs share."""

    seed: int
    clock: SeededClock = field(default_factory=SeededClock)
    entries: list[LogEntry] = field(default_factory=list)
    source: FakeSource = field(default_factory=FakeSource)
    cache: MemoryTrustCache = field(default_factory=MemoryTrustCache)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.on_append: Callable[[], None] = lambda: None
        self.families = MemoryResumes(self.clock, keep_ms=KEEP_MS)
        self.followers: dict[bytes, Callable[[bytes, Family | None], None]] = {}
        for wallet in (ALICE, BOB):
            self.source.records[wallet] = record(wallet)

    async def trip(self) -> None:
        """Be on the way for a while."""
        await asyncio.sleep(self.random.random() * TRIP_S)


class WorldLog:
    """One hub's way to the log: it lags, unless it looks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._head = 0
        self._deliver: Callable[[LogEntry], None] = lambda _entry: None

    @property
    def trouble(self) -> str | None:
        return None

    @property
    def answers(self) -> bool:
        return True

    @property
    def born_ms(self) -> int:
        return 0

    @property
    def gaps(self) -> int:
        return 0

    def position(self) -> Position:
        return Position(EPOCH, self._head)

    async def append(self, draft: LogEntry) -> int | None:
        await self._world.trip()
        entry = replace(draft, log_seq=len(self._world.entries) + 1)
        self._world.entries.append(entry)
        self._world.on_append()
        await self._world.trip()
        return entry.log_seq

    async def catch_up(self) -> None:
        await self._world.trip()
        there = len(self._world.entries)
        await self._world.trip()
        self._deliver_to(there)

    async def read_since(self, offset: int) -> list[LogEntry] | None:
        await self._world.trip()
        found = self._world.entries[offset:]
        await self._world.trip()
        return found

    async def chain_sequence(self) -> int | None:
        return 0

    async def take_turn(self) -> bool:
        return True

    async def skip_to(self, chain_sequence: int) -> None:
        return

    async def follow(self, deliver: Callable[[LogEntry], None], begin: LogBegin) -> None:
        self._deliver = deliver
        self._head = len(self._world.entries)
        begin(list(self._world.entries))
        while True:
            await asyncio.sleep(self._world.random.random() * LAG_S)
            self._deliver_to(len(self._world.entries))

    def _deliver_to(self, there: int) -> None:
        while self._head < there:
            self._head += 1
            self._deliver(self._world.entries[self._head - 1])


class WorldStore:
    """One hub's way to the store of sessions."""

    def __init__(self, world: World, hub_id: bytes) -> None:
        self._world = world
        self.hub_id = hub_id

    async def load(self, key: bytes) -> Family | None:
        await self._world.trip()
        found = await self._world.families.load(key)
        await self._world.trip()
        return found

    async def swap(self, moves: Sequence[Move]) -> list[bool]:
        await self._world.trip()
        made = await self._world.families.swap(moves)
        for move, done in zip(moves, made, strict=True):
            if done:
                self._tell(move)
        await self._world.trip()
        return made

    async def renew(self, held: Sequence[tuple[bytes, PublicKey]]) -> list[Standing]:
        await self._world.trip()
        return await self._world.families.renew(held)

    async def now_ms(self) -> int:
        await self._world.trip()
        return self._world.clock.now_ms()

    async def ended_ms(self, wallet: PublicKey) -> int:
        await self._world.trip()
        return 0

    async def end_all(self, wallet: PublicKey) -> int:
        await self._world.trip()
        return await self._world.families.end_all(wallet)

    async def follow(
        self,
        on_family: Callable[[bytes, Family | None], None],
        on_wallet: Callable[[PublicKey, int], None],
    ) -> None:
        self._world.followers[self.hub_id] = on_family
        await asyncio.get_running_loop().create_future()

    def _tell(self, move: Move) -> None:
        before, after = move.before, move.after
        if before is None or after is None or before.state is not FamilyState.HELD:
            return
        loser = before.holder[:HUB_ID_BYTES]
        if loser != self.hub_id and loser in self._world.followers:
            delay_s = self._world.random.random() * TRIP_S
            told = self._world.followers[loser]
            asyncio.get_running_loop().call_later(delay_s, told, move.key, after)


class _Logins:
    """Takes every signature."""

    def __init__(self, clock: SeededClock) -> None:
        self._clock = clock
        self._nonces = 0

    def issue_challenge(self, *, domain: str, uri: str, ttl_ms: int) -> LoginChallenge:
        self._nonces += 1
        issued_ms = self._clock.now_ms() // 1_000 * 1_000
        return LoginChallenge(
            f"{self._nonces:022d}", issued_ms, issued_ms + 20_000, domain, uri, "devnet", "r"
        )

    async def prove(self, challenge: LoginChallenge, **login: Any) -> ProvenLogin:
        key = parse_resources(login["resources"], now_ms=self._clock.now_ms()).key
        return ProvenLogin(
            PublicKey(login["wallet"]),
            ("trust", "pay"),
            self._clock.now_ms() + 3_600_000,
            None if key is None else key.public_key,
        )


class WorldHub:
    """One hub over the world's log and store; everything above them is the real thing."""

    def __init__(self, world: World, number: int) -> None:
        clock, entropy = world.clock, SeededEntropy(number)
        self.log = WorldLog(world)
        self.book = TrustBook(
            log=self.log,
            cache=world.cache,
            source=world.source,
            clock=clock,
            stewardship=Stewardship(ADMIN, ForgetfulMemory()),
        )
        self.auth = AuthService(
            logins=cast(Any, _Logins(clock)),
            book=self.book,
            orders=cast(Any, None),
            challenges=cast(Any, None),
            clock=clock,
            entropy=entropy,
            delegation=Delegation(MemoryGrants(), clock=clock, entropy=entropy),
        )
        self.context: HubContext = build_context(
            auth=self.auth,
            decisions=fake_decisions(self.book, clock),
            quotes=FakeQuotes(),
            payments=FakePayments(),
            signatures=FakeSignatures(),
            resume_store=WorldStore(world, bytes([number]) * HUB_ID_BYTES),
            clock=clock,
            entropy=entropy,
            settings=SessionSettings(uri=URI, origins={}, domain_without_origin=DOMAIN),
            counters=SessionCounters(Metrics()),
            limits=Limits(requests_per_s=1_000, requests_burst=10_000),
        )
        self.dispatcher = Dispatcher(self.context)
        self.book.listeners.append(self._on_change)

    def _on_change(self, change: TrustChange) -> None:
        self.context.fanout.on_trust_change(change)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.book.run())
            group.create_task(self.context.tasks.run())
            group.create_task(self.context.fanout.run())
            group.create_task(self.context.resumes.run())

    async def change(self, wallet: PublicKey, score: int) -> None:
        """Let the chain give a wallet another score."""
        changed = record(wallet, score=score, sequence=score + 1)
        await self.log.append(chain_draft(changed, now_ms=self.context.clock.now_ms()))

    def client(self) -> "WorldClient":
        return WorldClient(Client(cast(Any, self)))


class WorldClient:
    """A client's end that waits in virtual time."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.pushes: list[Push] = []

    @property
    def close_code(self) -> int | None:
        return self.client.wire.close_code

    @property
    def alive(self) -> bool:
        """Whether the hub serves this connection as a session."""
        return self.client.live.machine.logged_in and self.close_code is None

    async def ask(self, kind: RequestType, body: object) -> Any:
        """Return the reply's body, the error, or None when the connection was closed instead."""
        sent = self.client.send(kind, body)
        while True:
            found = self._take(sent)
            if found is not None:
                return found
            if self.close_code is not None:
                return self._take(sent)
            await asyncio.sleep(0.0001)

    async def log_in(self, wallet: PublicKey = ALICE) -> LoginReply:
        request: LoginRequest = proof(wallet, key_seed=KEY_SEED)
        reply = await self.ask(RequestType.LOGIN, request)
        assert isinstance(reply, LoginReply), reply
        return reply

    async def resume(
        self, token: bytes, sid: str, subs: Sequence[ResumeSub] = ()
    ) -> ResumeReply | Any:
        request = self.client.resume_request(token, sid, subs)
        return await self.ask(RequestType.RESUME, request)

    def offsets(self) -> list[int]:
        """Return the places of the changes that were told."""
        self._take(0)
        return [push.offset for push in self.pushes if push.type is PushType.TRUST_CHANGED]

    def _take(self, wanted: int) -> Any:
        """Keep pushes; return the answer to request *wanted*, leaving what follows it."""
        sent = self.client.wire.sent
        while sent:
            answer = decode_answer(sent.pop(0))
            if isinstance(answer, Push):
                self.pushes.append(answer)
            elif isinstance(answer, Reply) and answer.id == wanted:
                return decode_reply_body(answer)
            elif isinstance(answer, ErrorReply) and answer.id == wanted:
                return answer.error
        return None


@asynccontextmanager
async def running_hubs(world: World, count: int) -> AsyncIterator[list[WorldHub]]:
    """Run hubs until the block ends."""
    hubs = [WorldHub(world, number + 1) for number in range(count)]
    running = [asyncio.create_task(hub.run(), name=f"hub {n}") for n, hub in enumerate(hubs)]
    try:
        await asyncio.sleep(0.1)
        assert all(hub.book.backbone_ok for hub in hubs)
        yield hubs
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
