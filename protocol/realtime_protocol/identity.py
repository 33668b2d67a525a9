"""Wallet identities: 32-byte public keys inside, 60 letters for people.

Four words of a key become 14 letters each, least significant first, and 18 bits of K12 become the
last four. The same form in lower case names transactions.
"""

from typing import Final, NewType

from realtime_protocol.schnorrq import KEY_BYTES, k12, refusal_of_key

PublicKey = NewType("PublicKey", bytes)

IDENTITY_LETTERS: Final = 60
CONTRACTS_MAX: Final = 1024  # Core's MAX_NUMBER_OF_CONTRACTS.

NULL_PUBLIC_KEY: Final = PublicKey(bytes(KEY_BYTES))

_WORD_BYTES: Final = 8
_WORD_LETTERS: Final = 14
_CHECKSUM_LETTERS: Final = 4
_CHECKSUM_MASK: Final = 0x3FFFF
_ALPHABET: Final = 26


def encode_identity(public_key: bytes) -> str:
    """Return the 60 capital letters of a public key."""
    return _encode(public_key, "A")


def parse_identity(text: str) -> PublicKey:
    """Return the public key that *text* names; ValueError says what is wrong with it.

    Core and the libraries let a group of letters wrap around 2^64 and core ignores the checksum;
    here exactly one text names a key.
    """
    return PublicKey(_parse(text, "A", "an identity"))


def encode_digest_id(digest: bytes) -> str:
    """Return the 60 small letters of a 32-byte digest: a transaction's id."""
    return _encode(digest, "a")


def parse_digest_id(text: str) -> bytes:
    """Return the digest that a transaction id names; ValueError says what is wrong with it."""
    return _parse(text, "a", "a transaction id")


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


def _encode(data: bytes, first_letter: str) -> str:
    if len(data) != KEY_BYTES:
        raise ValueError(f"a public key or digest has {KEY_BYTES} bytes, not {len(data)}")
    base = ord(first_letter)
    letters = bytearray()
    for start in range(0, KEY_BYTES, _WORD_BYTES):
        word = int.from_bytes(data[start : start + _WORD_BYTES], "little")
        _append_digits(letters, word, _WORD_LETTERS, base)
    checksum = int.from_bytes(k12(data, 3), "little") & _CHECKSUM_MASK
    _append_digits(letters, checksum, _CHECKSUM_LETTERS, base)
    return letters.decode("ascii")


def _append_digits(letters: bytearray, number: int, count: int, base: int) -> None:
    for _ in range(count):
        number, digit = divmod(number, _ALPHABET)
        letters.append(base + digit)


def _parse(text: str, first_letter: str, noun: str) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"{noun} is a str, not {type(text).__name__}")
    if len(text) != IDENTITY_LETTERS:
        raise ValueError(f"{noun} has {IDENTITY_LETTERS} letters, not {len(text)}")
    base = ord(first_letter)
    last_letter = chr(base + _ALPHABET - 1)
    for position, letter in enumerate(text, 1):
        if not first_letter <= letter <= last_letter:
            raise ValueError(
                f"{noun} has letters {first_letter} to {last_letter} only; "
                f"number {position} is {letter!r}"
            )
    data = b"".join(
        _parse_word(text[start : start + _WORD_LETTERS], base, noun)
        for start in range(0, IDENTITY_LETTERS - _CHECKSUM_LETTERS, _WORD_LETTERS)
    )
    if _encode(data, first_letter) != text:
        raise ValueError(
            f"the last {_CHECKSUM_LETTERS} letters of {noun} don't fit the others; "
            "look for a mistyped letter"
        )
    return data


def _parse_word(letters: str, base: int, noun: str) -> bytes:
    word = 0
    for letter in reversed(letters):
        word = word * _ALPHABET + ord(letter) - base
    if word >> 64:
        raise ValueError(f"the letters {letters} of {noun} stand for more than 64 bits")
    return word.to_bytes(_WORD_BYTES, "little")
