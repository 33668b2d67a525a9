"""Two whole hubs on one Redis: one is killed, its sessions go on at the other."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cut_proxy import CutProxy, running_proxy
from realtime_cli.stack import Child, Stack, StackInfo, StackOptions
from realtime_client import (
    ErrorCode,
    LoginError,
    Reconnect,
    Resumed,
    Session,
    SessionEvent,
    TrustWatch,
    Wallet,
    WalletBlockedError,
    connect,
)
from realtime_client.link import Link
from realtime_protocol.qubic.contract_abi import ChainStatus
from redis_fixture import running_redis
from running_stack import demo_seed, set_trust

pytestmark = pytest.mark.slow

TICK_MS = 400
STORY_S_MAX = 60.0
WITHIN_S = 15.0
QUICK = Reconnect(first_s=0.02, longest_s=0.2, tries_max=200)


class CountingWallet(Wallet):
    """Counts how often the wallet had to sign."""

    signatures = 0

    async def sign(self, to_sign: Any) -> bytes:
        self.signatures += 1
        return await super().sign(to_sign)


@dataclass
class Fleet:
    """Two hubs behind one address, over one chain and one Redis."""

    second: Child
    proxy: CutProxy
    first_info: StackInfo
    """Of the hub that stays; it owns payments and the administrator's orders."""
    second_url: str

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.proxy.port}/v1"

    def point_at(self, url: str) -> None:
        """Send new connections to the hub with that URL."""
        self.proxy.target = ("127.0.0.1", int(url.split(":")[2].partition("/")[0]))

    def kill_second(self) -> None:
        """As the kernel does when memory runs out."""
        self.second.stopping = True
        self.second._process.kill()
        self.point_at(self.first_info.rest_url)

    def wallet(self, number: int) -> CountingWallet:
        return CountingWallet.from_seed(demo_seed(self.first_info, number))


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    async with asyncio.timeout(STORY_S_MAX), contextlib.AsyncExitStack() as parts:
        (tmp_path / "redis").mkdir()
        key = tmp_path / "fleet.key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        redis = parts.enter_context(running_redis(tmp_path / "redis"))
        proxy = await parts.enter_async_context(running_proxy())
        monkeypatch.setenv("REALTIME_HUB_REDIS_URL", redis.url)
        monkeypatch.setenv("REALTIME_HUB_FLEET_KEY_FILE", str(key))
        monkeypatch.setenv("REALTIME_HUB_PUBLIC_URI", f"ws://127.0.0.1:{proxy.port}/v1")
        monkeypatch.setenv("REALTIME_HUB_NATIVE_DOMAIN", f"127.0.0.1:{proxy.port}")
        devnet = ["--node-port", "0", "--http-port", "0", "--tick-ms", str(TICK_MS)]
        ports = ["--port", "0", "--admin-port", "0"]
        options = StackOptions(
            [*devnet, "--state", str(tmp_path / "devnet")],
            [*ports, "--state", str(tmp_path / "first")],
            logs=tmp_path / "logs",
        )
        stack = await parts.enter_async_context(Stack(options))
        second = await Child.start(
            "serve",
            [
                *("--node", stack.info.node, "--admin", stack.info.admin, *ports),
                *("--state", str(tmp_path / "second"), "--log-file", str(tmp_path / "logs/2.log")),
            ],
        )
        parts.push_async_callback(second.stop)
        facts = await second.ready()
        found = Fleet(second, proxy, stack.info, facts["rest_url"])
        found.point_at(facts["rest_url"])
        yield found


async def event(session: Session, kind: type[SessionEvent]) -> Any:
    seen = []
    try:
        async with asyncio.timeout(WITHIN_S):
            async for found in session.events:
                seen.append(found)
                if isinstance(found, kind):
                    return found
    except TimeoutError:
        raise AssertionError(f"only {seen[-5:]} within {WITHIN_S} s") from None
    raise AssertionError(f"the session ended: {await session.wait_closed()}")


async def order(fleet: Fleet, number: int, status: ChainStatus, *, score: int = 0) -> None:
    """Have the administrator change a demo wallet's trust."""
    wallet = fleet.first_info.wallets[number]
    await asyncio.to_thread(set_trust, fleet.first_info, wallet, status, score=score)


async def set_score(fleet: Fleet, number: int, score: int) -> None:
    await order(fleet, number, ChainStatus.ACTIVE, score=score)


@contextlib.asynccontextmanager
async def session_of(fleet: Fleet, wallet: Wallet) -> AsyncIterator[Session]:
    """Log in at the second hub, which may need a moment to know the chain."""
    while True:
        try:
            opened = connect(fleet.url, wallet, reconnect=QUICK)
            session = await opened.__aenter__()
        except LoginError as error:
            if error.code != ErrorCode.BACKBONE_UNAVAILABLE:
                raise
            await asyncio.sleep(0.1)
        else:
            break
    try:
        yield session
    finally:
        await opened.__aexit__(None, None, None)


async def score_of(watch: TrustWatch, score: int) -> None:
    """Wait until the watch tells of that score, and of none twice."""
    seen = set()
    while True:
        async with asyncio.timeout(WITHIN_S):
            change = await anext(watch)
        key = (change.seq, change.score, change.pending)
        assert key not in seen
        seen.add(key)
        if change.score == score:
            return


async def test_a_session_of_a_killed_hub_goes_on_at_the_other_without_its_wallet(
    fleet: Fleet,
) -> None:
    wallet = fleet.wallet(0)
    async with session_of(fleet, wallet) as session:
        signed = wallet.signatures
        watched = fleet.first_info.wallets[1]
        watch = await session.trust.subscribe([watched])
        await set_score(fleet, 1, 70)
        await score_of(watch, 70)
        sid = session.login.sid
        fleet.kill_second()
        await set_score(fleet, 1, 60)
        resumed = await event(session, Resumed)
        assert resumed.gaps == 0
        await score_of(watch, 60)
        assert session.login.sid == sid
        assert (await session.ping()).backbone_ok
        assert wallet.signatures == signed


async def test_a_wallet_that_was_blocked_while_its_hub_was_dead_stays_out(fleet: Fleet) -> None:
    wallet = fleet.wallet(0)
    async with session_of(fleet, wallet) as session:
        signed = wallet.signatures
        await session.ping()
        fleet.proxy.cut()
        fleet.kill_second()
        await order(fleet, 0, ChainStatus.BLOCKED)
        fleet.proxy.mend()
        ended = await asyncio.wait_for(session.wait_closed(), WITHIN_S)
        assert isinstance(ended, WalletBlockedError)
        assert wallet.signatures == signed


async def test_a_session_that_is_taken_up_at_another_hub_ends_at_the_first(fleet: Fleet) -> None:
    """A connection whose client is gone, while its hub still believes in it."""
    wallet = fleet.wallet(0)
    async with session_of(fleet, wallet) as session:
        signed = wallet.signatures
        await session.ping()
        fleet.point_at(fleet.first_info.rest_url)
        taken = await Link.open(wallet, session._options, ticket=session._ticket)
        assert taken.resumed is not None
        assert "4508" in str(await session.wait_closed())
        await taken.close()
        assert wallet.signatures == signed


async def test_a_logout_everywhere_reaches_the_other_hub(fleet: Fleet) -> None:
    wallet = fleet.wallet(0)
    async with session_of(fleet, wallet) as first:
        fleet.point_at(fleet.first_info.rest_url)
        async with connect(fleet.url, wallet, reconnect=QUICK) as second:
            await second.logout(everywhere=True)
            assert "4504" in str(await first.wait_closed())
