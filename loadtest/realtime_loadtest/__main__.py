"""``python -m realtime_loadtest [KIND] [Locust's options]``: 20 s of load on the running hub.

It is Locust without its web page; each of Locust's own options may follow and wins.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from realtime_loadtest.demo_wallets import read_demo_wallets

USERS: Final = 10
USERS_PER_S: Final = 5
"""Below the hub's 10 upgrades a second and address."""
RUN_TIME: Final = "20s"

# Kind -> the users of it, as Locust knows them, and what they do.
KINDS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "quotes": (("QuotingWallet",), "log in and ask for quotes, one stream at a time"),
    "storm": (("ReturningWallet",), "are cut off all at once every 5 s and come back"),
    "watch": (
        ("WatchingWallet", "TrustAdministrator"),
        "follow one wallet's trust while the devnet's administrator changes it",
    ),
    "slow": (
        ("SlowReader", "QuotingWallet"),
        "ask for more than they read, 8 KiB/s each, beside users who quote",
    ),
}
DEFAULT_KIND: Final = "quotes"


def main() -> NoReturn:
    """Become Locust; exit with one clear line without a devnet's demo wallets."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        sys.exit(0)
    kind = arguments.pop(0) if arguments[:1] and arguments[0] in KINDS else DEFAULT_KIND
    try:
        read_demo_wallets()
    except (OSError, ValueError) as error:
        sys.exit(f"realtime load test: {error}")
    options = ["--headless", "--only-summary", "--run-time", RUN_TIME]
    options += ["--users", str(USERS), "--spawn-rate", str(USERS_PER_S)]
    locustfile = Path(__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "--locustfile", str(locustfile), *options]
    users, _ = KINDS[kind]
    os.execv(sys.executable, [*command, *arguments, *users])  # noqa: S606  (Locust, as installed here)


def help_text() -> str:
    """Return what the command takes."""
    lines = ["usage: python -m realtime_loadtest [KIND] [Locust's options]", "", "kinds:"]
    lines += [f"  {name:8}users {what}" for name, (_, what) in KINDS.items()]
    lines += [
        "",
        f"Default: {DEFAULT_KIND}, {USERS} users, {RUN_TIME}. Of Locust's options most used:",
        "  --host URL (ws://127.0.0.1:8080/v1), --users N, --spawn-rate N, --run-time 1m,",
        "  --csv NAME; python -m locust --help lists them all.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
