"""What to pay, from the options of a command."""

import argparse

from realtime_cli.hub_access import parse_wallet
from realtime_client import DeadlineOf, Intent, Priority


def add_intent_options(parser: argparse.ArgumentParser) -> None:
    """Add the parts of an intent."""
    parser.add_argument("--to", required=True, metavar="WALLET", help="who is paid: 60 letters")
    parser.add_argument("--amount", required=True, type=int, metavar="QU", help="how much")
    parser.add_argument(
        "--priority", default="speed", choices=[priority.name.lower() for priority in Priority]
    )
    parser.add_argument("--max-fee", type=int, default=0, metavar="QU", help="at most (0)")
    parser.add_argument("--timeout-ms", type=int, default=60_000, metavar="MS")
    parser.add_argument(
        "--deadline-of",
        default="accepted",
        choices=[deadline.name.lower() for deadline in DeadlineOf],
        help="what --timeout-ms limits",
    )


def intent_of(options: argparse.Namespace) -> Intent:
    """Return the intent; ValueError for a value out of bounds."""
    return Intent(
        parse_wallet(options.to),
        options.amount,
        Priority[options.priority.upper()],
        options.max_fee,
        options.timeout_ms,
        DeadlineOf[options.deadline_of.upper()],
    )
