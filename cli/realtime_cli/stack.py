"""Hub and devnet as one process tree: started in order, stopped together.

Each runs in a process of its own, so that the devnet's hashing never holds up the hub's loop. The
children have their own process groups, since a Ctrl-C is this process's to pass on, and they end by
themselves when this process is killed.
"""

import asyncio
import contextlib
import json
import os
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from realtime_cli.errors import CliError

READY_S_MAX: Final = 30.0
STOP_S_MAX: Final = 1.7
SERVING_S_MAX: Final = 10.0
READY_BYTES_MAX: Final = 65_536
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How the two are started: options of `realtime devnet` and `realtime serve`."""

    devnet: Sequence[str] = ()
    hub: Sequence[str] = ()
    admin: str | None = None
    """Who may change trust; the devnet's administrator by default."""
    logs: Path = Path(".realtime/logs")


@dataclass(frozen=True, slots=True)
class StackInfo:
    """Where everything is."""

    url: str
    rest_url: str
    admin_url: str
    node: str
    http: str
    admin: str
    wallets: tuple[str, ...]
    demo_path: Path


class Stack:
    """Hub and devnet. Use it with ``async with``; leaving stops both."""

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self._devnet: Child | None = None
        self._hub: Child | None = None
        self._hub_changed = asyncio.Event()
        self.info: StackInfo

    async def __aenter__(self) -> "Stack":
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start(self) -> None:
        logs = self._options.logs
        self._devnet = await Child.start(
            "devnet", [*self._options.devnet, "--log-file", str(logs / "devnet.log")]
        )
        network = await self._devnet.ready()
        hub = await self._start_hub(network)
        self.info = StackInfo(
            hub["url"],
            hub["rest_url"],
            hub["admin_url"],
            network["node"],
            network["http"],
            network["admin"],
            tuple(network["wallets"]),
            Path(network["demo_path"]),
        )

    async def _start_hub(self, network: dict[str, Any]) -> dict[str, Any]:
        admin = self._options.admin or network["admin"]
        arguments = ["--node", network["node"], "--admin", admin, *self._options.hub]
        arguments += ["--log-file", str(self._options.logs / "hub.log")]
        self._hub = await Child.start("serve", arguments)
        hub = await self._hub.ready()
        await _until_serving(hub["rest_url"], self._hub)
        return hub

    async def restart_hub(self) -> None:
        """Stop the hub and start it again, over the devnet that runs on; CliError when it can't."""
        if self._devnet is None:
            raise CliError("the stack isn't running")
        if self._hub is not None:
            await self._hub.stop()
        try:
            await self._start_hub(await self._devnet.ready())
        except CliError:
            self._hub = None  # It has ended; what comes next may start another.
            raise
        finally:
            self._hub_changed.set()

    async def wait(self) -> str:
        """Wait until one of the two has ended by itself, and say which."""
        while True:
            self._hub_changed.clear()
            children = [child for child in (self._devnet, self._hub) if child is not None]
            ends = {asyncio.ensure_future(child.wait()): child for child in children}
            changed = asyncio.ensure_future(self._hub_changed.wait())
            try:
                await asyncio.wait({*ends, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiting in (*ends, changed):
                    waiting.cancel()
            for end, child in ends.items():
                if end.done() and not end.cancelled() and not child.stopping:
                    return f"{child.name} ended with status {end.result()}"
            await self._hub_changed.wait()

    async def stop(self) -> None:
        """Stop both; what doesn't stop in time is killed."""
        children = [child for child in (self._hub, self._devnet) if child is not None]
        await asyncio.gather(*(child.stop() for child in children))


class Child:
    """One server in a process of its own."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, pipe: int) -> None:
        self.name = name
        self.stopping = False
        self._process = process
        self._pipe: int | None = pipe
        self._facts: dict[str, Any] | None = None

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str]) -> "Child":
        """Start ``realtime NAME`` with *arguments*."""
        reader, writer = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "realtime_cli",
                name,
                *arguments,
                "--ready-fd",
                str(writer),
                "--ends-with-stdin",
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[writer],
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return cls(name, process, reader)

    async def ready(self) -> dict[str, Any]:
        """Return what it said once its ports answered; CliError when it ended before."""
        if self._facts is None:
            line = await self._read_line()
            if not line:
                status = await self._process.wait()
                if status > 0:
                    raise CliError("", status=status)  # It has said itself what is wrong.
                raise CliError(f"{self.name} ended with status {status} before it was ready")
            self._facts = json.loads(line)
        return self._facts

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status once it has ended."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return the exit status."""
        return await self._process.wait()

    def kill(self) -> None:
        """End it without a chance to tidy up; whoever waits for it hears of that."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, *, within_s: float = STOP_S_MAX) -> None:
        """Ask it to end; kill it when it doesn't."""
        self.stopping = True
        self._close_pipe()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(within_s):
                    await self._process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _read_line(self) -> bytes:
        loop = asyncio.get_running_loop()
        if self._pipe is None:
            return b""
        file = os.fdopen(self._pipe, "rb")
        self._pipe = None
        stream = asyncio.StreamReader(limit=READY_BYTES_MAX)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), file
        )
        try:
            async with asyncio.timeout(READY_S_MAX):
                return await stream.readline()
        except TimeoutError as error:
            raise CliError(f"{self.name} didn't start within {READY_S_MAX:.0f} s") from error
        finally:
            transport.close()

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


async def _until_serving(rest_url: str, hub: Child) -> None:
    """Wait until the hub says that it is ready; some parts need the chain's first answer."""
    url = rest_url.rpartition("/api/")[0] + "/readyz"
    try:
        async with asyncio.timeout(SERVING_S_MAX):
            while not await asyncio.to_thread(_answers, url):
                if hub.status is not None:
                    raise CliError(f"{hub.name} ended with status {hub.status} as it started")
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        return  # It serves what it can; /readyz names what is missing.


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310  (our own http URL)
            return bool(answer.status == 200)
    except OSError:
        return False
