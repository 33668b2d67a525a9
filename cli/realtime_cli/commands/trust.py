"""Change a wallet's trust: the administrator signs an order to the TurboAuth contract."""

import argparse
import os

from realtime_cli.console import Console
from realtime_cli.errors import CliError, UsageError
from realtime_cli.hub_access import describe, parse_wallet, post_trust
from realtime_cli.node_tick import read_current_tick
from realtime_cli.running import layers_of
from realtime_cli.seeds import add_seed_options, find_seed
from realtime_cli.settings import Layers
from realtime_cli.trust_order import TICKS_AHEAD, parse_status, sign_trust_order
from realtime_client import HubError
from realtime_protocol.qubic.contract_abi import SCORE_MAX, ChainStatus, StatusSetting
from realtime_protocol.schnorrq import keypair

_REASON_MAX = 0xFFFF


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="set")
    change = actions.add_parser("set", help="set a wallet's status")
    change.add_argument("wallet", metavar="WALLET", help="60 letters")
    change.add_argument("status", metavar="STATUS", help="active, blocked or unknown")
    change.add_argument("--score", type=int, metavar="N", help="0 to 100 (80 for active, else 0)")
    change.add_argument("--reason", type=int, default=0, metavar="N", help="0 to 65535 (0)")
    change.add_argument("--tick", type=int, metavar="T", help=f"target (current + {TICKS_AHEAD})")
    change.add_argument("--admin-url", metavar="URL", help="the hub's administration port")
    change.add_argument("--contract-index", type=int, metavar="N", help="TurboAuth's")
    add_seed_options(change)


def run(options: argparse.Namespace) -> int:
    """Sign the order and hand it to the hub."""
    layers = layers_of(options)
    setting = _setting(options)
    admin = keypair(find_seed(options, layers, os.environ))
    hub = layers.hub()
    tick = options.tick or read_current_tick(hub.nodes[0]) + TICKS_AHEAD
    signed = sign_trust_order(
        admin, setting, contract_index=_contract_index(options, layers), tick=tick
    )
    url = options.admin_url or f"http://{hub.admin_host}:{hub.admin_port}"
    try:
        answer = post_trust(url, signed)
    except HubError as error:
        raise CliError(describe(error)) from error
    when = f"in the log as {answer['log_seq']}" if answer["log_seq"] else "counts once on chain"
    Console().line(f"{answer['state']}: {setting.status.name}, {when}, target tick {tick}")
    return 0


def _setting(options: argparse.Namespace) -> StatusSetting:
    try:
        status = parse_status(options.status)
    except ValueError as error:
        raise UsageError(str(error)) from error
    usual = 80 if status is ChainStatus.ACTIVE else 0
    score = usual if options.score is None else options.score
    if not 0 <= score <= SCORE_MAX:
        raise UsageError(f"--score {score} is not in 0..{SCORE_MAX}")
    if not 0 <= options.reason <= _REASON_MAX:
        raise UsageError(f"--reason {options.reason} is not in 0..{_REASON_MAX}")
    return StatusSetting(parse_wallet(options.wallet), status, score, options.reason)


def _contract_index(options: argparse.Namespace, layers: Layers) -> int:
    index: int | None = options.contract_index or layers.hub().turboauth_index
    if index is None:
        raise UsageError("--contract-index: which contract is TurboAuth? set hub.contract_index")
    return index
