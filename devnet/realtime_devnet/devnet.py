"""A network with its store: what the servers ask, and what moves a tick on.

All calls are synchronous and from one thread. A step is on disk before anyone can see it.
"""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from realtime_devnet.genesis import make_genesis
from realtime_devnet.ledger import Entity
from realtime_devnet.network import Network, Processed, Refusal
from realtime_devnet.pool import Pending
from realtime_devnet.settings import (
    CONTRACT_INDEX,
    START_TICK,
    START_TICK_MAX,
    DemoWallet,
    DevnetError,
    DevnetSettings,
)
from realtime_devnet.store import MEMORY, Store
from realtime_protocol.qubic.node_wire import TickData

DATABASE_NAME: Final = "devnet.sqlite3"
DEMO_NAME: Final = "demo.json"
LOCK_NAME: Final = "lock"


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction in a tick's list, processed or not yet."""

    digest: bytes
    signed: bytes


class Devnet:
    """A simulated network. Step it by hand, or serve it (see serving.py) and let time do it."""

    def __init__(self, network: Network, store: Store, *, lock: int | None = None) -> None:
        self.network = network
        self._store = store
        self._lock = lock
        self._admin = network.genesis.admin()
        self._wallets = network.genesis.wallets()

    @classmethod
    def in_memory(cls, *, seed: int = 1, start_tick: int = START_TICK, tick_ms: int = 1000) -> Self:
        """Return a repeatable network that leaves nothing behind."""
        genesis = make_genesis(start_tick, seed=seed, now_ms=0)
        network = Network.begin(genesis, tick_ms=tick_ms)
        store = Store(MEMORY)
        store.create(network)
        return cls(network, store)

    @classmethod
    def open(cls, settings: DevnetSettings, *, now_ms: int) -> Self:
        """Return the network in the state directory, or begin one there.

        *now_ms* is the new network's first time. Raises :class:`DevnetError` when another process
        uses the directory, or when it holds another network than the settings ask for.
        """
        directory = settings.state_path
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(directory)
        try:
            if settings.reset:
                _forget(directory)
            if not (directory / DATABASE_NAME).exists():
                _begin(directory, settings, now_ms)
            devnet = cls._resume(directory, settings, lock)
        except BaseException:
            os.close(lock)
            raise
        return devnet

    @classmethod
    def _resume(cls, directory: Path, settings: DevnetSettings, lock: int) -> Self:
        store = Store(directory / DATABASE_NAME)
        try:
            network = store.load(tick_ms=settings.tick_ms)
            _require_same(network, settings, directory)
        except BaseException:
            store.close()
            raise
        return cls(network, store, lock=lock)

    @property
    def admin(self) -> DemoWallet:
        """TurboAuth's administrator at the network's beginning."""
        return self._admin

    @property
    def wallets(self) -> tuple[DemoWallet, ...]:
        """The demo wallets."""
        return self._wallets

    @property
    def tick(self) -> int:
        """The current tick; all before it are processed."""
        return self.network.tick

    def close(self) -> None:
        """Release the state directory."""
        self._store.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def submit(self, signed: bytes) -> Refusal | None:
        """Take a transaction into the pool, or say why not."""
        return self.network.submit(signed)

    def step(self, ticks: int = 1) -> None:
        """Process so many ticks. An error leaves the memory ahead of the disk: stop then."""
        for _ in range(ticks):
            self._store.record(self.network.step())

    def entity(self, public_key: bytes) -> Entity | None:
        """Return an account as of the current tick's start."""
        return self.network.ledger.entity(public_key)

    def balance_qu(self, public_key: bytes) -> int:
        """Return what a key can spend; 0 for one that the spectrum doesn't know."""
        entity = self.entity(public_key)
        return 0 if entity is None else entity.balance_qu

    def tick_data(self, tick: int) -> TickData | None:
        """Return a tick's list as soon as it is fixed; None when empty."""
        fixed = self.network.fixed(tick)
        return fixed.data if fixed is not None else self._store.tick_data(tick)

    def tick_transactions(self, tick: int) -> list[Included]:
        """Return the transactions of a fixed tick in order."""
        fixed = self.network.fixed(tick)
        found: list[Processed] | tuple[Pending, ...] = (
            fixed.transactions if fixed is not None else self._store.transactions(tick)
        )
        return [Included(each.digest, each.signed) for each in found]

    def processed(self, tick: int) -> list[Processed]:
        """Return the transactions of a processed tick, with what became of them."""
        return self._store.transactions(tick)

    def transaction(self, digest: bytes) -> Processed | None:
        """Return a processed transaction, also one that could not pay."""
        return self._store.transaction(digest)

    def transactions_count(self) -> int:
        """Return how many transactions were processed in all."""
        return self._store.transactions_count()

    def empty_ticks_count(self) -> int:
        """Return how many processed ticks held no transaction."""
        genesis = self.network.genesis
        return self._store.empty_ticks_count(genesis.start_tick, self.tick)


def _lock(directory: Path) -> int:
    lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DevnetError(
            f"another devnet uses {directory}; stop it, or name another --state"
        ) from error
    return lock


def _forget(directory: Path) -> None:
    # The database goes first: without it the rest means nothing and is written anew.
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", DEMO_NAME):
        (directory / name).unlink(missing_ok=True)


def _begin(directory: Path, settings: DevnetSettings, now_ms: int) -> None:
    start_tick = settings.start_tick or START_TICK
    genesis = make_genesis(start_tick, seed=settings.seed, now_ms=now_ms)
    network = Network.begin(genesis, tick_ms=settings.tick_ms)
    unfinished = directory / f"{DATABASE_NAME}.new"
    for name in (unfinished.name, f"{unfinished.name}-wal", f"{unfinished.name}-shm"):
        (directory / name).unlink(missing_ok=True)
    # It holds the demo seeds, so nobody else may read it, from its first byte on.
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    store = Store(unfinished)
    try:
        store.create(network)
    finally:
        store.close()
    _write_demo(directory, network)
    # From here on the network exists; killed before, the next start begins another.
    unfinished.rename(directory / DATABASE_NAME)


def _write_demo(directory: Path, network: Network) -> None:
    genesis = network.genesis
    demo = {
        "admin_seed": genesis.admin_seed,
        "wallets": [
            {"seed": wallet.seed, "identity": wallet.identity, "balance": wallet.balance_qu}
            for wallet in genesis.wallets()
        ],
        "contract_index": CONTRACT_INDEX,
    }
    unfinished = directory / f"{DEMO_NAME}.new"
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump(demo, file, indent=2)
        file.write("\n")
    unfinished.rename(directory / DEMO_NAME)


def _require_same(network: Network, settings: DevnetSettings, directory: Path) -> None:
    genesis = network.genesis
    if settings.start_tick not in (None, genesis.start_tick):
        raise DevnetError(
            f"{directory} holds a network that began at tick {genesis.start_tick}, not "
            f"{settings.start_tick}; leave start_tick out, or --reset"
        )
    if settings.seed is not None:
        asked = make_genesis(genesis.start_tick, seed=settings.seed, now_ms=0)
        if asked.randomness != genesis.randomness:
            raise DevnetError(
                f"{directory} holds a network of another seed; leave the seed out, or --reset"
            )
    if network.tick > START_TICK_MAX:
        raise DevnetError(
            f"{directory} holds a network at tick {network.tick}, too near to mainnet's; --reset"
        )
