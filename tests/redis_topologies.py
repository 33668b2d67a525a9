"""Real Redis servers as hubs meet them: one, a primary with Sentinels, a Cluster.

Each has `url`, `servers`, `primary` (whoever takes the log's writes now) and `fail_over()`.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import redis
from redis.crc import key_slot

from realtime_hub.adapters.redis_servers import TAG
from redis_fixture import RedisServer, free_port

NAME = "main"
NODE_TIMEOUT_MS = 1_000
DOWN_AFTER_MS = 500


class Topology(Protocol):
    """Servers that act as one."""

    url: str
    servers: list[RedisServer]

    @property
    def primary(self) -> RedisServer: ...

    def fail_over(self) -> None:
        """Kill the primary; return once another one took over."""
        ...


def ask(server: RedisServer, *command: str | int | bytes) -> Any:
    """Send one command to one server, whatever it is."""
    with redis.Redis(port=server.port, socket_timeout=2, protocol=2) as client:
        return client.execute_command(*command)


def wait_until(condition: Callable[[], object], *, within_s: float = 15) -> None:
    """Poll a thing that servers agree on by themselves."""
    deadline_s = time.monotonic() + within_s
    while True:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s} s: {condition}")
        time.sleep(0.02)


def find_disk_full(server: RedisServer) -> None:
    """Write until it is refused: with `everysec` the write that finds the disk full is answered."""

    def refuses() -> bool:
        try:
            ask(server, "SET", "filler", bytes(100))
        except redis.RedisError as error:
            return "MISCONF" in str(error)
        return False

    wait_until(refuses)


def wait_for_all(servers: list[RedisServer], condition: Callable[[RedisServer], object]) -> None:
    """Wait until it holds at each server."""
    for server in servers:
        wait_until(functools.partial(condition, server))


class SingleServer:
    """One server. Its fail-over is a restart over its append-only file."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder)]
        self.url = self.servers[0].url

    @property
    def primary(self) -> RedisServer:
        return self.servers[0]

    def start(self) -> None:
        self.primary.start()

    def fail_over(self) -> None:
        self.primary.stop()
        self.primary.start()


class SentinelSet:
    """A primary, a replica and three Sentinels."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(_folder(folder, f"redis{n}")) for n in range(2)]
        self.sentinels = [RedisServer(_folder(folder, f"sentinel{n}")) for n in range(3)]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/{NAME}"

    @property
    def primary(self) -> RedisServer:
        port = self._named_by(self.sentinels[0])
        return next(server for server in self.servers if server.port == port)

    def _named_by(self, sentinel: RedisServer) -> int:
        return int(ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def start(self) -> None:
        first, second = self.servers
        first.start()
        second.start("--replicaof", "127.0.0.1", str(first.port))
        wait_until(lambda: ask(second, "ROLE")[3] == b"connected")
        for sentinel in self.sentinels:
            config = sentinel.folder / "sentinel.conf"
            config.write_text(
                f"sentinel monitor {NAME} 127.0.0.1 {first.port} 2\n"
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {NAME} 3000\n"
            )
            sentinel.start_sentinel(config)
        self._wait_settled()

    def _wait_settled(self) -> None:
        wait_for_all(self.sentinels, lambda s: len(ask(s, "SENTINEL", "SENTINELS", NAME)) == 2)
        wait_for_all(self.sentinels, lambda s: len(ask(s, "SENTINEL", "REPLICAS", NAME)) == 1)

    def fail_over(self) -> None:
        old = self.primary
        old.stop()
        wait_for_all(self.sentinels, lambda s: self._named_by(s) != old.port)
        old.start("--replicaof", "127.0.0.1", str(self.primary.port))

    def stop(self) -> None:
        for sentinel in self.sentinels:
            sentinel.stop()


class Cluster:
    """Three primaries, and a replica of the one that holds our slot."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(_folder(folder, f"node{n}")) for n in range(4)]
        self._bus_ports = {server: free_port() for server in self.servers}
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])
        self.url = f"redis+cluster://{hosts}"
        self._slot = key_slot(TAG.encode())

    @property
    def primary(self) -> RedisServer:
        found = None

        def held() -> bool:
            nonlocal found
            found = self._holder()
            return found is not None

        wait_until(held)
        assert found is not None
        return found

    def _holder(self) -> RedisServer | None:
        for server in self.servers:
            with contextlib.suppress(redis.RedisError):
                # A node that takes a write to our slot is its primary.
                ask(server, "PERSIST", TAG)
                return server
        return None

    def start(self) -> None:
        for server in self.servers:
            self._start_node(server)
        ranges = [(0, 5460), (5461, 10922), (10923, 16383)]
        for server, (first, last) in zip(self.servers, ranges, strict=False):
            ask(server, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for number, server in enumerate(self.servers):
            ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                known = self.servers[0]
                ask(server, "CLUSTER", "MEET", "127.0.0.1", known.port, self._bus_ports[known])
        wait_for_all(self.servers, lambda s: b"known_nodes:4" in ask(s, "CLUSTER", "INFO"))
        wait_for_all(self.servers, lambda s: b"state:ok" in ask(s, "CLUSTER", "INFO"))
        holder = self.servers[next(i for i, (_, last) in enumerate(ranges) if self._slot <= last)]
        name = ask(holder, "CLUSTER", "MYID")
        wait_until(lambda: ask(self.servers[3], "CLUSTER", "REPLICATE", name) == b"OK")
        wait_until(lambda: ask(self.servers[3], "ROLE")[3] == b"connected")
        wait_for_all(self.servers[:3], lambda s: len(ask(s, "CLUSTER", "REPLICAS", name)) == 1)

    def _start_node(self, server: RedisServer) -> None:
        server.start(
            "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
            "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
            "--cluster-port", str(self._bus_ports[server]),
            "--cluster-replica-validity-factor", "0",
        )  # fmt: skip

    def fail_over(self) -> None:
        old = self.primary
        old.stop()
        new = self.primary
        self._start_node(old)
        wait_until(lambda: ask(old, "ROLE")[0] == b"slave" and ask(old, "ROLE")[3] == b"connected")
        wait_until(lambda: ask(new, "ROLE")[2])

    def stop(self) -> None:
        """Every node is among the servers."""


TOPOLOGIES: dict[str, Callable[[Path], Any]] = {
    "single": SingleServer,
    "sentinel": SentinelSet,
    "cluster": Cluster,
}


@contextlib.contextmanager
def running_topology(kind: str, folder: Path) -> Iterator[Topology]:
    """Run single, sentinel or cluster until the block ends."""
    made = TOPOLOGIES[kind](folder)
    try:
        made.start()
        yield made
    finally:
        for server in made.servers:
            server.stop()
        if kind != "single":
            made.stop()


def flush(topology: Topology) -> None:
    """Empty every server that takes writes."""
    for server in topology.servers:
        with contextlib.suppress(redis.ReadOnlyError):
            ask(server, "FLUSHALL")


def _folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    return made
