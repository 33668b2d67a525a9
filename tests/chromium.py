"""Headless Chromium by its DevTools protocol: pages that run, are asked and are frozen.

async with running_chromium(tmp_path) as browser:
    page = await browser.open("http://127.0.0.1:8000/")
    assert await page.run("return document.title") == "..."
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

PROGRAM: Final = "chromium"
OPTIONS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
WITHIN_S: Final = 20.0
ANSWER_BYTES_MAX: Final = 1 << 24


class PageError(AssertionError):
    """A script in a page threw."""


class Browser:
    """A running Chromium."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded: dict[str, asyncio.Event] = {}

    async def read(self) -> None:
        """Read what the browser says until it is gone."""
        async for text in self._connection:
            message = json.loads(text)
            waiting = self._waiting.pop(message.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            elif message.get("method") == "Page.loadEventFired":
                self._loaded[message["sessionId"]].set()

    async def command(
        self, method: str, session: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Give one DevTools command and return its result."""
        number = next(self._ids)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        await self._connection.send(json.dumps(message))
        async with asyncio.timeout(WITHIN_S):
            answer = await answered
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> "Page":
        """Open *url* in a tab of its own and wait until it is loaded."""
        target = (await self.command("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.command("Target.attachToTarget", targetId=target, flatten=True)
        session: str = attached["sessionId"]
        loaded = self._loaded[session] = asyncio.Event()
        await self.command("Page.enable", session)
        await self.command("Page.navigate", session, url=url)
        async with asyncio.timeout(WITHIN_S):
            await loaded.wait()
        return Page(self, session)


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a DevTools command to this tab."""
        return await self._browser.command(method, self._session, **parameters)

    async def run(self, body: str) -> Any:
        """Run the body of an async function in the page and return what it returns."""
        found = await self.command(
            "Runtime.evaluate",
            expression=f"(async () => {{ {body} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description", details["text"]))
        return found["result"].get("value")

    async def until(self, condition: str, *, within_s: float = WITHIN_S) -> None:
        """Return once an expression is true in the page; it is looked at 20 times a second."""
        try:
            async with asyncio.timeout(within_s):
                while not await self.run(f"return Boolean({condition})"):  # noqa: ASYNC110  (asked)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never true in the page: {condition}") from None


@contextlib.asynccontextmanager
async def running_chromium(folder: Path) -> AsyncIterator[Browser]:
    """Run a fresh browser, with nothing of another's, until the block ends."""
    program = shutil.which(PROGRAM)
    assert program is not None, "Chromium is needed; as root: make tools, or apt install chromium"
    profile = folder / "chromium"
    process = await asyncio.create_subprocess_exec(
        program,
        *OPTIONS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with connect(
            await _address(profile / "DevToolsActivePort"),
            max_size=ANSWER_BYTES_MAX,
            ping_interval=None,
            proxy=None,
        ) as connection:
            browser = Browser(connection)
            reading = asyncio.create_task(browser.read())
            try:
                yield browser
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _address(file: Path) -> str:
    """Wait for the file in which Chromium writes its port and path."""
    async with asyncio.timeout(WITHIN_S):
        while len(lines := await asyncio.to_thread(_lines_of, file)) != 2:  # noqa: ASYNC110  (a file)
            await asyncio.sleep(0.05)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"


def _lines_of(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []
