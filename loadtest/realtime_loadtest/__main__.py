"""``python -m realtime_loadtest``: 20 s of load on the running hub.

It is Locust without its web page; each of Locust's own options may follow and wins.
"""

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

from realtime_loadtest.demo_wallets import read_demo_wallets

USERS: Final = 10
USERS_PER_S: Final = 5
"""Below the hub's 10 upgrades a second and address."""
RUN_TIME: Final = "20s"


def main() -> NoReturn:
    """Become Locust; exit with one clear line without a devnet's demo wallets."""
    try:
        read_demo_wallets()
    except (OSError, ValueError) as error:
        sys.exit(f"realtime load test: {error}")
    options = ["--headless", "--only-summary", "--run-time", RUN_TIME]
    options += ["--users", str(USERS), "--spawn-rate", str(USERS_PER_S)]
    locustfile = Path(__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "--locustfile", str(locustfile), *options]
    os.execv(sys.executable, [*command, *sys.argv[1:]])  # noqa: S606  (Locust, as installed here)


if __name__ == "__main__":
    main()
