"""Ask for a quote; with --watch, follow it until Ctrl-C."""

import argparse

from realtime_cli.console import Console, show_qu
from realtime_cli.hub_access import (
    HubAddress,
    add_hub_options,
    find_hub,
    find_wallet,
    open_session,
    run_client,
)
from realtime_cli.intents import add_intent_options, intent_of
from realtime_cli.running import layers_of
from realtime_cli.seeds import add_seed_options
from realtime_client import DeadlineOf, Quote, Wallet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_intent_options(parser)
    parser.add_argument("--watch", action="store_true", help="follow the quote")
    add_hub_options(parser)
    add_seed_options(parser)


def run(options: argparse.Namespace) -> int:
    """Ask."""
    layers = layers_of(options)
    wallet = find_wallet(options, layers)
    run_client(_quote(find_hub(options, layers), wallet, options))
    return 0


async def _quote(hub: HubAddress, wallet: Wallet, options: argparse.Namespace) -> None:
    console = Console()
    intent = intent_of(options)
    async with open_session(hub, wallet) as session, session.quotes(intent) as quotes:
        async for quote in quotes:
            console.line(describe_quote(quote, intent.deadline_of))
            for other in quote.alternatives:
                payable = "" if other.executable else ", can't be paid here"
                console.line(
                    f"  or {other.route.kind}: fee {show_qu(other.fee_qu)}, "
                    f"{_when(other.est_ms, intent.deadline_of)}{payable}"
                )
            if not options.watch:
                return


def describe_quote(quote: Quote, deadline_of: DeadlineOf) -> str:
    """Return a quote in one line."""
    if quote.route is None:
        return "no route now"
    payable = "" if quote.executable else ", can't be paid here"
    return (
        f"{quote.route.kind}: fee {show_qu(quote.fee_qu)}, {_when(quote.est_ms, deadline_of)}, "
        f"good until tick {quote.valid_until_tick}{payable}"
    )


def _when(est_ms: int, deadline_of: DeadlineOf) -> str:
    """A quote estimates what its intent's deadline is of, and only that."""
    return f"{deadline_of.name.lower()} in about {est_ms} ms"
