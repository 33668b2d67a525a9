"""SchnorrQ in pure Python: qubic/core's rule, to be read; the oracle of the native code.

What the native module offers under the same names it does with the same errors: TypeError for
anything but bytes, ValueError for a length that can't be, and False for a signature or a key that
doesn't count, whatever is wrong with it.
"""

import operator
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from realtime_protocol import _pure_fourq as fourq
from realtime_protocol import _pure_k12

IMPLEMENTATION: Final = "pure Python"

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
DIGEST_BYTES: Final = 32
RECORD_BYTES: Final = KEY_BYTES + DIGEST_BYTES + SIGNATURE_BYTES

# Verdicts on keys that are kept, with their multiples: about 8 KiB each.
CACHED_KEYS_MAX: Final = 1024
KEY_CACHE_BYTES_MAX: Final = CACHED_KEYS_MAX * 5_500
"""About: numbers of Python's own, measured with tracemalloc."""


def k12(data: bytes, length: int = DIGEST_BYTES) -> bytes:
    """Return *length* bytes of KangarooTwelve with the empty customization string."""
    _require_bytes(data=data)
    size = operator.index(length)
    if size < 0:
        raise ValueError(f"a digest can't have {size} bytes")
    return _pure_k12.k12(data, size)


def public_key(private_key: bytes) -> bytes:
    """Return the public key of a 32-byte private key."""
    _require_bytes(private_key=private_key)
    if len(private_key) != KEY_BYTES:
        raise ValueError(f"a private key has {KEY_BYTES} bytes")
    scalar = int.from_bytes(private_key, "little") % fourq.N
    return fourq.encode_point(fourq.multiply_generator(scalar))


def sign(subseed: bytes, key: bytes, message: bytes) -> bytes:
    """Sign *message*, which enters K12 as it is, and return the 64 bytes R || S.

    ValueError when *key* isn't the subseed's own public key: the nonce depends on subseed and
    message only, so that signatures under two keys would give the private key away.
    """
    _require_bytes(subseed=subseed, public_key=key, message=message)
    if len(subseed) != KEY_BYTES or len(key) != KEY_BYTES:
        raise ValueError(f"subseed and public key have {KEY_BYTES} bytes each")
    expanded = k12(subseed, 64)
    if public_key(expanded[:32]) != key:
        raise ValueError("the public key isn't the subseed's own")
    nonce = _scalar(k12(expanded[32:] + message, 64))
    commitment = fourq.encode_point(fourq.multiply_generator(nonce))
    challenge = _scalar(k12(commitment + key + message, 64))
    private_key = int.from_bytes(expanded[:32], "little")
    response = (nonce - private_key * challenge) % fourq.N
    return commitment + response.to_bytes(32, "little")


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the network would take *signature* over *message* for this key.

    *message* is exactly the bytes that enter K12, of any length. A wrong length of key or
    signature is False, not an error. Never use a signature's bytes as a key of uniqueness: other
    verifiers take S + N too.
    """
    _require_bytes(public_key=public_key, message=message, signature=signature)
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    # The checks of core's verify in their order; the key's own are in _judge.
    if signature[15] & 0x80:
        return False
    response = int.from_bytes(signature[32:], "little")
    if response >= fourq.N:
        return False
    multiples = _judge(public_key)
    if isinstance(multiples, str):
        return False
    challenge = _scalar(k12(signature[:32] + public_key + message, 64))
    point = fourq.add_points(multiples.multiply(challenge), fourq.multiply_generator(response))
    return fourq.encode_point(point) == signature[:32]


def verify_many(items: Iterable[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Verify each (public key, message, signature), as :func:`verify` does."""
    verdicts = []
    for item in items:
        if not isinstance(item, tuple) or len(item) != 3:
            raise TypeError("an item must be a tuple of public key, message and signature")
        verdicts.append(verify(*item))
    return verdicts


def verify_records(records: bytes | bytearray | memoryview) -> bytes:
    """Verify records of 128 bytes (key, digest, signature); return one byte, 1 or 0, for each.

    ValueError when the length isn't a multiple of 128.
    """
    if not isinstance(records, bytes | bytearray | memoryview):
        raise TypeError(f"records must be bytes, not {type(records).__name__}")
    data = bytes(records)
    if len(data) % RECORD_BYTES:
        raise ValueError(f"{len(data)} bytes are no whole number of {RECORD_BYTES}-byte records")
    parts = [data[at : at + RECORD_BYTES] for at in range(0, len(data), RECORD_BYTES)]
    return bytes(verify(each[:32], each[32:64], each[64:]) for each in parts)


def refusal_of_key(public_key: bytes) -> str | None:
    """Say why no signature counts for this key, or None when it is sound."""
    _require_bytes(public_key=public_key)
    if len(public_key) != KEY_BYTES:
        return f"it has {len(public_key)} bytes, not {KEY_BYTES}"
    verdict = _judge(public_key)
    return verdict if isinstance(verdict, str) else None


@lru_cache(maxsize=CACHED_KEYS_MAX)
def _judge(public_key: bytes) -> fourq.Multiples | str:
    """Return the key's multiples, or why it is refused."""
    if public_key[15] & 0x80:
        return "bit 127 is set"
    if _is_reserved(public_key):
        return "it is the zero key, a contract's address or the neutral point"
    point = fourq.decode_point(public_key)
    if point is None:
        return "it is not on the curve"
    multiples = fourq.Multiples(point)
    if fourq.is_neutral(multiples.multiply(fourq.COFACTOR)):
        return "it is of low order"
    # Core multiplies by an endomorphism decomposition that only holds in the subgroup of order N;
    # plain arithmetic would accept signatures outside it that the network refuses.
    if not fourq.is_neutral(multiples.multiply(fourq.N)):
        return "it is outside the subgroup of prime order"
    return multiples


def _is_reserved(public_key: bytes) -> bool:
    """Core's third check: words 1 to 3 are zero, whatever word 0 and the sign bit are."""
    return not int.from_bytes(public_key, "little") >> 64 & ~(1 << 191)


def _scalar(digest: bytes) -> int:
    return int.from_bytes(digest[:32], "little") % fourq.N


def _require_bytes(**named: object) -> None:
    for name, value in named.items():
        if not isinstance(value, bytes):
            raise TypeError(f"{name} must be bytes, not {type(value).__name__}")
