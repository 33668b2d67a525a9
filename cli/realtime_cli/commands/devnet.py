"""Run the simulated Qubic network: node TCP protocol, HTTP API, ticks, demo wallets."""

import argparse
from typing import Any

from realtime_cli.errors import CliError
from realtime_cli.running import (
    add_process_options,
    announce,
    layers_of,
    run_server,
    start_log,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--node-port", type=int, metavar="N", help="TCP (21841); 0 = a free one")
    parser.add_argument("--http-port", type=int, metavar="N", help="HTTP (8081); 0 = a free one")
    parser.add_argument("--tick-ms", type=int, metavar="MS", help="length of a tick (1000)")
    parser.add_argument("--state", metavar="DIR", help="the network's state (.realtime/devnet)")
    parser.add_argument(
        "--reset", action="store_true", default=None, help="forget that network, begin another"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="repeatable network (tests only)")
    parser.add_argument("--start-tick", type=int, metavar="T", help="a new network's first tick")
    add_process_options(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from realtime_devnet.serving import run_devnet
    from realtime_devnet.settings import DevnetError, DevnetInfo

    names = ("host", "node_port", "http_port", "tick_ms", "state", "reset", "seed", "start_tick")
    settings = layers_of(options).devnet({name: getattr(options, name) for name in names})
    start_log(options, "info")

    def ready(info: DevnetInfo) -> None:
        announce(options, describe(info), show(info))

    try:
        return run_server(run_devnet(settings, ready=ready), options)
    except DevnetError as error:
        raise CliError(str(error)) from error


def describe(info: Any) -> dict[str, Any]:
    """Return what a parent wants to know; no seeds."""
    return {
        "node": info.node_address,
        "http": info.http_address,
        "tick": info.tick,
        "contract_index": info.contract_index,
        "admin": info.admin_identity,
        "wallets": [wallet.identity for wallet in info.wallets],
        "demo_path": str(info.demo_path),
    }


def show(info: Any) -> str:
    """Return it for people."""
    lines = [f"node   {info.node_address}", f"http   {info.http_address}", f"tick   {info.tick}"]
    lines += [f"wallet {wallet.identity}" for wallet in info.wallets]
    lines += [f"admin  {info.admin_identity}", f"seeds  {info.demo_path} (only you can read it)"]
    return "\n".join(lines)
