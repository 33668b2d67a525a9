"""The wallets of the measurement: keys that anyone can make again, and what is known of them.

They exist on a simulated network of the measurement's own, which ends with it.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from struct import Struct
from typing import Final

import msgpack

from realtime_protocol.schnorrq import SEED_LETTERS, KeyPair, keypair

WALLETS: Final = 10_000
SCORE: Final = 80
WATCHED: Final = WALLETS
"""Number of the wallet whose trust changes while others watch it; nobody asks for it."""
TIMES: Final = 2
"""Last elements of a trust answer, which depend on the time: age_ms and use_until_ms."""

_RECORD: Final = Struct("32sB32s")
"""As the generator reads it: key, size of what follows, the answer without its times."""


@cache
def wallet(number: int) -> KeyPair:
    """Return the keys of one wallet."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in f"{number:0{SEED_LETTERS}d}")
    return keypair(letters)


def steady_part(trust: Sequence[int]) -> bytes:
    """Return the bytes that every reply about a wallet has: the answer without its times."""
    head = 0x90 | len(trust)
    return bytes([head]) + b"".join(msgpack.packb(value) for value in trust[:-TIMES])


def write_wallets(path: Path, answers: Sequence[Sequence[int]]) -> None:
    """Write what the generator compares each reply with; one answer for each wallet, in order."""
    with path.open("wb") as file:
        for number, trust in enumerate(answers):
            steady = steady_part(trust)
            file.write(_RECORD.pack(wallet(number).public_key, len(steady), steady))
