"""Apps that a hub serves: their API keys and block lists. A secret is shown once, when it is made.

It works on the hub's state folder; a running hub takes a change up within 0.1 s. Hubs with folders
of their own need it in each of them.
"""

import argparse
import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from realtime_cli.errors import CliError, UsageError
from realtime_cli.hub_access import parse_wallet
from realtime_cli.running import layers_of

if TYPE_CHECKING:
    from realtime_hub.adapters.sqlite_apps import SqliteApps
    from realtime_hub.apps.model import ApiKey
    from realtime_hub.config import HubSettings

REQUESTS_PER_S: Final = 1_000
SESSIONS_MAX: Final = 16
OVERLAP_H: Final = 24
_REQUESTS_PER_S_MAX: Final = 100_000
_SESSIONS_MAX: Final = 10_000
_OVERLAP_H_MAX: Final = 30 * 24
_REASON_MAX: Final = 65_535
_HOUR_MS: Final = 3_600_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list|key|block|unblock|blocks"
    )
    actions.add_parser("list", help="print the apps of the settings, with their domains")
    _add_key_arguments(actions.add_parser("key", help="API keys: add, list, rotate, revoke"))
    block = actions.add_parser("block", help="refuse a wallet in one app, at once")
    unblock = actions.add_parser("unblock", help="let it in again")
    blocks = actions.add_parser("blocks", help="print an app's block list")
    for action in (block, unblock, blocks):
        action.add_argument("app", metavar="APP")
    for action in (block, unblock):
        action.add_argument("wallet", metavar="WALLET", help="60 letters")
    block.add_argument("--reason", type=int, default=0, metavar="NUMBER", help="your own (0)")
    for action in actions.choices.values():
        action.add_argument("--state", metavar="DIR", help="the hub's state (.realtime/hub)")


def _add_key_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="key_action", required=True, metavar="add|list|rotate|revoke"
    )
    add = actions.add_parser("add", help="make a key and print it, once")
    add.add_argument("app", metavar="APP")
    add.add_argument(
        "--scopes",
        default="rest,service",
        metavar="LIST",
        help="service (service sessions, the trust stream), rest (REST as the app); both",
    )
    add.add_argument("--requests-per-s", type=int, default=REQUESTS_PER_S, metavar="N")
    add.add_argument("--sessions", type=int, default=SESSIONS_MAX, metavar="N")
    listed = actions.add_parser("list", help="print every key, without what it is known by")
    listed.add_argument("app", metavar="APP", nargs="?")
    rotate = actions.add_parser("rotate", help="make a key like an old one, which then runs out")
    rotate.add_argument("key_id", type=_bare_id, metavar="KEY_ID", help="as list shows it")
    rotate.add_argument(
        "--overlap",
        type=int,
        default=OVERLAP_H,
        metavar="HOURS",
        help=f"how long the old one is still taken ({OVERLAP_H})",
    )
    revoke = actions.add_parser("revoke", help="refuse a key from now on, and end its sessions")
    revoke.add_argument("key_id", type=_bare_id, metavar="KEY_ID", help="as list shows it")
    for action in actions.choices.values():
        action.add_argument("--state", metavar="DIR", help="the hub's state (.realtime/hub)")


def _bare_id(text: str) -> str:
    """Return the eight digits of a key's id, with or without what is before them in a list."""
    return text.removeprefix("rtk_")


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    from realtime_hub.adapters.sqlite_apps import SqliteApps
    from realtime_hub.wiring.apps import APPS_FILE

    settings = layers_of(options).hub({"state": options.state})
    if not settings.apps:
        raise CliError("the settings list no app; add a table [[hub.apps]] (docs/howto/apps.md)")
    if options.action == "list":
        for app in settings.apps:
            print(f"{app.name:<20}  {', '.join(app.all_domains)}")
        return 0
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with ExitStack() as stack:
            store = SqliteApps(settings.state / APPS_FILE)
            stack.callback(store.close_file)
            return _run(options, settings, store)
    except (sqlite3.Error, OSError) as error:
        raise CliError(f"{settings.state / APPS_FILE}: {error}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _run(options: argparse.Namespace, settings: "HubSettings", store: "SqliteApps") -> int:
    if options.action == "key":
        return _run_key(options, settings, store)
    _require_app(settings, options.app)
    if options.action == "block":
        return _block(options, store)
    if options.action == "unblock":
        if not store.end_block(options.app, parse_wallet(options.wallet), at_ms=_now_ms()):
            raise CliError(f"app {options.app} doesn't block this wallet")
        print(f"{options.wallet} may log in to {options.app} again")
        return 0
    from realtime_protocol.identity import encode_identity

    for block in store.blocks():
        if block.app == options.app and block.ended_ms is None:
            print(f"{encode_identity(block.wallet)}  {block.reason:<5}  {_time(block.at_ms)}")
    return 0


def _block(options: argparse.Namespace, store: "SqliteApps") -> int:
    from realtime_hub.apps.model import AppBlock

    if not 0 <= options.reason <= _REASON_MAX:
        raise UsageError(f"--reason is 0 to {_REASON_MAX}, not {options.reason}")
    wallet = parse_wallet(options.wallet)
    store.put_block(AppBlock(options.app, wallet, options.reason, _now_ms()))
    print(f"{options.wallet} is blocked in {options.app}; a running hub knows within 0.1 s")
    return 0


def _run_key(options: argparse.Namespace, settings: "HubSettings", store: "SqliteApps") -> int:
    match options.key_action:
        case "add":
            _require_app(settings, options.app)
            _show_new(_add_key(options, store))
        case "rotate":
            _show_new(_rotate(options, store))
        case "revoke":
            if not store.end_key(options.key_id, at_ms=_now_ms(), revoked=True):
                raise CliError(f"there is no key {options.key_id!r}; see realtime apps key list")
            print(f"{options.key_id} is revoked; a running hub ends its sessions within 0.1 s")
        case _:
            _list_keys(store.keys(), options.app)
    return 0


def _add_key(options: argparse.Namespace, store: "SqliteApps") -> str:
    from realtime_hub.apps.model import KeyScope

    scopes = frozenset(filter(None, options.scopes.split(",")))
    unknown = scopes - set(KeyScope)
    if unknown or not scopes:
        raise UsageError(f"--scopes is one or more of {', '.join(KeyScope)}")
    if not 1 <= options.requests_per_s <= _REQUESTS_PER_S_MAX:
        raise UsageError(f"--requests-per-s is 1 to {_REQUESTS_PER_S_MAX}")
    if not 1 <= options.sessions <= _SESSIONS_MAX:
        raise UsageError(f"--sessions is 1 to {_SESSIONS_MAX}")
    return _make(store, options.app, scopes, options.requests_per_s, options.sessions)


def _rotate(options: argparse.Namespace, store: "SqliteApps") -> str:
    if not 0 <= options.overlap <= _OVERLAP_H_MAX:
        raise UsageError(f"--overlap is 0 to {_OVERLAP_H_MAX} hours")
    now_ms, held = _now_ms(), store.keys()
    old = next((key for key in held if key.key_id == options.key_id), None)
    if old is None or not old.is_good(now_ms):
        raise CliError(f"there is no key {options.key_id!r} in use; see realtime apps key list")
    token = _make(store, old.app, old.scopes, old.requests_per_s, old.sessions_max)
    store.end_key(old.key_id, at_ms=now_ms + options.overlap * _HOUR_MS, revoked=False)
    print(f"{old.key_id} runs out at {_time(now_ms + options.overlap * _HOUR_MS)}")
    return token


def _make(
    store: "SqliteApps", app: str, scopes: frozenset[str], requests_per_s: int, sessions_max: int
) -> str:
    """Keep a new key and return its token, which is kept nowhere."""
    from realtime_hub.apps.model import KEY_ID_BYTES, SECRET_BYTES, ApiKey, hash_token, make_token

    key_id = secrets.token_hex(KEY_ID_BYTES)
    token = make_token(key_id, secrets.token_bytes(SECRET_BYTES))
    store.add_key(
        ApiKey(
            key_id=key_id,
            app=app,
            token_hash=hash_token(token),
            scopes=scopes,
            requests_per_s=requests_per_s,
            sessions_max=sessions_max,
            created_ms=_now_ms(),
        )
    )
    return token


def _show_new(token: str) -> None:
    print(token)
    print("Keep it where your backend reads its secrets: it isn't shown again.")


def _list_keys(keys: Sequence["ApiKey"], app: str | None) -> None:
    print(f"{'key':<12}  {'app':<20}  {'scopes':<12}  {'a second':>8}  {'sessions':>8}  until")
    for key in keys:
        if app is None or key.app == app:
            until = "-" if key.expires_ms is None else _time(key.expires_ms)
            until = until if key.revoked_ms is None else f"revoked {_time(key.revoked_ms)}"
            print(
                f"rtk_{key.key_id}  {key.app:<20}  {','.join(sorted(key.scopes)):<12}  "
                f"{key.requests_per_s:>8}  {key.sessions_max:>8}  {until}"
            )


def _require_app(settings: "HubSettings", name: str) -> None:
    names = [app.name for app in settings.apps]
    if name not in names:
        raise UsageError(f"there is no app {name!r}; the settings list {', '.join(names)}")


def _time(epoch_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(epoch_ms / 1_000))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
