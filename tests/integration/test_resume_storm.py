"""A thousand sessions whose hub is cut off come back at another one over a real Redis."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from realtime_hub.adapters.redis_resumes import RedisResumes
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.system import SystemEntropy
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits
from realtime_protocol.login_resources import encode_key
from realtime_protocol.messages import (
    PushType,
    RequestType,
    ResumeReply,
    ResumeRequest,
    ResumeSub,
    TrustChanged,
    TrustStatus,
)
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    sign_with_session_key,
)
from redis_fixture import running_redis
from waiting import eventually
from ws_hub import BOB, EPOCH, Client, ServedHub, served_hub

pytestmark = pytest.mark.slow
logger = logging.getLogger(__name__)

SESSIONS = 1_000
AT_ONCE = 100
CHANGES = 20
WITHIN_S = 60.0
ROOMY = Limits(
    requests_per_s=10_000,
    requests_per_ip_per_s=100_000,
    requests_per_wallet_per_s=100_000,
    requests_burst=10_000,
    upgrades_per_ip_per_s=100_000,
    sessions_per_ip_max=100_000,
)


@dataclass
class Watcher:
    """One client: what it was told, and with what it comes back."""

    number: int
    token: bytes = b""
    sid: str = ""
    sub: int = 0
    connections: list[Client] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    @property
    def key_seed(self) -> bytes:
        return self.number.to_bytes(32)

    async def log_in(self, client: Client) -> None:
        wallet = PublicKey((self.number + 1).to_bytes(32))
        line = encode_key(session_public_key(self.key_seed))
        login = await client.log_in(wallet, resources=[line])
        self.token, self.sid = login.resume_token, login.sid
        self.sub = (await client.subscribe("trust", wallets=[BOB])).sub
        self.connections.append(client)

    async def resume(self, client: Client) -> None:
        challenge = client.challenge
        body = resume_body(
            domain=challenge.domain, uri=challenge.uri, sid=self.sid, nonce=challenge.nonce
        )
        proof = sign_with_session_key(self.key_seed, Kind.RESUME, body)
        last = self.offsets[-1] if self.offsets else 0
        row = ResumeSub(self.sub, "trust", EPOCH, last, [BOB])
        reply = await client.ask(RequestType.RESUME, ResumeRequest(self.token, proof, [row]))
        assert isinstance(reply, ResumeReply)
        assert reply.sid == self.sid
        self.token = reply.resume_token
        self.connections.append(client)

    async def read(self, until: int) -> None:
        """Take pushes until the one at that offset."""
        client = self.connections[-1]
        while not self.offsets or self.offsets[-1] < until:
            push = await client.push(PushType.TRUST_CHANGED)
            assert isinstance(push.body, TrustChanged)
            self.offsets.append(push.offset)


async def all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all at once; the first that fails ends the others."""
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def ready() -> None:
    return


@pytest.fixture
async def hubs(tmp_path: Path) -> AsyncIterator[tuple[ServedHub, ServedHub]]:
    async with AsyncExitStack() as parts:
        redis = parts.enter_context(running_redis(tmp_path))
        stores = []
        for _ in range(2):
            client = connect(redis.url)
            parts.push_async_callback(client.aclose)
            stores.append(
                RedisResumes(
                    client,
                    network_id=lambda: bytes(32),
                    fleet_key=b"k" * 32,
                    entropy=SystemEntropy(),
                    wait_ready=ready,
                    keep_ms=135_000,
                    session_ms_max=3_600_000,
                )
            )
        first = await parts.enter_async_context(served_hub(ROOMY, resume_store=stores[0]))
        second = await parts.enter_async_context(
            served_hub(ROOMY, resume_store=stores[1], auth=first.auth, seed=2)
        )
        yield first, second


async def test_a_thousand_sessions_come_back_at_another_hub_with_nothing_lost_or_told_twice(
    hubs: tuple[ServedHub, ServedHub],
) -> None:
    first, second = hubs
    turns = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as connections:

        async def open_at(hub: ServedHub) -> Client:
            return await connections.enter_async_context(hub.client())

        async def begin(watcher: Watcher) -> None:
            async with turns:
                await watcher.log_in(await open_at(first))

        async def come_back(watcher: Watcher) -> None:
            async with turns:
                await watcher.resume(await open_at(second))

        watchers = [Watcher(number) for number in range(SESSIONS)]
        await all_of(begin(watcher) for watcher in watchers)
        for _ in range(CHANGES):
            first.auth.change(BOB, TrustStatus.ACTIVE)
        await all_of(watcher.read(CHANGES // 2) for watcher in watchers)
        for watcher in watchers:
            watcher.connections[-1].websocket.transport.abort()
        await eventually(lambda: not first.context.registry.connections)
        for _ in range(CHANGES):
            first.auth.change(BOB, TrustStatus.ACTIVE)
        began_s = time.perf_counter()
        await all_of(come_back(watcher) for watcher in watchers)
        took_s = time.perf_counter() - began_s
        logger.info("%d sessions came back in %.2f s", SESSIONS, took_s)
        first.auth.change(BOB, TrustStatus.ACTIVE)
        last = 2 * CHANGES + 1
        await all_of(watcher.read(last) for watcher in watchers)
        assert all(each.offsets == list(range(1, last + 1)) for each in watchers)
        assert len({each.token for each in watchers}) == SESSIONS
        assert second.metrics.resumes.labels("ok")._value.get() == SESSIONS
