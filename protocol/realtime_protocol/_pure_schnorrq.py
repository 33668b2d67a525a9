"""SchnorrQ in pure Python: qubic/core's rule, to be read; the oracle of the native code."""

from functools import lru_cache
from typing import Final

from realtime_protocol import _pure_fourq as fourq
from realtime_protocol._pure_k12 import k12 as k12

IMPLEMENTATION: Final = "pure Python"

# Verdicts on keys that are kept, with their multiples: about 8 KiB each.
KEYS_MAX: Final = 1024


def public_key(private_key: bytes) -> bytes:
    """Return the public key of a 32-byte private key."""
    scalar = int.from_bytes(private_key, "little") % fourq.N
    return fourq.encode_point(fourq.multiply_generator(scalar))


def sign(subseed: bytes, public_key: bytes, message: bytes) -> bytes:
    """Return the deterministic signature R || S. The key must be the subseed's own."""
    expanded = k12(subseed, 64)
    nonce = _scalar(k12(expanded[32:] + message, 64))
    commitment = fourq.encode_point(fourq.multiply_generator(nonce))
    challenge = _scalar(k12(commitment + public_key + message, 64))
    private_key = int.from_bytes(expanded[:32], "little")
    response = (nonce - private_key * challenge) % fourq.N
    return commitment + response.to_bytes(32, "little")


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Apply the checks of core's verify in their order (the key's own are in `_judge`)."""
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


def refusal_of_key(public_key: bytes) -> str | None:
    """Say why no signature counts for this key, or None when it is sound."""
    verdict = _judge(public_key)
    return verdict if isinstance(verdict, str) else None


@lru_cache(maxsize=KEYS_MAX)
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
