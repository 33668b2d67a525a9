"""Qubic transactions: their bytes, digests, ids and signatures.

Layout (little-endian, no padding): source 32, destination 32, amount i64, tick u32, input type u16,
input size u16, payload, signature 64. What is signed is K12 of all before the signature; the id is
K12 of everything. Limits are core's.
"""

from dataclasses import dataclass, replace
from struct import Struct
from typing import Final

from realtime_protocol.identity import PublicKey, encode_digest_id
from realtime_protocol.schnorrq import KEY_BYTES, SIGNATURE_BYTES, k12, sign, verify

MAX_AMOUNT_QU: Final = 10**15
MAX_SUPPLY_QU: Final = 200_000_000_000_000
MAX_INPUT_BYTES: Final = 1024
MAX_TICK: Final = (1 << 32) - 1
MAX_INPUT_TYPE: Final = (1 << 16) - 1

_HEADER: Final = Struct("<32s32sqIHH")
HEADER_BYTES: Final = _HEADER.size
MAX_TRANSACTION_BYTES: Final = HEADER_BYTES + MAX_INPUT_BYTES + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction's fields, each within the network's limits; ValueError for any that isn't.

    That it is signed doesn't say that the signature is good: see `verify_transaction`.
    """

    source: PublicKey
    destination: PublicKey
    amount_qu: int
    tick: int
    input_type: int = 0
    payload: bytes = b""
    signature: bytes | None = None

    def __post_init__(self) -> None:
        _require_bytes("source", self.source, KEY_BYTES)
        _require_bytes("destination", self.destination, KEY_BYTES)
        _require_whole("amount", self.amount_qu, MAX_AMOUNT_QU)
        _require_whole("tick", self.tick, MAX_TICK)
        _require_whole("input type", self.input_type, MAX_INPUT_TYPE)
        if not isinstance(self.payload, bytes):
            raise TypeError(f"payload must be bytes, not {type(self.payload).__name__}")
        if len(self.payload) > MAX_INPUT_BYTES:
            raise ValueError(f"payload of {len(self.payload)} bytes; at most {MAX_INPUT_BYTES}")
        if self.signature is not None:
            _require_bytes("signature", self.signature, SIGNATURE_BYTES)

    def unsigned_bytes(self) -> bytes:
        """Return the bytes before the signature: what a wallet is asked to sign."""
        header = _HEADER.pack(
            self.source,
            self.destination,
            self.amount_qu,
            self.tick,
            self.input_type,
            len(self.payload),
        )
        return header + self.payload

    def signed_bytes(self) -> bytes:
        """Return the bytes that go to a node; ValueError without a signature."""
        if self.signature is None:
            raise ValueError("the transaction isn't signed yet")
        return self.unsigned_bytes() + self.signature

    def without_signature(self) -> "Transaction":
        """Return the same order unsigned, for comparing what was asked with what was signed."""
        return replace(self, signature=None)


def build_unsigned(
    source: PublicKey,
    destination: PublicKey,
    amount_qu: int,
    tick: int,
    *,
    input_type: int = 0,
    payload: bytes = b"",
) -> bytes:
    """Return the bytes to sign for these fields."""
    return Transaction(source, destination, amount_qu, tick, input_type, payload).unsigned_bytes()


def parse_unsigned(unsigned: bytes) -> Transaction:
    """Take the bytes before a signature apart; ValueError says what is wrong with them."""
    return _parse(unsigned, tail_bytes=0)


def parse_transaction(signed: bytes) -> Transaction:
    """Take a signed transaction apart; ValueError says why not. The signature isn't verified."""
    return _parse(signed, tail_bytes=SIGNATURE_BYTES)


def signing_digest(unsigned: bytes) -> bytes:
    """Return the 32 bytes that the source's signature covers."""
    return k12(unsigned)


def sign_transaction(unsigned: bytes, subseed: bytes, public_key: bytes) -> bytes:
    """Sign the bytes of `build_unsigned` and return the whole transaction.

    ValueError when they are not a transaction of this very key.
    """
    if parse_unsigned(unsigned).source != public_key:
        raise ValueError("the transaction's source is another key")
    return unsigned + sign(subseed, public_key, signing_digest(unsigned))


def transaction_digest(signed: bytes) -> bytes:
    """Return the 32 bytes that name a signed transaction on the network."""
    return k12(signed)


def transaction_id(signed: bytes) -> str:
    """Return the digest in 60 small letters, as explorers show it."""
    return encode_digest_id(transaction_digest(signed))


def verify_transaction(signed: bytes) -> bool:
    """Tell whether *signed* is a whole transaction with its source's signature."""
    try:
        transaction = parse_transaction(signed)
    except ValueError:
        return False
    digest = signing_digest(signed[:-SIGNATURE_BYTES])
    return verify(transaction.source, digest, signed[-SIGNATURE_BYTES:])


def _parse(data: bytes, *, tail_bytes: int) -> Transaction:
    if not isinstance(data, bytes):
        raise TypeError(f"a transaction is bytes, not {type(data).__name__}")
    if len(data) < HEADER_BYTES + tail_bytes:
        raise ValueError(
            f"a transaction has at least {HEADER_BYTES + tail_bytes} bytes, not {len(data)}"
        )
    source, destination, amount_qu, tick, input_type, input_bytes = _HEADER.unpack_from(data)
    expected = HEADER_BYTES + input_bytes + tail_bytes
    if len(data) != expected:
        raise ValueError(
            f"its input size of {input_bytes} makes {expected} bytes, but it has {len(data)}"
        )
    return Transaction(
        PublicKey(source),
        PublicKey(destination),
        amount_qu,
        tick,
        input_type,
        data[HEADER_BYTES : HEADER_BYTES + input_bytes],
        data[-tail_bytes:] if tail_bytes else None,
    )


def _require_bytes(name: str, value: bytes, length: int) -> None:
    if not isinstance(value, bytes):
        raise TypeError(f"{name} must be bytes, not {type(value).__name__}")
    if len(value) != length:
        raise ValueError(f"{name} has {len(value)} bytes, not {length}")


def _require_whole(name: str, value: int, maximum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    if not 0 <= value <= maximum:
        raise ValueError(f"{name} {value} is not in 0..{maximum}")
