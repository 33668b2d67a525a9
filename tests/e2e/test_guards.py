"""Other people's APIs behind a guard, a feed that follows every wallet, and their hub, for real."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpx
import pytest

from guard_world import GuardWorld, guard_world, prove_wallet, request
from realtime_cli.hub_access import get_json
from realtime_client.trust_feed import FeedStaleError, TrustFeed
from realtime_hub.adapters.sqlite_apps import SqliteApps
from realtime_hub.apps.model import AppBlock
from realtime_hub.wiring.apps import APPS_FILE
from realtime_protocol.identity import PublicKey, parse_identity
from realtime_protocol.messages import TrustReason, TrustStatus
from realtime_protocol.qubic.contract_abi import ChainStatus
from running_stack import set_trust
from waiting import eventually

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples" / "guards"


@contextlib.asynccontextmanager
async def program(
    words: Sequence[str], world: GuardWorld, said: str, **environment: str
) -> AsyncIterator[str]:
    """Run a guarded API until the block ends; return its URL, which stands behind *said*."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdout=PIPE,
        stderr=STDOUT,
        env={
            **os.environ,
            "HUB_URL": world.info.url,
            "REALTIME_API_KEY": world.api_key,
            **environment,
        },
    )
    assert process.stdout is not None
    try:
        lines = []
        async with asyncio.timeout(60):
            while line := (await process.stdout.readline()).decode():
                lines.append(line)
                if found := re.search(said + r"(http://[0-9.:]+)", line):
                    yield found[1]
                    break
            else:
                raise AssertionError("".join(lines))
    finally:
        process.terminate()
        await process.wait()


async def hold_to_the_rules(world: GuardWorld, url: str) -> None:
    """What every guard does, in whatever language it is written."""
    account = f"{url}/account"
    assert (await asyncio.to_thread(request, account))[0] == 401
    wallet = world.info.wallets[0]
    bare = {"X-Wallet-Address": wallet}
    assert (await asyncio.to_thread(lambda: request(account, **bare)))[0] == 401

    status, session = await prove_wallet(world, 0, url)
    assert status == 200, session
    proven = {"Authorization": f"Bearer {session['token']}"}
    status, body = await asyncio.to_thread(lambda: request(account, **proven))
    assert (status, body["wallet"]) == (200, wallet)

    await asyncio.to_thread(set_trust, world.info, wallet, ChainStatus.BLOCKED)

    async def is_refused() -> bool:
        return (await asyncio.to_thread(lambda: request(account, **proven)))[0] == 403

    await soon(is_refused)


async def soon(found: Callable[[], Awaitable[bool]]) -> None:
    """Wait until *found* says so; TimeoutError after 5 s."""
    async with asyncio.timeout(5):
        while not await found():  # noqa: ASYNC110  (what is asked is another process)
            await asyncio.sleep(0.02)


async def test_an_asgi_app_refuses_a_blocked_wallet_by_push(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES / "asgi"), "--port", "0"]
    async with (
        guard_world(tmp_path) as world,
        program([*words, "app:app"], world, "running on ") as url,
    ):
        await hold_to_the_rules(world, url)


async def test_the_feed_example_shows_a_wallet_and_its_change(tmp_path: Path) -> None:
    async with guard_world(tmp_path) as world:
        wallet = world.info.wallets[0]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES.parent / "trust_feed.py"),
            world.info.url,
            wallet,
            stdout=PIPE,
            env={**os.environ, "REALTIME_API_KEY": world.api_key},
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(20):
                assert (await process.stdout.readline()).decode().split()[:2] == [wallet, "ACTIVE"]
                await asyncio.to_thread(set_trust, world.info, wallet, ChainStatus.BLOCKED)
                assert (await process.stdout.readline()).decode().split()[:2] == [wallet, "BLOCKED"]
        finally:
            process.terminate()
            await process.wait()


async def test_an_express_app_refuses_a_blocked_wallet_by_push(tmp_path: Path) -> None:
    folder = EXAMPLES / "express"
    assert (folder / "node_modules").exists(), "make js gets what the Express example needs"
    words = ["node", str(folder / "app.mjs")]
    async with (
        guard_world(tmp_path) as world,
        program(words, world, "serving on ", PORT="0") as url,
    ):
        await hold_to_the_rules(world, url)


async def test_a_go_service_refuses_a_blocked_wallet_by_push(tmp_path: Path) -> None:
    go = shutil.which("go")
    assert go is not None, "make tools gets Go (apt-get install golang-go)"
    words = [go, "build", "-o", str(tmp_path / "guard"), "."]
    built = await asyncio.create_subprocess_exec(
        *words,
        cwd=EXAMPLES / "go",
        env={**os.environ, "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod"},
    )
    assert await built.wait() == 0
    async with (
        guard_world(tmp_path) as world,
        program([str(tmp_path / "guard")], world, "serving on ", PORT="0") as url,
    ):
        await hold_to_the_rules(world, url)


async def test_a_feed_hears_of_blocks_of_the_hub_and_of_its_app_and_goes_stale_with_its_hub(
    tmp_path: Path,
) -> None:
    async with guard_world(tmp_path) as world:
        alice, bob = (parse_identity(one) for one in world.info.wallets[:2])
        async with TrustFeed(world.info.url, world.api_key, stale_after_s=1.5) as feed:
            assert (await feed.get(alice)).status is TrustStatus.ACTIVE
            assert (await feed.get(bob)).status is TrustStatus.ACTIVE

            async def blocks(wallet: PublicKey) -> bool:
                return (await feed.get(wallet)).status is TrustStatus.BLOCKED

            first = world.info.wallets[0]
            await asyncio.to_thread(set_trust, world.info, first, ChainStatus.BLOCKED)
            await soon(lambda: blocks(alice))
            seq = (await feed.get(alice)).seq

            store = SqliteApps(world.state / APPS_FILE)
            store.put_block(AppBlock("shop", bob, 7, 1))
            store.close_file()
            await soon(lambda: blocks(bob))
            assert (await feed.get(bob)).reason == TrustReason.BLOCKED_BY_APP

            # The feed acknowledges each second: then the hub knows that its backend has seen it.
            path = f"{world.info.admin_url}/admin/v1/revocations/{seq}"

            async def is_covered() -> bool:
                seen = await asyncio.to_thread(get_json, path)
                assert seen["owed"] == 1
                return (seen["seen"], seen["waiting"]) == (1, 0)

            await soon(is_covered)
            shown = subprocess_output(
                "trust", "coverage", str(seq), "--admin-url", world.info.admin_url
            )
            assert "1 have seen it, 0 were closed, 0 still wait" in await shown

            status, answer = await asyncio.to_thread(
                lambda: request(
                    f"{world.info.rest_url}/challenge",
                    {"wallet": world.info.wallets[1]},
                    Authorization=f"Bearer {world.api_key}",
                )
            )
            assert status == 200
            assert answer["text"].startswith("shop.example wants you to sign in")

            await hub_is_gone(world, feed)


async def subprocess_output(*words: str) -> str:
    """Run `realtime` and return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "realtime_cli", *words, stdout=PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return out.decode()


async def hub_is_gone(world: GuardWorld, feed: TrustFeed) -> None:
    """A feed whose key was revoked knows no more than one whose hub is gone: nothing."""
    store = SqliteApps(world.state / APPS_FILE)
    store.end_key("0badcafe", at_ms=1, revoked=True)
    store.close_file()
    await eventually(lambda: feed.ended is not None, within_s=10)
    assert not feed.is_fresh
    with pytest.raises(FeedStaleError):
        await feed.get(parse_identity(world.info.wallets[0]))


async def test_a_stream_over_http_tells_of_changes_and_of_what_was_missed(tmp_path: Path) -> None:
    async with guard_world(tmp_path) as world, httpx.AsyncClient(timeout=20) as client:
        url = f"{world.info.rest_url}/trust/stream"
        assert (await client.get(url)).status_code == 401
        key = {"Authorization": f"Bearer {world.api_key}"}
        wallet = world.info.wallets[0]
        last = ""
        async with client.stream("GET", url, headers=key) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for name, place, _ in events(answer):
                last = place or last
                if name == "checkpoint":
                    break
        await asyncio.to_thread(set_trust, world.info, wallet, ChainStatus.BLOCKED)
        again = {**key, "Last-Event-ID": last}
        async with client.stream("GET", url, headers=again) as answer:
            seen = []
            async for name, _, data in events(answer):
                seen.append(name)
                if name == "trust":
                    assert (data["wallet"], data["status"]) == (wallet, "BLOCKED")
                    break
            assert seen == ["begin", "trust"]
        bad = {**key, "Last-Event-ID": "nonsense"}
        assert (await client.get(url, headers=bad)).status_code == 400


async def events(
    answer: httpx.Response,
) -> AsyncIterator[tuple[str, str | None, dict[str, object]]]:
    """Read server-sent events: name, id, data."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields["event"], fields.get("id"), json.loads(fields["data"])
            fields = {}
