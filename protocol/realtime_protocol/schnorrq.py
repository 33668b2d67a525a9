"""Qubic's hash and signatures: KangarooTwelve, and SchnorrQ over FourQ.

The rule is qubic/core's of August 2026, which is stricter than the published libraries: S below
the curve order, no low-order and no reserved key, no key outside the subgroup of prime order.

This module checks arguments and picks the implementation: the native one where it is built, else
pure Python, which is always importable as `realtime_protocol._pure_schnorrq`.
"""

import importlib
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

SEED_LETTERS: Final = 55
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
DIGEST_BYTES: Final = 32

_NATIVE: Final = "realtime_protocol._native"
_PURE: Final = "realtime_protocol._pure_schnorrq"


class _Engine(Protocol):
    """An implementation. It may rely on types and lengths; they are checked here."""

    IMPLEMENTATION: str

    def k12(self, data: bytes, length: int) -> bytes: ...
    def public_key(self, private_key: bytes) -> bytes: ...
    def sign(self, subseed: bytes, public_key: bytes, message: bytes) -> bytes: ...
    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...
    def refusal_of_key(self, public_key: bytes) -> str | None: ...


def _pick_engine() -> _Engine:
    try:
        native = importlib.import_module(_NATIVE)
    except ModuleNotFoundError as error:
        # Only its absence is expected; one that is there and broken must not go unnoticed.
        if error.name != _NATIVE:
            raise
        return cast(_Engine, importlib.import_module(_PURE))
    return cast(_Engine, native)


_engine: Final = _pick_engine()
IMPLEMENTATION: Final[str] = _engine.IMPLEMENTATION


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A wallet's keys. Its repr shows the public one only.

    Some libraries call the subseed "private key"; here the names are qubic/core's.
    """

    subseed: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    public_key: bytes


def k12(data: bytes, length: int = DIGEST_BYTES) -> bytes:
    """Return *length* bytes of KangarooTwelve with the empty customization string."""
    _require_bytes(data=data)
    if length < 0:
        raise ValueError(f"a digest can't have {length} bytes")
    return _engine.k12(data, length)


def keypair(seed: str) -> KeyPair:
    """Derive the keys of a seed of 55 letters a to z; ValueError for any other text."""
    # The seed stays out of the messages: they end up in logs.
    if not isinstance(seed, str):
        raise TypeError(f"a seed is a str, not {type(seed).__name__}")
    if len(seed) != SEED_LETTERS or not all("a" <= letter <= "z" for letter in seed):
        raise ValueError(f"a seed has exactly {SEED_LETTERS} letters a to z")
    subseed = k12(bytes(ord(letter) - ord("a") for letter in seed))
    private_key = k12(subseed)
    return KeyPair(subseed, private_key, _engine.public_key(private_key))


def sign(subseed: bytes, public_key: bytes, message: bytes) -> bytes:
    """Sign *message*, which enters K12 as it is, and return the 64 bytes R || S.

    ValueError when *public_key* isn't the subseed's own: the nonce depends on subseed and message
    only, so that signatures under two public keys would give the private key away.
    """
    _require_bytes(subseed=subseed, public_key=public_key, message=message)
    if len(subseed) != KEY_BYTES or len(public_key) != KEY_BYTES:
        raise ValueError(f"subseed and public key have {KEY_BYTES} bytes each")
    if _engine.public_key(k12(subseed)) != public_key:
        raise ValueError("the public key isn't the subseed's own")
    return _engine.sign(subseed, public_key, message)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the network would take *signature* over *message* for this key.

    *message* is exactly the bytes that enter K12, of any length. A wrong length of key or
    signature is False, not an error. Never use a signature's bytes as a key of uniqueness: other
    verifiers take S + N too.
    """
    _require_bytes(public_key=public_key, message=message, signature=signature)
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    return _engine.verify(public_key, message, signature)


def refusal_of_key(public_key: bytes) -> str | None:
    """Say why no signature counts for this key, or None when it is sound."""
    _require_bytes(public_key=public_key)
    if len(public_key) != KEY_BYTES:
        return f"it has {len(public_key)} bytes, not {KEY_BYTES}"
    return _engine.refusal_of_key(public_key)


def _require_bytes(**named: object) -> None:
    for name, value in named.items():
        if not isinstance(value, bytes):
            raise TypeError(f"{name} must be bytes, not {type(value).__name__}")
