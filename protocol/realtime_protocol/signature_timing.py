"""How quick signatures are on this machine: sample messages, and work that is timed.

The hub's estimate of its own speed, `realtime doctor` and the benchmark measure the same things in
the same way. The samples' keys are anybody's; the clock is an argument.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Final, TypeVar

from nacl import bindings

from realtime_protocol.schnorrq import (
    KEY_BYTES,
    SEED_LETTERS,
    Engine,
    KeyPair,
    SignedMessage,
    k12,
    keypair,
    sign,
)

SECOND_NS: Final = 1_000_000_000
SHORT_BYTES: Final = 64
"""What is hashed to tell K12's rate for short texts."""
_NUMBER_LETTERS: Final = 8
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"

Timed = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Work:
    """*times* operations. ``prepare()`` gets ready before each round and returns what is timed."""

    times: int
    prepare: Callable[[], Timed]


def sample_keypair(number: int) -> KeyPair:
    """Return the keys of sample *number*; another number, another wallet."""
    letters = []
    for _ in range(_NUMBER_LETTERS):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return keypair("".join(letters).rjust(SEED_LETTERS, "s"))


def sample_message(number: int) -> SignedMessage:
    """Return a digest signed by the wallet of sample *number*."""
    keys = sample_keypair(number)
    digest = k12(number.to_bytes(8, "little"))
    return keys.public_key, digest, sign(keys.subseed, keys.public_key, digest)


def duration_ns(work: Timed, *, now_s: Callable[[], float]) -> int:
    """Return how long *work* takes once, at least 1 ns."""
    begin_s = now_s()
    work()
    return max(1, round((now_s() - begin_s) * SECOND_NS))


def measure_ns(
    works: Mapping[Name, Work],
    *,
    rounds: int,
    now_s: Callable[[], float],
    pick: Callable[[Sequence[float]], float] = median,
) -> dict[Name, float]:
    """Return the nanoseconds that one operation of each takes: what *pick* takes of the rounds.

    The rounds are interleaved, so that a change of the machine's speed meets all works alike.
    """
    measured: dict[Name, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            measured[name].append(duration_ns(work.prepare(), now_s=now_s) / work.times)
    return {name: pick(found) for name, found in measured.items()}


def verify_ed25519(times: int) -> Work:
    """The yardstick: libsodium's verification of a 32-byte message, called from Python."""
    public_key, secret_key = bindings.crypto_sign_seed_keypair(bytes(32))
    signed = bindings.crypto_sign(bytes(32), secret_key)

    def verified() -> None:
        for _ in range(times):
            bindings.crypto_sign_open(signed, public_key)

    return Work(times, lambda: verified)


class SignatureWorks:
    """The works of one engine. Each cold one uses keys that the engine has never seen."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._numbers = count()
        self._known: list[SignedMessage] = []

    def verify_cold(self, times: int) -> Work:
        """Verify one by one, each of a new key."""
        return Work(times, lambda: self._one_by_one(self._new(times)))

    def verify_cached(self, times: int) -> Work:
        """Verify one by one, of keys that came before."""
        return Work(times, lambda: self._one_by_one(self._seen(times)))

    def batch_cold(self, size: int, *, batches: int = 1) -> Work:
        """Verify in batches of *size*, each of a new key."""
        return Work(size * batches, lambda: self._in_batches(self._new(size * batches), size))

    def batch_cached(self, size: int, *, batches: int = 1) -> Work:
        """Verify in batches of *size*, of keys that came before."""
        return Work(size * batches, lambda: self._in_batches(self._seen(size * batches), size))

    def sign(self, times: int) -> Work:
        """Sign a digest."""
        keys, digest = sample_keypair(0), k12(b"")
        return self._repeat(times, self._engine.sign, keys.subseed, keys.public_key, digest)

    def keygen(self, times: int) -> Work:
        """Derive the public key of a private one."""
        return self._repeat(times, self._engine.public_key, k12(b""))

    def hash_short(self, times: int) -> Work:
        """Hash SHORT_BYTES."""
        return self._repeat(times, self._engine.k12, bytes(SHORT_BYTES))

    def refuse(self, times: int) -> Work:
        """Verify what is refused for its length: what a call itself costs."""
        return self._repeat(times, self._engine.verify, bytes(KEY_BYTES), b"", b"")

    @staticmethod
    def _repeat(times: int, function: Callable[..., object], *arguments: object) -> Work:
        def repeated() -> None:
            for _ in range(times):
                function(*arguments)

        return Work(times, lambda: repeated)

    def _new(self, number: int) -> list[SignedMessage]:
        return [sample_message(next(self._numbers)) for _ in range(number)]

    def _seen(self, number: int) -> list[SignedMessage]:
        self._known += self._new(number - len(self._known))
        items = self._known[:number]
        self._engine.verify_many(items)  # Others may have taken their places in the cache.
        return items

    def _one_by_one(self, items: list[SignedMessage]) -> Timed:
        verify = self._engine.verify

        def verified() -> None:
            for key, message, signature in items:
                verify(key, message, signature)

        return verified

    def _in_batches(self, items: list[SignedMessage], size: int) -> Timed:
        batches = [items[first : first + size] for first in range(0, len(items), size)]

        def verified() -> None:
            for batch in batches:
                self._engine.verify_many(batch)

        return verified
