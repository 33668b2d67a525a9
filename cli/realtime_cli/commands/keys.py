"""Show a hub's keys, and put a new one in the place of an old one. No secret is ever printed."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from realtime_cli.errors import CliError, UsageError
from realtime_cli.running import layers_of

if TYPE_CHECKING:
    from realtime_hub.config import HubSettings
    from realtime_hub.keys import PublishedKey

LEAD_S: Final = 900
"""Longer than a copy of the published keys may be used, and than a running hub takes to notice."""
_LEAD_S_MAX: Final = 30 * 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|rotate")
    shown = actions.add_parser("list", help="print every key: id, purpose, state, times")
    rotate = actions.add_parser("rotate", help="add a key that takes over; the old one overlaps")
    rotate.add_argument("purpose", metavar="PURPOSE", help="decision, quote or event")
    rotate.add_argument(
        "--lead",
        type=int,
        default=LEAD_S,
        metavar="SECONDS",
        help=f"published so long before it signs ({LEAD_S}); devices must learn it by then",
    )
    rotate.add_argument(
        "--stolen", action="store_true", help="sign with the new one at once; forget the old ones"
    )
    for action in (shown, rotate):
        action.add_argument("--state", metavar="DIR", help="the hub's state (.realtime/hub)")


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    from realtime_hub.adapters.key_files import KeyFileError

    settings = layers_of(options).hub({"state": options.state})
    try:
        if options.action == "rotate":
            return _rotate(options, settings)
        return _list(settings)
    except KeyFileError as error:
        raise CliError(str(error)) from error


def _list(settings: "HubSettings") -> int:
    from realtime_hub.adapters.key_files import SigningKeyFile

    file = SigningKeyFile(settings.signing_keys_path, settings.key_overlap_ms)
    print(f"{'key id':<16}  {'purpose':<8}  {'state':<7}  signs from             published until")
    for told in file.read().describe(_now_ms()):
        print(_line(told))
    fleet = settings.fleet_key_file or settings.state / "fleet.key"
    print(f"signing keys   {settings.signing_keys_path}")
    print(f"fleet key      {fleet}{'' if Path(fleet).exists() else ' (none: a hub without Redis)'}")
    return 0


def _rotate(options: argparse.Namespace, settings: "HubSettings") -> int:
    import secrets

    from realtime_hub.adapters.key_files import SigningKeyFile
    from realtime_hub.keys import SEED_BYTES, Purpose

    if options.purpose not in list(Purpose):
        known = ", ".join(Purpose)
        raise UsageError(f"{options.purpose!r} is no purpose of a signing key; there are {known}")
    if not 0 <= options.lead <= _LEAD_S_MAX:
        raise UsageError(f"--lead is 0 to {_LEAD_S_MAX} seconds, not {options.lead}")
    file = SigningKeyFile(settings.signing_keys_path, settings.key_overlap_ms)
    now_ms = _now_ms()
    try:
        ring = file.read().rotated(
            Purpose(options.purpose),
            secrets.token_bytes(SEED_BYTES),
            now_ms=now_ms,
            lead_ms=options.lead * 1_000,
            stolen=options.stolen,
        )
    except ValueError as error:
        raise UsageError(f"{error}; see realtime keys list") from error
    file.write(ring, now_ms=now_ms)
    for told in ring.describe(now_ms):
        if told.key.purpose == options.purpose:
            print(_line(told))
    print(f"A running hub takes it up within 5 s. Copy {file.path} to every hub of the fleet.")
    return 0


def _line(told: "PublishedKey") -> str:
    key = told.key
    until = "-" if told.published_until_ms is None else _time(told.published_until_ms)
    return (
        f"{key.key_id.hex()}  {key.purpose:<8}  {told.state:<7}  "
        f"{_time(key.signs_from_ms):<21}  {until}"
    )


def _time(epoch_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(epoch_ms / 1_000))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
