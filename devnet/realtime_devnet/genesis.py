"""How a network begins: its keys, its wallets and what makes it unlike any other.

Secrets are drawn once, here, when a network is made; after that nothing is random.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from realtime_devnet.settings import DemoWallet
from realtime_protocol.identity import PublicKey
from realtime_protocol.schnorrq import SEED_LETTERS, KeyPair, keypair

EPOCH: Final = 1
"""A devnet has one epoch; 0 would mean "not ready" to clients."""
WALLETS: Final = 3
WALLET_BALANCE_QU: Final = 1_000_000_000
REPEATABLE_CLOCK_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_LETTERS: Final = 26


class Genesis(msgspec.Struct, frozen=True):
    """All that a network begins with. It holds secrets: never log it."""

    start_tick: int
    clock_ms: int
    """The network's own clock at the first tick, epoch milliseconds."""
    randomness: bytes
    """32 bytes in each TickData's timelock: what makes this network unlike any other."""
    computor_seed: str
    admin_seed: str
    wallet_seeds: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Genesis(start_tick={self.start_tick}, randomness={self.randomness.hex()})"

    def computor(self) -> KeyPair:
        """Return the key that stands in all 676 places."""
        return keypair(self.computor_seed)

    def admin(self) -> DemoWallet:
        """Return TurboAuth's administrator."""
        return _wallet(self.admin_seed)

    def wallets(self) -> tuple[DemoWallet, ...]:
        """Return the demo wallets."""
        return tuple(map(_wallet, self.wallet_seeds))


def make_genesis(start_tick: int, *, seed: int | None, now_ms: int) -> Genesis:
    """Return a new network's beginning, repeatable when *seed* is given."""
    entropy = secrets.token_bytes if seed is None else _repeatable(seed)
    return Genesis(
        start_tick=start_tick,
        clock_ms=now_ms if seed is None else REPEATABLE_CLOCK_MS,
        randomness=entropy(32),
        computor_seed=_seed_letters(entropy),
        admin_seed=_seed_letters(entropy),
        wallet_seeds=tuple(_seed_letters(entropy) for _ in range(WALLETS)),
    )


def _wallet(seed: str) -> DemoWallet:
    return DemoWallet(seed, PublicKey(keypair(seed).public_key), WALLET_BALANCE_QU)


def _repeatable(seed: int) -> Callable[[int], bytes]:
    drawn = 0

    def draw(size_bytes: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(f"realtime devnet {seed} {drawn}".encode()).digest(size_bytes)

    return draw


def _seed_letters(entropy: Callable[[int], bytes]) -> str:
    # Bytes that would make some letters likelier than others are thrown away.
    fair = 256 - 256 % _LETTERS
    letters: list[str] = []
    while len(letters) < SEED_LETTERS:
        letters += [chr(ord("a") + byte % _LETTERS) for byte in entropy(64) if byte < fair]
    return "".join(letters[:SEED_LETTERS])
