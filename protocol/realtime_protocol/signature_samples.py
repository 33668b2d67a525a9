"""Signed messages to measure signatures with, and how long a piece of work takes.

For the hub's estimate of its own speed, `realtime doctor` and the benchmark: they measure the same
things in the same way. The keys are anybody's; the clock is an argument.
"""

from collections.abc import Callable
from typing import Final

from realtime_protocol.schnorrq import (
    SEED_LETTERS,
    KeyPair,
    SignedMessage,
    k12,
    keypair,
    sign,
)

SECOND_NS: Final = 1_000_000_000
_NUMBER_LETTERS: Final = 8
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"


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


def duration_ns(work: Callable[[], object], *, now_s: Callable[[], float]) -> int:
    """Return how long *work* takes once, at least 1 ns."""
    begin_s = now_s()
    work()
    return max(1, round((now_s() - begin_s) * SECOND_NS))
