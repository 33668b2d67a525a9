"""Pay, and follow the payment to its end. The transaction is checked here before it is signed."""

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
from realtime_client import PaymentState, Wallet
from realtime_protocol.identity import encode_digest_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add_intent_options(parser)
    parser.add_argument("--once", action="store_true", help="never sign a second attempt")
    add_hub_options(parser)
    add_seed_options(parser)


def run(options: argparse.Namespace) -> int:
    """Pay."""
    layers = layers_of(options)
    wallet = find_wallet(options, layers)
    settled = run_client(_pay(find_hub(options, layers), wallet, options))
    return 0 if settled else 1


async def _pay(hub: HubAddress, wallet: Wallet, options: argparse.Namespace) -> bool:
    console = Console()
    intent = intent_of(options)
    async with open_session(hub, wallet) as session:
        began_s = session.monotonic_s()
        payment = session.pay(intent, attempts_max=1 if options.once else 3)
        console.line(f"paying   {show_qu(intent.amount_qu)} to {options.to}")
        async for status in payment:
            at_ms = (session.monotonic_s() - began_s) * 1000
            console.step(at_ms, status.state.name.lower(), f"tick {status.tick}")
        last = payment.status
        if last is None or last.state is not PaymentState.SETTLED:
            await payment  # Raises what went wrong.
            return False
        console.line(f"txid     {encode_digest_id(last.txid)}")
        return True
