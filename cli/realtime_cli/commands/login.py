"""Log in and show the session; with --watch, follow the wallet's trust until Ctrl-C."""

import argparse

from realtime_cli.console import Console
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
from realtime_client import Session, Wallet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--scope", action="append", default=[], choices=["trust", "quote", "pay"])
    parser.add_argument("--watch", action="store_true", help="follow the wallet's trust")
    add_hub_options(parser)
    add_seed_options(parser)


def run(options: argparse.Namespace) -> int:
    """Log in."""
    layers = layers_of(options)
    wallet = find_wallet(options, layers)
    run_client(_log_in(find_hub(options, layers), wallet, options))
    return 0


async def _log_in(hub: HubAddress, wallet: Wallet, options: argparse.Namespace) -> None:
    console = Console()
    async with open_session(hub, wallet, scopes=options.scope) as session:
        _show(console, session, wallet)
        if options.watch:
            await _watch(console, session)


def _show(console: Console, session: Session, wallet: Wallet) -> None:
    login, timing = session.login, session.login_timing
    console.line(f"wallet   {wallet.identity}")
    console.line(f"session  {login.sid}")
    console.line(f"scopes   {', '.join(login.scopes)}")
    if login.trust is not None:
        console.line(f"trust    {login.trust.status.name}, score {login.trust.score}")
    console.line(f"took     {timing.login_ms:.1f} ms ({timing.wallet_ms:.1f} ms the wallet's)")


async def _watch(console: Console, session: Session) -> None:
    async with session.trust.subscribe() as changes:
        async for change in changes:
            pending = " (pending)" if change.pending else ""
            console.line(
                f"trust    {change.status.name}, score {change.score}, "
                f"reason {change.reason}, seq {change.seq}{pending}"
            )
