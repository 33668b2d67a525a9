"""Show what a hub knows of a wallet. Needs no login."""

import argparse

from realtime_cli.console import Console
from realtime_cli.errors import CliError
from realtime_cli.hub_access import add_hub_options, describe, find_hub, get_json, parse_wallet
from realtime_cli.running import layers_of
from realtime_client import HubError
from realtime_protocol.identity import encode_identity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("wallet", metavar="WALLET", help="60 letters")
    add_hub_options(parser)


def run(options: argparse.Namespace) -> int:
    """Ask the hub's REST surface."""
    identity = encode_identity(parse_wallet(options.wallet))
    hub = find_hub(options, layers_of(options))
    try:
        answer = get_json(f"{hub.rest_url}/status/{identity}")
    except HubError as error:
        raise CliError(describe(error)) from error
    console = Console()
    for name, value in answer.items():
        console.line(f"{name:<13} {value}")
    return 0
