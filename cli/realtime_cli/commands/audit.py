"""What administrators did at this hub, and whether the record of it is whole."""

import argparse
import json
import time
from pathlib import Path

from realtime_cli.errors import CliError
from realtime_cli.running import layers_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="verify|show|registry")
    verify = actions.add_parser("verify", help="check that no record was changed or removed")
    verify.add_argument(
        "--end",
        metavar="N:MAC",
        help="a place from the hub's log output that must be in the log: it shows a roll-back",
    )
    shown = actions.add_parser("show", help="print the records, newest last")
    shown.add_argument("--json", action="store_true", help="as lines of JSON, as they are kept")
    kept = actions.add_parser("registry", help="check the registry that this hub keeps")
    for action in (verify, shown, kept):
        action.add_argument("--state", metavar="DIR", help="the hub's state (.realtime/hub)")


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    from realtime_hub.adapters.file_audit import LOG_FILE
    from realtime_hub.adapters.key_files import KeyFileError

    settings = layers_of(options).hub({"state": options.state})
    try:
        match options.action:
            case "verify":
                _verify(settings.state, options.end)
            case "show":
                _show(settings.state, as_json=options.json)
            case "registry":
                _check_registry(settings.state, settings.registry_name, settings.admin)
    except FileNotFoundError as error:
        raise CliError(f"no {LOG_FILE} there: {error.filename or error}") from error
    except (KeyFileError, ValueError) as error:
        raise CliError(str(error)) from error
    return 0


def _verify(state: Path, end: str | None) -> None:
    from realtime_hub.adapters.file_audit import verify_folder
    from realtime_hub.auth.audit import AuditError

    place = verify_folder(state, through=end)
    if end is not None:
        print(f"record {end.partition(':')[0]} is in the log")
    if place.number == 0:
        raise AuditError("the log has no record")
    print(f"whole: {place.number} records, the last one's mac {place.mac.hex()}")


def _show(state: Path, *, as_json: bool) -> None:
    import msgspec

    from realtime_hub.adapters.file_audit import read_records

    for record in read_records(state):
        if as_json:
            print(msgspec.json.encode(record).decode())
            continue
        at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(record.at_ms / 1_000))
        print(f"{record.number:>6}  {at}  {record.action}  by {record.actor}")
        print(f"        {json.dumps(record.details)}")


def _check_registry(state: Path, name: str, admin: str | None) -> None:
    from realtime_hub.adapters.sqlite_registry import REGISTRY_FILE, check_file
    from realtime_protocol.identity import parse_identity
    from realtime_protocol.registry import Registry

    if admin is None:
        raise CliError("hub.admin: whose orders count? set it as the hub has it")
    table = check_file(state / REGISTRY_FILE, Registry(name, parse_identity(admin)))
    print(f"whole: {table.number} entries, {table.info().wallets} wallets, hash {table.hash.hex()}")
