"""Hub processes that share a Redis and a state folder, over a devnet, to be killed and stopped.

with fleet(tmp_path) as running:
    one, two = running.start(), running.start()
    running.owner()
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from devnet_fixture import DevnetProcess
from realtime_client import Wallet
from realtime_devnet.devnet import Devnet
from realtime_devnet.settings import DevnetSettings
from redis_fixture import RedisServer, running_redis

WITHIN_S = 45.0
Found = TypeVar("Found")
_ROOMY = {
    "REALTIME_HUB_REQUESTS_PER_S": "1000000",
    "REALTIME_HUB_REQUESTS_BURST": "1000000",
    "REALTIME_HUB_SESSIONS_PER_IP_MAX": "1000000",
    "REALTIME_HUB_SESSIONS_PER_WALLET_MAX": "1000000",
    "REALTIME_HUB_UPGRADES_PER_IP_PER_S": "1000000",
}


class HubProcess:
    """One hub in a process of its own."""

    def __init__(
        self, arguments: list[str], log: Path, before: Callable[[], None] | None = None
    ) -> None:
        self.log = log
        reader, writer = os.pipe()
        processing = ["--log-file", str(log), "--ready-fd", str(writer)]
        with log.with_suffix(".err").open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "realtime_cli", "serve", *arguments, *processing],
                pass_fds=[writer],
                preexec_fn=before,
                env=os.environ | _ROOMY,
                stderr=said,
            )
        os.close(writer)
        with os.fdopen(reader) as pipe:
            line = pipe.readline()
        assert line, f"the hub did not start; see {log}"
        facts: dict[str, Any] = json.loads(line)
        self.url: str = facts["url"]
        self.rest_url: str = facts["rest_url"]
        self.admin_url: str = facts["admin_url"]

    def metric(self, name: str) -> float:
        """Return a gauge or counter without labels; 0 where the hub doesn't answer."""
        try:
            with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=1) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    @property
    def owns(self) -> bool:
        """Whether it says that it owns the payments."""
        return self.metric("realtime_payments_owner") == 1.0

    @property
    def ready(self) -> bool:
        """Whether /readyz says so."""
        return self.readiness()[0] == 200

    def readiness(self) -> tuple[int, str]:
        """Return status and body of /readyz."""
        url = self.rest_url.rpartition("/api/")[0] + "/readyz"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it and return its status."""
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.send_signal(signal.SIGCONT)
        return self.process.wait(WITHIN_S)


class Fleet:
    """The hubs, and what they share."""

    def __init__(self, folder: Path, devnet: DevnetProcess, redis: RedisServer) -> None:
        self.devnet = devnet
        self.redis = redis
        self.hubs: list[HubProcess] = []
        self._folder = folder
        demo = json.loads((devnet.state / "demo.json").read_bytes())
        self.wallets = [Wallet.from_seed(one["seed"]) for one in demo["wallets"]]
        self._admin = Wallet.from_seed(demo["admin_seed"]).identity

    def start(
        self, *arguments: str, state: str = "hub", before: Callable[[], None] | None = None
    ) -> HubProcess:
        """Start a hub; it is ready for connections when this returns. *before* runs in it first."""
        options = {
            "--port": "0",
            "--admin-port": "0",
            "--state": str(self._folder / state),
            "--node": f"127.0.0.1:{self.devnet.addresses.node_port}",
            "--admin": self._admin,
            "--redis-url": self.redis.url,
        }
        hub = HubProcess(
            [*(word for option in options.items() for word in option), *arguments],
            self._folder / f"hub-{len(self.hubs)}.log",
            before,
        )
        self.hubs.append(hub)
        return hub

    def owner(self) -> HubProcess:
        """Wait until one hub owns the payments, and return it."""
        return wait_for(lambda: next((hub for hub in self.hubs if hub.owns), None))

    def executed(self) -> tuple[int, int]:
        """Stop the devnet; return how many transactions it executed, and what the payee got."""
        self.devnet.stop()
        opened = Devnet.open(DevnetSettings(state=str(self.devnet.state)), now_ms=0)
        try:
            payee = opened.wallets[-1]
            return (
                opened.transactions_count(),
                opened.balance_qu(payee.public_key) - payee.balance_qu,
            )
        finally:
            opened.close()


@contextlib.contextmanager
def fleet(folder: Path, *, tick_ms: int = 100) -> Iterator[Fleet]:
    """Run Redis and devnet, and end every hub that was started."""
    (folder / "redis").mkdir()
    with (
        running_redis(folder / "redis") as redis,
        DevnetProcess(folder / "devnet", tick_ms=tick_ms) as devnet,
    ):
        running = Fleet(folder, devnet, redis)
        try:
            yield running
        finally:
            for hub in running.hubs:
                if hub.process.poll() is None:
                    hub.end()


def wait_for(look: Callable[[], Found | None], *, within_s: float = WITHIN_S) -> Found:
    """Return what *look* returns once that is something."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        time.sleep(0.02)
