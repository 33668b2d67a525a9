"""List a hub's sessions, or show one, by way of the administrator's port."""

import argparse
import json
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from realtime_cli.console import Console
from realtime_cli.hub_access import add_admin_options, find_admin_url, get_json, run_plain
from realtime_cli.running import layers_of

PAGE: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("sid", nargs="?", help="show this one, with its channels")
    parser.add_argument("--limit", type=int, default=PAGE, metavar="N", help="at most N (100)")
    parser.add_argument("--after", default="", metavar="SID", help="go on behind this one")
    parser.add_argument("--json", action="store_true", help="as JSON, one session a line")
    add_admin_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print what the hub says."""
    admin_url = find_admin_url(options, layers_of(options))
    if options.sid is not None:
        path = f"/admin/v1/sessions/{quote(options.sid, safe='')}"
        print(json.dumps(run_plain(lambda: get_json(admin_url + path)), indent=2))
        return 0
    left, after = options.limit, options.after
    console = Console()
    while left > 0:
        page = run_plain(partial(_page, admin_url, min(left, PAGE), after))
        for session in page["sessions"]:
            console.line(json.dumps(session) if options.json else _line(session))
        left -= len(page["sessions"])
        after = page["after"]
        if after is None:
            return 0
    if not options.json:
        console.line(f"more follow: --after {after}")
    return 0


def _page(admin_url: str, limit: int, after: str) -> Any:
    query = urlencode({"limit": limit, "after": after})
    return get_json(f"{admin_url}/admin/v1/sessions?{query}")


def _line(session: dict[str, Any]) -> str:
    worker = f"  worker {session['worker']}" if "worker" in session else ""
    return (
        f"{session['sid']}  {session['wallet']}  {session['age_s']:9.1f} s  "
        f"{session['queued_bytes']:7} B queued  {session['subscriptions']} subscriptions  "
        f"{session['quotes']} quotes{worker}"
    )
