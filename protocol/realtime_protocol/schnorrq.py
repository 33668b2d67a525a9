"""Qubic's hash and signatures: KangarooTwelve, and SchnorrQ over FourQ.

The rule is qubic/core's of August 2026, which is stricter than the published libraries: S below
the curve order, no low-order and no reserved key, no key outside the subgroup of prime order.

This module picks the implementation: the native one where it is built, else pure Python, which is
always importable as `realtime_protocol._pure_schnorrq` and says there what each function does.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

SEED_LETTERS: Final = 55
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
DIGEST_BYTES: Final = 32
RECORD_BYTES: Final = KEY_BYTES + DIGEST_BYTES + SIGNATURE_BYTES

SignedMessage = tuple[bytes, bytes, bytes]
"""Public key, message, signature."""

_NATIVE: Final = "realtime_protocol._native"
_PURE: Final = "realtime_protocol._pure_schnorrq"


class Engine(Protocol):
    """An implementation; each checks its arguments in the same way, with the same errors."""

    __name__: str
    IMPLEMENTATION: str
    CACHED_KEYS_MAX: int
    """How many decoded keys it remembers, for wallets that come again."""
    KEY_CACHE_BYTES_MAX: int
    """The memory that they take, all together."""

    def k12(self, data: bytes, length: int = ...) -> bytes: ...
    def public_key(self, private_key: bytes, /) -> bytes: ...
    def sign(self, subseed: bytes, public_key: bytes, message: bytes, /) -> bytes: ...
    def verify(self, public_key: bytes, message: bytes, signature: bytes, /) -> bool: ...
    def verify_many(self, items: Sequence[SignedMessage], /) -> list[bool]: ...
    def verify_records(self, records: bytes | bytearray | memoryview, /) -> bytes: ...
    def refusal_of_key(self, public_key: bytes, /) -> str | None: ...


def _pick_engine() -> Engine:
    try:
        native = importlib.import_module(_NATIVE)
    except ModuleNotFoundError as error:
        # Only its absence is expected; one that is there and broken must not go unnoticed.
        if error.name != _NATIVE:
            raise
        return cast(Engine, importlib.import_module(_PURE))
    return cast(Engine, native)


ENGINE: Final = _pick_engine()
"""The implementation that does the work here."""
IMPLEMENTATION: Final[str] = ENGINE.IMPLEMENTATION
"""What does the work here, for people: "pure Python" or the native path that this machine takes."""

HOW_TO_COMPILE: Final = (
    "install a C compiler (apt-get install gcc python3-dev), then: make native in the source "
    "tree, or pip install --force-reinstall --no-deps --no-binary qubic-realtime qubic-realtime"
)
"""What gives a machine the native engine."""


def is_native() -> bool:
    """Tell whether the compiled engine does the work; pure Python is about 100 times slower."""
    return ENGINE.__name__ == _NATIVE


# The engines' own functions, without a wrapper: a verification is about as quick as three calls.
k12 = ENGINE.k12
sign = ENGINE.sign
verify = ENGINE.verify
verify_many = ENGINE.verify_many
verify_records = ENGINE.verify_records
refusal_of_key = ENGINE.refusal_of_key


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A wallet's keys. Its repr shows the public one only.

    Some libraries call the subseed "private key"; here the names are qubic/core's.
    """

    subseed: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    public_key: bytes


def keypair(seed: str) -> KeyPair:
    """Derive the keys of a seed of 55 letters a to z; ValueError for any other text."""
    # The seed stays out of the messages: they end up in logs.
    if not isinstance(seed, str):
        raise TypeError(f"a seed is a str, not {type(seed).__name__}")
    if len(seed) != SEED_LETTERS or not all("a" <= letter <= "z" for letter in seed):
        raise ValueError(f"a seed has exactly {SEED_LETTERS} letters a to z")
    subseed = k12(bytes(ord(letter) - ord("a") for letter in seed))
    private_key = k12(subseed)
    return KeyPair(subseed, private_key, ENGINE.public_key(private_key))
