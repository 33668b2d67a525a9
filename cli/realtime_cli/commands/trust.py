"""Orders of the administrator: set wallets' trust, hand over, name the next contract.

Each order is a transaction to the TurboAuth contract, or to the registry, that the administrator
signs. `coverage` asks the hub who has seen a block.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from realtime_cli.console import Console
from realtime_cli.errors import CliError, UsageError
from realtime_cli.hub_access import describe, get_json, hand_in_order, parse_wallet
from realtime_cli.node_tick import read_current_tick
from realtime_cli.running import layers_of
from realtime_cli.seeds import add_seed_options, find_seed
from realtime_cli.settings import Layers
from realtime_cli.trust_order import (
    TICKS_AHEAD,
    cut_batches,
    parse_setting,
    parse_settings,
    sign_order,
)
from realtime_client import HubError
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.qubic.contract_abi import Procedure, encode_admin, encode_next_contract
from realtime_protocol.registry import registry_key
from realtime_protocol.schnorrq import keypair

_FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class _Order:
    """What is asked for, and in words for people."""

    procedure: Procedure
    payload: bytes
    told: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(
        dest="action",
        required=True,
        metavar="set|batch|propose-admin|accept-admin|next-contract|coverage",
    )
    change = actions.add_parser("set", help="set a wallet's status")
    change.add_argument("wallet", metavar="WALLET", help="60 letters")
    change.add_argument("status", metavar="STATUS", help="active, blocked or unknown")
    change.add_argument("--score", type=int, metavar="N", help="0 to 100 (80 for active, else 0)")
    change.add_argument("--reason", type=int, default=0, metavar="N", help="0 to 65535 (0)")
    batch = actions.add_parser("batch", help="set many wallets' status, 16 a transaction")
    batch.add_argument("file", metavar="FILE", help="lines of WALLET,STATUS[,SCORE[,REASON]]")
    propose = actions.add_parser("propose-admin", help="name who may take over")
    propose.add_argument("wallet", metavar="WALLET", help="60 letters of the next administrator")
    accept = actions.add_parser("accept-admin", help="take over; signed by who was proposed")
    following = actions.add_parser("next-contract", help="name the contract that succeeds")
    following.add_argument("index", type=int, metavar="INDEX", help="of the next contract")
    coverage = actions.add_parser("coverage", help="say which sessions have seen a block")
    coverage.add_argument("log_seq", type=int, metavar="SEQ", help="its place in the trust log")
    coverage.add_argument("--admin-url", metavar="URL", help="the hub's administration port")
    for action in (change, batch, propose, accept, following):
        action.add_argument(
            "--tick", type=int, metavar="T", help=f"target (current + {TICKS_AHEAD})"
        )
        action.add_argument("--admin-url", metavar="URL", help="the hub's administration port")
        action.add_argument("--contract-index", type=int, metavar="N", help="TurboAuth's")
        action.add_argument("--registry", metavar="NAME", help="order to a registry of this name")
        add_seed_options(action)


def run(options: argparse.Namespace) -> int:
    """Sign the orders and hand them to the hub, one after the other."""
    layers = layers_of(options)
    if options.action == "coverage":
        return _show_coverage(options, layers)
    orders = list(_orders(options))
    keys = keypair(find_seed(options, layers, os.environ))
    hub = layers.hub()
    destination = _destination(options, layers)
    url = options.admin_url or f"http://{hub.admin_host}:{hub.admin_port}"
    for order in orders:
        tick = options.tick or read_current_tick(layers.node()) + TICKS_AHEAD
        signed = sign_order(
            keys, order.procedure, order.payload, destination=destination, tick=tick
        )
        try:
            answer = hand_in_order(url, signed)
        except HubError as error:
            raise CliError(f"{order.told}: {describe(error)}") from error
        when = f"in the log as {answer['log_seq']}" if answer["log_seq"] else "counts once on chain"
        Console().line(f"{answer['state']}: {order.told}, {when}, target tick {tick}")
    return 0


def _show_coverage(options: argparse.Namespace, layers: Layers) -> int:
    """Print how far a block has come on the hub, or on all of its workers."""
    hub = layers.hub()
    url = options.admin_url or f"http://{hub.admin_host}:{hub.admin_port}"
    seen = get_json(f"{url}/admin/v1/revocations/{options.log_seq}")
    console = Console()
    console.line(f"{seen['wallet']} blocked at {seen['log_seq']}")
    console.line(
        f"{seen['owed']} sessions had to hear of it: {seen['seen']} have seen it, "
        f"{seen['closed']} were closed, {seen['waiting']} still wait"
    )
    for sid in seen["waiting_sessions"]:
        console.line(f"waits: {sid}")
    return 0 if not seen["waiting"] else 1


def _orders(options: argparse.Namespace) -> Iterable[_Order]:
    match options.action:
        case "set":
            wallet = options.wallet
            parse_wallet(wallet)
            try:
                setting = parse_setting(wallet, options.status, options.score, options.reason)
            except ValueError as error:
                raise UsageError(str(error)) from error
            yield _Order(Procedure.SET_STATUS, setting.encode(), setting.status.name)
        case "batch":
            yield from _batch(Path(options.file))
        case "propose-admin":
            proposed = parse_wallet(options.wallet)
            yield _Order(Procedure.PROPOSE_ADMIN, encode_admin(proposed), "administrator proposed")
        case "accept-admin":
            yield _Order(Procedure.ACCEPT_ADMIN, b"", "administration accepted")
        case "next-contract":
            if not 1 <= options.index <= 1023:
                raise UsageError(f"INDEX {options.index} is not in 1..1023")
            payload = encode_next_contract(options.index)
            yield _Order(Procedure.SET_NEXT_CONTRACT, payload, f"next contract {options.index}")


def _batch(path: Path) -> Iterable[_Order]:
    try:
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise UsageError(f"{path} has over {_FILE_BYTES_MAX} bytes")
        settings = parse_settings(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {path}: {error}") from error
    except ValueError as error:
        raise UsageError(f"{path}, {error}") from error
    if not settings:
        raise UsageError(f"{path} names no wallet")
    for number, payload in enumerate(cut_batches(settings), start=1):
        yield _Order(Procedure.SET_STATUSES, payload, f"batch {number}")


def _destination(options: argparse.Namespace, layers: Layers) -> PublicKey:
    hub = layers.hub()
    if options.registry is not None or (
        hub.trust_kind == "registry" and options.contract_index is None
    ):
        try:
            return registry_key(options.registry or hub.registry_name)
        except ValueError as error:
            raise UsageError(f"--registry: {error}") from error
    index: int | None = options.contract_index or hub.turboauth_index
    if index is None:
        raise UsageError("--contract-index: which contract is TurboAuth? set hub.contract_index")
    return contract_public_key(index)
