"""List a hub's workers, replace them one by one, or send their sessions elsewhere."""

import argparse
from urllib.parse import quote

from realtime_cli.console import Console
from realtime_cli.errors import CliError
from realtime_cli.hub_access import (
    NotThereError,
    add_admin_options,
    find_admin_url,
    get_json,
    post_json,
    run_plain,
)
from realtime_cli.running import layers_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|restart|drain")
    add_admin_options(actions.add_parser("list", help="who runs, since how many restarts"))
    add_admin_options(actions.add_parser("restart", help="replace one after the other, as SIGHUP"))
    drain = actions.add_parser("drain", help="send sessions elsewhere; the processes live on")
    drain.add_argument("--worker", metavar="NAME", help="of this worker only")
    add_admin_options(drain)


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    try:
        return _act(options)
    except NotThereError as error:
        if options.action == "drain":
            raise  # Every hub drains: it is the worker named that isn't there.
        raise CliError(
            "this hub is one process without workers; realtime serve --workers starts some"
        ) from error


def _act(options: argparse.Namespace) -> int:
    admin = f"{find_admin_url(options, layers_of(options))}/admin/v1"
    console = Console()
    match options.action:
        case "list":
            for one in run_plain(lambda: get_json(f"{admin}/workers"))["workers"]:
                state = "runs" if one["admin_url"] else "is down"
                console.line(
                    f"{one['name']:>3}  {state:<7}  pid {one['pid']}  {one['restarts']} restarts"
                )
        case "restart":
            if not run_plain(lambda: post_json(f"{admin}/restart"))["begun"]:
                raise CliError("a restart is under way already")
            console.line("the workers are replaced one by one; realtime workers list shows them")
        case "drain":
            only = "" if options.worker is None else f"?worker={quote(options.worker, safe='')}"
            run_plain(lambda: post_json(f"{admin}/drain{only}"))
            console.line("sessions are sent elsewhere; nobody is let in any more")
    return 0
