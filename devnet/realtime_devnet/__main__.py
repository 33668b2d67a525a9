"""``python -m realtime_devnet``: a Qubic network for development."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from realtime_devnet.serving import run_devnet
from realtime_devnet.settings import DevnetError, DevnetInfo, DevnetSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; return the exit status."""
    parser = build_parser()
    try:
        settings = settings_of(parser.parse_args(arguments))
    except ValueError as error:
        parser.error(str(error))
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(settings))
    except (DevnetError, OSError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        print(f"realtime devnet: {text or error}", file=sys.stderr)  # noqa: T201  (a program)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the devnet's options."""
    usual = DevnetSettings()
    parser = argparse.ArgumentParser(
        prog="realtime devnet", description="A simulated Qubic network: node TCP and HTTP API."
    )
    parser.add_argument("--host", default=usual.host, help="address to listen on")
    parser.add_argument("--node-port", type=int, default=usual.node_port, help="0 = a free one")
    parser.add_argument("--http-port", type=int, default=usual.http_port, help="0 = a free one")
    parser.add_argument("--tick-ms", type=int, default=usual.tick_ms, help="length of a tick")
    parser.add_argument("--state", default=usual.state, help="directory of the network's state")
    parser.add_argument("--reset", action="store_true", help="forget that network, begin another")
    parser.add_argument("--seed", type=int, help="make the network repeatable (tests only)")
    parser.add_argument("--start-tick", type=int, default=usual.start_tick, help="the first tick")
    return parser


def settings_of(options: argparse.Namespace) -> DevnetSettings:
    """Return the settings that *options* name; ValueError for one out of bounds."""
    return DevnetSettings(**vars(options))


async def _run(settings: DevnetSettings) -> None:
    running = asyncio.current_task()
    assert running is not None  # noqa: S101  (a coroutine runs in a task)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await run_devnet(settings, ready=_announce)


def _announce(info: DevnetInfo) -> None:
    lines = [
        f"node {info.node_address}",
        f"http {info.http_address}",
        f"tick {info.tick}",
        *(f"wallet {wallet.identity}" for wallet in info.wallets),
        f"admin {info.admin_identity}",
        f"seeds {info.demo_path}",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201  (a program for people)


if __name__ == "__main__":
    sys.exit(main())
