"""What a devnet is told and what it tells."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from realtime_protocol.identity import PublicKey, encode_identity

START_TICK: Final = 1_000_000
START_TICK_MAX: Final = 60_000_000
"""Mainnet is past 75 million, and a transaction names no network, only a tick: one that was signed
for a devnet must never be good there."""

CONTRACT_INDEX: Final = 29
"""Where TurboAuth lives on a devnet; mainnet's last contract has 28."""

TICK_MS_MIN: Final = 10
TICK_MS_MAX: Final = 60_000
_PORT_MAX: Final = 65_535


class DevnetError(Exception):
    """The devnet can't start or go on; the text says why and what to do."""


class PortTaken(OSError):  # noqa: N818  (named for what happened, as OSError's own subclasses are)
    """Another program listens where the devnet should; the text names host:port."""


class DevnetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of a devnet; ValueError for one out of bounds. A port 0 takes a free one."""

    host: str = "127.0.0.1"
    node_port: int = 21841
    http_port: int = 8081
    tick_ms: int = 1000
    state: str = ".realtime/devnet"
    """Directory of the network's state."""
    reset: bool = False
    """Forget the network in the state directory and begin another."""
    seed: int | None = None
    """Makes the whole network repeatable, its secrets included: for tests only."""
    start_tick: int | None = None
    """A new network's first tick; 1,000,000 by default."""

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host is empty; use 127.0.0.1")
        for name in ("node_port", "http_port"):
            _require_range(name, getattr(self, name), 0, _PORT_MAX)
        _require_range("tick_ms", self.tick_ms, TICK_MS_MIN, TICK_MS_MAX)
        if self.start_tick is not None and not 1 <= self.start_tick <= START_TICK_MAX:
            raise ValueError(
                f"start_tick is {self.start_tick}, not in 1..{START_TICK_MAX}: mainnet is past 75 "
                "million, and a transaction signed for a devnet must never be good there"
            )
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it can't be negative")

    @property
    def state_path(self) -> Path:
        """The state directory."""
        return Path(self.state)


@dataclass(frozen=True, slots=True)
class DemoWallet:
    """A funded wallet for trying things out."""

    seed: str = field(repr=False)
    public_key: PublicKey
    balance_qu: int
    """At the network's beginning."""

    @property
    def identity(self) -> str:
        """The 60 letters of its public key."""
        return encode_identity(self.public_key)


@dataclass(frozen=True, slots=True)
class DevnetInfo:
    """What a started devnet offers."""

    node_host: str
    node_port: int
    http_port: int
    tick: int
    contract_index: int
    wallets: tuple[DemoWallet, ...]
    admin: DemoWallet
    demo_path: Path
    """The file with the demo seeds, readable by its owner only."""

    @property
    def node_address(self) -> str:
        """host:port of the node's TCP protocol."""
        return f"{self.node_host}:{self.node_port}"

    @property
    def http_address(self) -> str:
        """Base URL of the HTTP API."""
        return f"http://{self.node_host}:{self.http_port}"

    @property
    def admin_identity(self) -> str:
        """Who may change trust records."""
        return self.admin.identity


def _require_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, not in {low}..{high}")
