"""Run the whole story: log in, watch trust, pay, be blocked, be refused; with times.

Against the hub of the settings when it runs, else against hub and network of its own on free ports
with state that is thrown away.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from realtime_cli.console import Console
from realtime_cli.errors import CliError
from realtime_cli.hub_access import find_hub, run_client
from realtime_cli.running import layers_of
from realtime_cli.seeds import load_demo, read_demo
from realtime_cli.settings import Layers
from realtime_cli.stack import Stack, StackOptions
from realtime_cli.story import Place, Story, place_of_stack

_PROBE_S: Final = 1.0
_FREE_PORTS: Final = ("--node-port", "0", "--http-port", "0")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--own", action="store_true", help="start its own hub and network anyway")
    parser.add_argument("--tick-ms", type=int, metavar="MS", help="its own network's tick (1000)")
    parser.add_argument("--demo-file", type=Path, metavar="FILE", help="the network's demo.json")


def run(options: argparse.Namespace) -> int:
    """Tell the story; 0 when every time was within its bound."""
    layers = layers_of(options)
    hub = layers.hub()
    console = Console()
    if options.own or not _listens(hub.host, hub.port):
        layers.devnet({"tick_ms": options.tick_ms})
        work = _tell_own(console, options)
    else:
        work = _tell_at(console, options, layers)
    passed = run_client(_until_signal(work))
    return 0 if passed else 1


async def _tell_at(console: Console, options: argparse.Namespace, layers: Layers) -> bool:
    hub = layers.hub()
    address = argparse.Namespace(url=None, domain=None)
    place = Place(
        find_hub(address, layers),
        f"http://{hub.admin_host}:{hub.admin_port}",
        layers.node(),
        load_demo(options, layers),
    )
    return await Story(place, console, restore=True).tell()


async def _tell_own(console: Console, options: argparse.Namespace) -> bool:
    console.line("no hub runs here: starting one with a network of its own, for this story only")
    with tempfile.TemporaryDirectory(prefix="realtime-demo-") as folder:
        async with Stack(_own_options(Path(folder), options)) as stack:
            demo = read_demo(stack.info.demo_path)
            story = Story(place_of_stack(stack.info, demo), console, restore=False)
            return await _unless_it_ends(story.tell(), stack)


async def _unless_it_ends(story: Coroutine[Any, Any, bool], stack: Stack) -> bool:
    telling = asyncio.ensure_future(story)
    ending = asyncio.ensure_future(stack.wait())
    try:
        await asyncio.wait({telling, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            raise CliError(ending.result())
        return telling.result()
    finally:
        telling.cancel()
        ending.cancel()
        await asyncio.wait({telling, ending})


def _own_options(folder: Path, options: argparse.Namespace) -> StackOptions:
    tick = [] if options.tick_ms is None else ["--tick-ms", str(options.tick_ms)]
    return StackOptions(
        devnet=[*_FREE_PORTS, *tick, "--state", str(folder / "devnet")],
        hub=["--port", "0", "--admin-port", "0", "--state", str(folder / "hub")],
        logs=folder / "logs",
    )


async def _until_signal(work: Coroutine[Any, Any, bool]) -> bool:
    """Run *work*; SIGTERM ends it as Ctrl-C does, so that what was started is stopped."""
    task = asyncio.ensure_future(work)
    # A loop without signals, as off Unix, ends by Ctrl-C alone.
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if task.cancelled():
            raise CliError("stopped") from None
        raise


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_PROBE_S):
            return True
    except OSError:
        return False
