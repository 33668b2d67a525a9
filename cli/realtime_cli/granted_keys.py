"""realtime wallet keys, revoke: the keys that may log in for a wallet. The wallet logs in."""

import argparse
import time

from realtime_cli.console import Console
from realtime_cli.errors import UsageError
from realtime_cli.hub_access import (
    HubAddress,
    add_hub_options,
    find_hub,
    find_wallet,
    open_session,
    run_client,
)
from realtime_cli.running import layers_of
from realtime_cli.seeds import add_seed_options
from realtime_client import Wallet
from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import GrantedKey
from realtime_protocol.session_key import KEY_BYTES

_SCOPE = "trust"
"""The least that a login can ask for."""


def add_keys_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `keys` takes."""
    add_hub_options(parser)
    add_seed_options(parser)


def add_revoke_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `revoke` takes."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("key", nargs="?", metavar="KEY", help="64 hex digits, as keys shows them")
    which.add_argument("--all", action="store_true", help="every key of the wallet")
    add_hub_options(parser)
    add_seed_options(parser)


def show_keys(options: argparse.Namespace) -> int:
    """Log in with the wallet and show its keys."""
    layers = layers_of(options)
    wallet = find_wallet(options, layers)
    run_client(_show(find_hub(options, layers), wallet))
    return 0


def revoke_keys(options: argparse.Namespace) -> int:
    """Log in with the wallet and revoke; 1 when there was nothing to revoke."""
    key = None if options.all else _parse_key(options.key)
    layers = layers_of(options)
    wallet = find_wallet(options, layers)
    revoked: int = run_client(_revoke(find_hub(options, layers), wallet, key))
    print(f"{revoked} revoked")
    return 0 if revoked or key is None else 1


async def _show(hub: HubAddress, wallet: Wallet) -> None:
    console = Console()
    async with open_session(hub, wallet, scopes=[_SCOPE]) as session:
        keys = await session.keys.list()
    for key in keys:
        for line in _lines(key):
            console.line(line)
    if not keys:
        console.line("no key may log in for this wallet")


async def _revoke(hub: HubAddress, wallet: Wallet, key: bytes | None) -> int:
    async with open_session(hub, wallet, scopes=[_SCOPE]) as session:
        return await session.keys.revoke(key)


def _lines(key: GrantedKey) -> list[str]:
    return [
        key.key.hex(),
        f"  may {', '.join(key.scopes)} at {key.domain} until {_time(key.until_ms)}",
        f"  granted {_time(key.created_ms)}, last used {_time(key.last_used_ms)}",
        *(
            f"  spends up to {one.max_qu} QU from {encode_identity(one.wallet)} "
            f"until {_time(one.until_ms)}"
            for one in key.spends
        ),
    ]


def _parse_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise UsageError(f"{text[:80]!r}: a key is {2 * KEY_BYTES} hex digits; see wallet keys")
    return key


def _time(epoch_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(epoch_ms / 1_000))
