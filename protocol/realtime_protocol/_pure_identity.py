"""The letters of keys and digests in pure Python: the rule that the native form is held to."""

from typing import Final

from realtime_protocol.schnorrq import KEY_BYTES, k12

IDENTITY_LETTERS: Final = 60

_WORD_BYTES: Final = 8
_WORD_LETTERS: Final = 14
_CHECKSUM_LETTERS: Final = 4
_CHECKSUM_MASK: Final = 0x3FFFF
_ALPHABET: Final = 26


def encode_letters(data: bytes, first_letter: str) -> str:
    """Return the 60 letters of 32 bytes."""
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


def parse_letters(text: str, first_letter: str, noun: str) -> bytes:
    """Return the 32 bytes of 60 letters; ValueError says what is wrong with the *noun*."""
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
    if encode_letters(data, first_letter) != text:
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
