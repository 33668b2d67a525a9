"""The JS client in a real page: headless Chromium, the example's files, a live hub."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chromium import Browser, Page, running_chromium
from cut_proxy import CutProxy, running_proxy
from realtime_cli.stack import StackInfo
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic.contract_abi import ChainStatus
from running_stack import running_stack, set_trust

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TICK_MS = 400
"""Long enough that a busy machine signs in time for its tick."""
STORY_S_MAX = 90.0

# In each page: a session of one wallet, and what became of it.
START = """
  const { connect } = await import("@qubic-realtime/client");
  const { demoWallet } = await import("/signer.js");
  window.client = await import("@qubic-realtime/client");
  window.told = [];
  const { signer } = await demoWallet(%d);
  window.signatures = 0;
  window.signer = { ...signer, sign: (text) => (signatures++, signer.sign(text)) };
  window.session = await connect(%r, window.signer);
  for (const name of ["reconnecting", "reconnected", "closed"]) {
    session.on(name, ({ why, resumed }) => told.push({ name, code: why?.code ?? null, resumed }));
  }
  (async () => {
    for await (const event of await session.trust.subscribe(%s)) {
      if (event.kind === "changed") told.push({ name: "changed", status: event.change.status });
      if (event.kind === "snapshot") told.push({ name: "snapshot" });
    }
  })().catch(() => {});
"""
STORED = """
  return {
    local: localStorage.length, session: sessionStorage.length, cookies: document.cookie,
    databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length,
  };
"""
NOTHING_STORED = {"local": 0, "session": 0, "cookies": "", "databases": 0, "caches": 0}


@dataclass(frozen=True, slots=True)
class World:
    """A hub behind a proxy, a server of pages, a browser."""

    info: StackInfo
    proxy: CutProxy
    pages: str
    browser: Browser

    @property
    def hub(self) -> str:
        """The hub's address as pages open it."""
        return f"ws://127.0.0.1:{self.proxy.port}/v1"

    async def page(self, *, wallet: int = 0, watched: str = "null") -> Page:
        """Open a page with a session of a demo wallet that follows its own trust, or others'."""
        page = await self.browser.open(self.pages)
        await page.run(START % (wallet, self.hub, watched))
        await page.until("told.some(({ name }) => name === 'snapshot')")
        return page

    async def set_trust(self, wallet: int, status: ChainStatus, *, score: int = 0) -> None:
        """Have the administrator change a demo wallet's trust."""
        await asyncio.to_thread(
            set_trust, self.info, self.info.wallets[wallet], status, score=score
        )


@contextlib.asynccontextmanager
async def page_server(demo: Path) -> AsyncIterator[str]:
    """Run the example's server on a free port; yield its address."""
    assert (ROOT / "clients/js/dist/index.js").exists(), "the JS client isn't built; run: make js"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples/web/serve.py"),
        "--port=0",
        f"--demo={demo}",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with asyncio.timeout(STORY_S_MAX), contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(running_proxy())
        pages = await stack.enter_async_context(page_server(tmp_path / "devnet" / "demo.json"))
        monkeypatch.setenv("REALTIME_HUB_ORIGINS", f"{pages}={pages.partition('://')[2]}")
        monkeypatch.setenv("REALTIME_HUB_PUBLIC_URI", f"ws://127.0.0.1:{proxy.port}/v1")
        info = await stack.enter_async_context(running_stack(tmp_path, tick_ms=TICK_MS))
        port = int(info.rest_url.split(":")[2].partition("/")[0])
        proxy.target = ("127.0.0.1", port)
        browser = await stack.enter_async_context(running_chromium(tmp_path))
        yield World(info, proxy, pages, browser)


async def test_the_example_page_logs_in_quotes_pays_and_logs_out(world: World) -> None:
    page = await world.browser.open(f"{world.pages}/?hub={world.hub}")
    await page.run("document.getElementById('connect').click()")
    shown = "document.getElementById('{}').textContent.startsWith('{}')"
    await page.until(shown.format("session", "open as"))
    await page.until(shown.format("trust", "ACTIVE, score 80"))
    await page.until(shown.format("quote", "direct, fee 0 QU"))
    await page.run("document.getElementById('pay').click()")
    await page.until(shown.format("payment", "SETTLED"))
    assert await page.run(STORED) == NOTHING_STORED
    await page.run("document.getElementById('leave').click()")
    await page.until(shown.format("session", "closed"))


async def test_a_page_resumes_after_a_cut_without_loss_and_stores_nothing(world: World) -> None:
    watched = "[client.publicKeyOf((await (await fetch('/wallet', "
    watched += "{ method: 'POST', body: JSON.stringify({ wallet: 0 }) })).json()).payee)]"
    page = await world.page(watched=watched)
    world.proxy.cut()
    await page.until("told.some(({ name }) => name === 'reconnecting')")
    await world.set_trust(1, ChainStatus.BLOCKED)
    world.proxy.mend()
    await page.until("told.some(({ name, resumed }) => name === 'reconnected' && resumed)")
    changed = "told.filter(({ name }) => name === 'changed')"
    await page.until(f"{changed}.length")
    assert await page.run(f"return {changed}") == [
        {"name": "changed", "status": TrustStatus.BLOCKED}
    ]
    await page.run("await session.trust.get([signer.publicKey])")
    assert await page.run("return signatures") == 1  # The wallet wasn't asked again.
    assert await page.run(STORED) == NOTHING_STORED


async def test_a_hidden_page_gets_its_pushes_when_it_is_shown_again(world: World) -> None:
    page = await world.page(wallet=1)
    await page.command("Page.setWebLifecycleState", state="frozen")
    await world.set_trust(1, ChainStatus.ACTIVE, score=50)
    await page.command("Page.setWebLifecycleState", state="active")
    await page.until("told.some(({ name }) => name === 'changed')")
    assert await page.run("return (await session.trust.get([signer.publicKey]))[0].score") == 50


async def test_each_tab_of_a_blocked_wallet_is_told_and_closed(world: World) -> None:
    tabs = [await world.page(wallet=2) for _ in range(3)]
    other = await world.page(wallet=0)
    frozen = tabs.pop()
    await frozen.command("Page.setWebLifecycleState", state="frozen")
    await world.set_trust(2, ChainStatus.BLOCKED)
    for tab in tabs:
        await tab.until("told.some(({ name }) => name === 'closed')")
        assert await tab.run("return told.filter(({ name }) => name !== 'snapshot')") == [
            {"name": "changed", "status": TrustStatus.BLOCKED},
            {"name": "closed", "code": CloseCode.WALLET_BLOCKED},
        ]
    again = "return client.connect(%r, signer).then(() => 0, ({ code }) => code)"
    assert await tabs[0].run(again % world.hub) == ErrorCode.WALLET_BLOCKED
    await frozen.command("Page.setWebLifecycleState", state="active")
    # It may have been cut before it could read why; then the hub refuses it when it comes back.
    await frozen.until("told.some(({ name }) => name === 'closed')")
    closed = await frozen.run("return told.at(-1).code")
    assert closed in (CloseCode.WALLET_BLOCKED, ErrorCode.WALLET_BLOCKED)
    await other.run("await session.trust.get([signer.publicKey])")


async def test_a_page_of_another_origin_is_not_let_in(world: World, tmp_path: Path) -> None:
    async with page_server(world.info.demo_path) as elsewhere:
        page = await world.browser.open(elsewhere)
        opened = """
          const socket = new WebSocket(%r, ["realtime.qubic.v1.msgpack"]);
          return new Promise((resolve) => {
            socket.onopen = () => resolve(true);
            socket.onerror = () => resolve(false);
          });
        """
        assert await page.run(opened % world.hub) is False


BY_KEY = """
  window.client = await import("@qubic-realtime/client");
  const { demoWallet } = await import("/signer.js");
  const { signer } = await demoWallet(0);
  window.signatures = 0;
  window.signer = { ...signer, sign: (text) => (signatures++, signer.sign(text)) };
  window.delegate = await client.Delegate.open({ name: "app" });
  window.session = await client.connect(%r, window.signer, { delegate });
  window.endedWith = null;
  session.on("closed", ({ why }) => { window.endedWith = why?.code ?? 0; });
"""
KEPT = """
  const opening = indexedDB.open("qubic-realtime", 1);
  await new Promise((resolve) => { opening.onsuccess = resolve; });
  const asked = opening.result.transaction("delegates").objectStore("delegates").get("app");
  await new Promise((resolve) => { asked.onsuccess = resolve; });
  opening.result.close();
  const { privateKey } = asked.result.pair;
  const exported = await crypto.subtle.exportKey("pkcs8", privateKey).then(() => true, () => false);
  return { extractable: privateKey.extractable, exported };
"""


async def test_a_key_in_indexeddb_logs_in_without_a_prompt_until_it_is_revoked(
    world: World,
) -> None:
    first = await world.browser.open(world.pages)
    await first.run(BY_KEY % world.hub)
    assert await first.run("return [delegate.keptIn, signatures]") == ["indexeddb", 1]
    second = await world.browser.open(world.pages)
    await second.run(BY_KEY % world.hub)
    assert await second.run("return signatures") == 0
    assert await second.run(KEPT) == {"extractable": False, "exported": False}

    wallet = await world.page()
    assert await wallet.run("return (await session.keys.list()).length") == 1
    assert await wallet.run("return session.keys.revoke()") == 1
    for page in (first, second):
        await page.until("endedWith !== null")
        assert await page.run("return endedWith") == CloseCode.SESSION_REVOKED
    third = await world.browser.open(world.pages)
    await third.run(BY_KEY % world.hub)
    assert await third.run("return signatures") == 1  # Another key, by another prompt.


SPEND = """
  const { demoWallet } = await import("/signer.js");
  const spender = (await demoWallet(1)).signer;
  const spending = new client.Spending(spender, { maxQu: 700 });
  const delegate = await client.Delegate.open({ spending });
  window.asked = 0;
  const owner = { ...signer, signTransaction: (tx) => (asked++, signer.signTransaction(tx)) };
  const paying = await client.connect(%r, owner, { delegate });
  const wish = { destination: client.publicKeyOf(%r), amountQu: 600 };
  const payment = await paying.pay(wish, { source: spending, signWithinMs: 1_000 });
  const { state } = await payment.end();
  const refused = await paying.pay(wish, { source: spending }).catch(({ code }) => code);
  const { spentQu } = await paying.spendLeft(spending);
  return { settled: state === client.PaymentState.SETTLED, refused, spentQu, asked };
"""


async def test_a_page_pays_from_a_spending_wallet_without_asking_the_owner(world: World) -> None:
    page = await world.page()
    assert await page.run(SPEND % (world.hub, world.info.wallets[2])) == {
        "settled": True, "refused": "spending", "spentQu": 600, "asked": 0,
    }  # fmt: skip
