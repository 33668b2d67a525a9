"""Run hub and simulated Qubic network as one process tree, for development and trying out."""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from realtime_cli.console import Console, show_qu
from realtime_cli.errors import CliError
from realtime_cli.running import layers_of
from realtime_cli.stack import Stack, StackInfo, StackOptions

_HUB: Final = ("port", "admin_port", "redis_url")
_DEVNET: Final = ("node_port", "http_port", "tick_ms")
_SOURCES: Final = ("protocol", "hub", "cli")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--port", type=int, metavar="N", help="WebSocket and REST (8080)")
    parser.add_argument(
        "--admin-port", type=int, metavar="N", help="metrics, administration (8082)"
    )
    parser.add_argument("--node-port", type=int, metavar="N", help="the network's TCP (21841)")
    parser.add_argument("--http-port", type=int, metavar="N", help="the network's HTTP (8081)")
    parser.add_argument("--tick-ms", type=int, metavar="MS", help="length of a tick (1000)")
    parser.add_argument("--redis-url", metavar="URL", help="keep trust in Redis")
    parser.add_argument("--state", type=Path, metavar="DIR", help="all state and logs (.realtime)")
    parser.add_argument("--reset", action="store_true", help="begin another network")
    parser.add_argument(
        "--reload", action="store_true", help="restart the hub when its code changes"
    )


def run(options: argparse.Namespace) -> int:
    """Run both until Ctrl-C."""
    layers = layers_of(options)
    # Refused here, before anything is started.
    hub = layers.hub({name: getattr(options, name) for name in _HUB})
    layers.devnet({name: getattr(options, name) for name in _DEVNET})
    return asyncio.run(_run(stack_options(options, admin=hub.admin), options.reload))


def stack_options(options: argparse.Namespace, *, admin: str | None) -> StackOptions:
    """Return the options of the two servers."""
    config = ["--config", options.config] if options.config else []
    devnet, hub = list(config), list(config)
    for names, arguments in ((_DEVNET, devnet), (_HUB, hub)):
        for name in names:
            value = getattr(options, name)
            if value is not None:
                arguments += [f"--{name.replace('_', '-')}", str(value)]
    if options.reset:
        devnet.append("--reset")
    state = options.state
    if state is None:
        return StackOptions(devnet, hub, admin)
    devnet += ["--state", str(state / "devnet")]
    hub += ["--state", str(state / "hub")]
    return StackOptions(devnet, hub, admin, logs=state / "logs")


async def _run(options: StackOptions, reload: bool) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    starting = asyncio.ensure_future(_serve(options, reload))
    stop = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return 0
    raise starting.result()


async def _serve(options: StackOptions, reload: bool) -> CliError:
    console = Console()
    await asyncio.to_thread(warn_of_signatures, Console(sys.stderr))
    async with Stack(options) as stack:
        await asyncio.to_thread(_tell, console, stack.info, options.logs)
        reloading = asyncio.ensure_future(_reload(stack, console)) if reload else None
        try:
            return CliError(f"{await stack.wait()}; stopping the rest (logs: {options.logs})")
        finally:
            if reloading is not None:
                reloading.cancel()


def warn_of_signatures(console: Console) -> None:
    """Say at once what is slow without the native engine: the hub's own warning is in its log."""
    from realtime_hub.signatures import measure_cost, warn_of_pure_python
    from realtime_protocol.schnorrq import is_native

    if not is_native():
        warning = warn_of_pure_python(measure_cost(time.monotonic))
        console.line(f"{console.paint('warning', 'yellow')}  {warning}")


async def _reload(stack: Stack, console: Console) -> None:
    try:
        from watchfiles import PythonFilter, awatch
    except ModuleNotFoundError as error:
        raise CliError("--reload needs watchfiles: pip install watchfiles") from error
    root = Path(__file__).parents[3]
    folders = [root / name for name in _SOURCES if (root / name).is_dir()]
    async for changes in awatch(*folders, watch_filter=PythonFilter()):
        names = sorted({Path(path).name for _, path in changes})
        console.line(f"changed: {', '.join(names[:5])}; restarting the hub")
        try:
            await stack.restart_hub()
            console.line("the hub is back")
        except CliError as error:
            console.line(f"{str(error) or 'the hub did not start'}; waiting for the next change")


def _tell(console: Console, info: StackInfo, logs: Path) -> None:
    def bold(text: str) -> str:
        return console.paint(text, "bold")

    console.line(bold("Realtime is running. Ctrl-C stops it."))
    console.line()
    console.line(f"  hub      {info.url}   REST {info.rest_url}")
    console.line(f"  admin    {info.admin_url}   /metrics, trust changes (this machine only)")
    console.line(f"  network  node {info.node}   HTTP {info.http}")
    console.line(f"  logs     {logs}")
    console.line()
    console.line(f"{bold('Demo wallets')} (their seeds: {info.demo_path}, which only you can read)")
    for number, identity in enumerate(info.wallets):
        console.line(f"  {number}  {identity}  {_balance(info.http, identity)}")
    console.line()
    console.line(bold("Try"))
    payee, realtime = info.wallets[1 % len(info.wallets)], _called()
    for text in (
        f"{realtime} demo",
        f"{realtime} login --demo 0 --watch",
        f"{realtime} pay --demo 0 --to {payee} --amount 1000",
        f"{realtime} trust set {payee} blocked --demo admin",
        f"curl {info.rest_url}/status/{payee}",
    ):
        console.line(f"  {text}")


def _called() -> str:
    """Return what calls this program in the terminal: its name, or a path where PATH lacks it."""
    path, found = Path(sys.argv[0]), shutil.which("realtime")
    if path.name != "realtime" or (found is not None and path.samefile(found)):
        return "realtime"
    return str(path)


def _balance(http: str, identity: str) -> str:
    try:
        url = f"{http}/live/v1/balances/{identity}"
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310  (our own http URL)
            found: Any = json.load(answer)
        return show_qu(int(found["balance"]["balance"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ""
