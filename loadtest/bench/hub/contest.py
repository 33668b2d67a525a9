"""Servers under one roof: started alike, checked to say the same, each with its generator."""

import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.hub.generator import Generator, compile_generator, running_generator
from bench.hub.probe import Answers, read_all
from bench.hub.processes import BenchError, cores, stop
from bench.hub.servers import (
    HUB,
    RIVAL_COMMANDS,
    Server,
    running_network,
    start_hub,
    start_rival,
)
from bench.hub.wallets import write_wallets
from bench.hub.work import Orders, record_work

READY_S_MAX: Final = 20.0
_POLL_S: Final = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server and the generator that is connected to it."""

    server: Server
    generator: Generator

    @property
    def name(self) -> str:
        """The server's name."""
        return self.server.name


class Contest:
    """Starts servers, as often as asked, that all say what the hub said first."""

    def __init__(self, folder: Path, network: dict[str, str], rivals: Sequence[str], say: Say):
        self._folder = folder
        self._network = network
        self._core, self.generator_core = cores()
        self._generator = compile_generator(folder)
        self._wallets = folder / "wallets.bin"
        self._work = folder / "work.txt"
        self._states = 0
        self.missing: dict[str, str] = {}
        """Rival -> why it can't be had here."""
        self._commands: dict[str, list[str]] = {}
        self.say = say
        for name in rivals:
            try:
                self._commands[name] = RIVAL_COMMANDS[name](folder)
            except BenchError as error:
                self.missing[name] = str(error)
                say(f"{name} is missing: {error}")
        self.orders = Orders(network["node"])
        self._record()

    @property
    def names(self) -> list[str]:
        """The hub and the rivals that can be had."""
        return [HUB, *self._commands]

    def among(self, *names: str) -> list[str]:
        """Return those of *names* that can be had."""
        return [name for name in names if name in self.names]

    @contextmanager
    def server(self, name: str) -> Iterator[Server]:
        """Run one server until the block ends."""
        server = self._start(name)
        try:
            yield server
        finally:
            stop(server.process)

    @contextmanager
    def contender(self, name: str) -> Iterator[Contender]:
        """Run one server and a generator until the block ends."""
        with (
            self.server(name) as server,
            running_generator(
                self._generator,
                port=server.port,
                server_pid=server.pid,
                wallets=self._wallets,
                core=self.generator_core,
            ) as generator,
        ):
            yield Contender(server, generator)

    @contextmanager
    def all(self) -> Iterator[list[Contender]]:
        """Run all servers beside each other; those that nobody asks cost next to nothing."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.contender(name)) for name in self.names]

    def _start(self, name: str) -> Server:
        if name != HUB:
            return start_rival(name, self._commands[name], self._core, self._work)
        self._states += 1
        server = start_hub(self._core, self._network, self._folder / f"hub-{self._states}")
        _wait_ready(server)
        if self._work.exists():
            read_all(server.port)  # From here on memory knows every wallet.
        return server

    def _record(self) -> None:
        """Record the hub's answers, and hold every rival to them."""
        with self.server(HUB) as hub:
            wanted = read_all(hub.port)
            record_work(hub.port, self.orders, wanted, self._work)
        write_wallets(self._wallets, wanted.trusts)
        for name in self._commands:
            with self.server(name) as rival:
                compare(name, read_all(rival.port), wanted)
        self.say(
            f"all {len(self.names)} servers give the same bytes for {len(wanted.trusts)} wallets"
        )


def compare(name: str, found: Answers, wanted: Answers) -> None:
    """Raise BenchError where a rival's replies differ from the hub's in more than the times."""
    for mine, theirs in zip(wanted.frames, found.frames, strict=True):
        if mine != theirs:
            raise BenchError(f"{name} answers {theirs.hex()}, the hub {mine.hex()}")


@contextmanager
def open_contest(rivals: Sequence[str], say: Say) -> Iterator[Contest]:
    """Run the network and prepare everything in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="realtime-bench-") as folder:
        _, core = cores()
        with running_network(core) as network:
            yield Contest(Path(folder), network, rivals, say)


def _wait_ready(hub: Server) -> None:
    url = f"http://127.0.0.1:{hub.port}/readyz"
    end_s = time.monotonic() + READY_S_MAX
    while time.monotonic() < end_s:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(_POLL_S)
    raise BenchError(f"the hub isn't ready after {READY_S_MAX:.0f} s")
