"""Wallet identities: 32-byte public keys inside, 60 letters for people.

Four words of a key become 14 letters each, least significant first, and 18 bits of K12 become the
last four. The same form in lower case names transactions.
"""

from typing import Final, NewType, Protocol, cast

from realtime_protocol._pure_identity import encode_letters, parse_letters
from realtime_protocol.schnorrq import ENGINE, KEY_BYTES, is_native, refusal_of_key

PublicKey = NewType("PublicKey", bytes)

CONTRACTS_MAX: Final = 1024  # Core's MAX_NUMBER_OF_CONTRACTS.

NULL_PUBLIC_KEY: Final = PublicKey(bytes(KEY_BYTES))


class _NativeLetters(Protocol):
    """What the native engine can do beside signatures."""

    def encode_identity(self, public_key: bytes, /) -> str: ...
    def parse_identity(self, text: str, /) -> bytes | None: ...


_NATIVE: Final = cast(_NativeLetters, ENGINE) if is_native() else None


def encode_identity(public_key: bytes) -> str:
    """Return the 60 capital letters of a public key."""
    if _NATIVE is not None:
        return _NATIVE.encode_identity(public_key)
    return encode_letters(public_key, "A")


def parse_identity(text: str) -> PublicKey:
    """Return the public key that *text* names; ValueError says what is wrong with it.

    Core and the libraries let a group of letters wrap around 2^64 and core ignores the checksum;
    here exactly one text names a key.
    """
    key = None if _NATIVE is None else _NATIVE.parse_identity(text)
    # What is wrong with a text only the slow way says.
    return PublicKey(parse_letters(text, "A", "an identity") if key is None else key)


def encode_digest_id(digest: bytes) -> str:
    """Return the 60 small letters of a 32-byte digest: a transaction's id."""
    return encode_letters(digest, "a")


def parse_digest_id(text: str) -> bytes:
    """Return the digest that a transaction id names; ValueError says what is wrong with it."""
    return parse_letters(text, "a", "a transaction id")


def contract_public_key(index: int) -> PublicKey:
    """Return the address of the contract with that index (0 is no contract)."""
    if not 1 <= index < CONTRACTS_MAX:
        raise ValueError(f"contract index {index} is not in 1..{CONTRACTS_MAX - 1}")
    return PublicKey(index.to_bytes(KEY_BYTES, "little"))


def is_contract_key(key: bytes) -> bool:
    """Tell whether the key is the address of a contract, present or future."""
    return len(key) == KEY_BYTES and 0 < int.from_bytes(key, "little") < CONTRACTS_MAX


def refusal_of_wallet_key(key: bytes) -> str | None:
    """Say why nobody can hold this key as a wallet, or None when somebody may.

    A transaction's destination needn't pass this (contracts are paid too); a login, a payer and a
    record of trust must. Dear for a new key in pure Python (2 ms), cached after.
    """
    if key == NULL_PUBLIC_KEY:
        return "it is the zero key"
    if is_contract_key(key):
        return f"it is the address of contract {int.from_bytes(key, 'little')}"
    return refusal_of_key(key)
