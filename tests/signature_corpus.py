"""Records of key, digest and signature, sound ones and such as an attacker would try.

The same seed gives the same records. protocol/vectors/signature_verdicts.json holds what the
pure-Python reference says of them; run as a program, this file writes it (some five minutes):

    .venv/bin/python tests/signature_corpus.py
"""

import base64
import hashlib
import json
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from realtime_protocol import _pure_fourq as fourq
from realtime_protocol import _pure_schnorrq
from realtime_protocol.schnorrq import KeyPair, k12, keypair, sign

VERDICTS: Final = Path(__file__).parents[1] / "protocol" / "vectors" / "signature_verdicts.json"
SEED: Final = 20260826
COUNT: Final = 100_000
WALLETS: Final = 64
MIXED_KEYS: Final = 48

Record = bytes
Kind = Callable[[random.Random], Record]


@cache
def wallets() -> Sequence[KeyPair]:
    """Return the wallets that sign; few, so that the reference judges each key once."""
    letters = random.Random(SEED)
    return [keypair("".join(letters.choices("abcdefghij", k=55))) for _ in range(WALLETS)]


@cache
def torsion() -> Sequence[fourq.Point]:
    """Return the 392 points whose order divides the cofactor, the neutral one first."""
    y, found = 2, [fourq.NEUTRAL]
    while len(found) < fourq.COFACTOR:
        point = fourq.decode_point(y.to_bytes(16, "little") + bytes([1]) + bytes(15))
        y += 1
        if point is None:
            continue
        small = fourq.Multiples(point).multiply(fourq.N)
        for base in list(found):
            # The group that both make; coordinates are compared by the canonical form.
            found += _multiples_from(base, small)
        found = list({fourq.encode_point(each): each for each in found}.values())
    return found


def _multiples_from(base: fourq.Point, step: fourq.Point) -> Iterator[fourq.Point]:
    each = step
    while not fourq.is_neutral(each):
        yield fourq.add_points(base, each)
        each = fourq.add_points(each, step)


@cache
def mixed_keys() -> Sequence[tuple[int, bytes]]:
    """Return k and the key kG + T, T being no neutral point; k is 0 for every fourth."""
    source = random.Random(SEED + 1)
    keys = []
    for i in range(MIXED_KEYS):
        k = source.randrange(fourq.N) if i % 4 else 0
        small = source.choice(torsion()[1:])
        keys.append((k, fourq.encode_point(fourq.add_points(fourq.multiply_generator(k), small))))
    return keys


@cache
def commitments() -> Sequence[tuple[int, bytes]]:
    """Return r and rG, for signatures that no wallet would make."""
    source = random.Random(SEED + 2)
    nonces = [0, 1, *(source.randrange(fourq.N) for _ in range(62))]
    return [(r, fourq.encode_point(fourq.multiply_generator(r))) for r in nonces]


def _response(number: int) -> bytes:
    return (number % (1 << 256)).to_bytes(32, "little")


def sound(source: random.Random) -> Record:
    keys = source.choice(wallets())
    digest = source.randbytes(32)
    return keys.public_key + digest + sign(keys.subseed, keys.public_key, digest)


def with_a_changed_bit(source: random.Random) -> Record:
    bit = 1 << source.randrange(256, 1024)
    return (int.from_bytes(sound(source), "little") ^ bit).to_bytes(128, "little")


def with_a_changed_bit_of_the_key(source: random.Random) -> Record:
    bit = 1 << source.randrange(256)
    return (int.from_bytes(sound(source), "little") ^ bit).to_bytes(128, "little")


def with_the_order_added(source: random.Random) -> Record:
    record = sound(source)
    response = int.from_bytes(record[96:], "little") + source.randrange(1, 1500) * fourq.N
    return record[:96] + _response(response)


def with_a_response_near_the_order(source: random.Random) -> Record:
    return sound(source)[:96] + _response(fourq.N + source.randrange(-3, 3))


def with_another_s_key(source: random.Random) -> Record:
    return source.choice(wallets()).public_key + sound(source)[32:]


def with_the_negative_key(source: random.Random) -> Record:
    record = sound(source)
    return record[:31] + bytes([record[31] ^ 0x80]) + record[32:]


def of_a_mixed_key(source: random.Random) -> Record:
    """Sign for kG + T as if T weren't there: for some challenges the bare equation holds."""
    k, key = source.choice(mixed_keys())
    r, commitment = source.choice(commitments())
    digest = source.randbytes(32)
    challenge = int.from_bytes(k12(commitment + key + digest), "little") % fourq.N
    return key + digest + commitment + _response((r - k * challenge) % fourq.N)


def of_the_neutral_or_a_reserved_key(source: random.Random) -> Record:
    number = source.choice((0, 1, 1, source.getrandbits(64)))
    sign_bit = source.getrandbits(1) << 255
    alias = source.choice((0, fourq.P << 128))
    r, commitment = source.choice(commitments())
    key = (number | sign_bit | alias).to_bytes(32, "little")
    return key + source.randbytes(32) + commitment + _response(r)


def of_a_key_with_an_alias(source: random.Random) -> Record:
    """A half of y that is p counts as 0: one of two keys is on the curve so."""
    half = source.getrandbits(127)
    number = (fourq.P | half << 128) if source.getrandbits(1) else (half | fourq.P << 128)
    r, commitment = source.choice(commitments())
    return _response(number) + source.randbytes(32) + commitment + _response(r)


def with_a_commitment_in_another_writing(source: random.Random) -> Record:
    """R is compared by its bytes; here those of the neutral point and of halves that are p."""
    number = source.choice((1, 1 | fourq.P << 128, 1 | 1 << 255, fourq.P, fourq.P << 128))
    record = sound(source)
    return record[:64] + _response(number) + record[96:]


def at_random(source: random.Random) -> Record:
    return source.randbytes(128)


KINDS: Final[Sequence[tuple[int, Kind]]] = [
    (18, sound),
    (26, with_a_changed_bit),
    (8, with_a_changed_bit_of_the_key),
    (10, with_the_order_added),
    (4, with_a_response_near_the_order),
    (4, with_another_s_key),
    (2, with_the_negative_key),
    (12, of_a_mixed_key),
    (8, of_the_neutral_or_a_reserved_key),
    (2, of_a_key_with_an_alias),
    (2, with_a_commitment_in_another_writing),
    (4, at_random),
]


def make_records(seed: int) -> Iterator[Record]:
    """Yield records without end."""
    source = random.Random(seed)
    weights = [weight for weight, _ in KINDS]
    while True:
        ((_, kind),) = source.choices(KINDS, weights)
        yield kind(source)


def pack(verdicts: bytes) -> str:
    """Write one bit for each byte, compressed."""
    bits = int("1" + "".join(map(str, verdicts)), 2)
    packed = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    return base64.b64encode(zlib.compress(packed, 9)).decode()


def unpack(text: str) -> bytes:
    """Read what :func:`pack` wrote."""
    packed = zlib.decompress(base64.b64decode(text))
    return bytes(map(int, bin(int.from_bytes(packed, "big"))[3:]))


def _judge(records: bytes) -> bytes:
    return _pure_schnorrq.verify_records(records)


def main() -> int:
    """Ask the reference and write its verdicts."""
    records = b"".join(islice(make_records(SEED), COUNT))
    share = 128 * 2_000
    pieces = [records[at : at + share] for at in range(0, len(records), share)]
    verdicts = b""
    with ProcessPoolExecutor() as pool:
        for piece in pool.map(_judge, pieces):
            verdicts += piece
            sys.stderr.write(f"\r{len(verdicts)} of {COUNT}, {sum(verdicts)} sound")
    written = {
        "seed": SEED,
        "count": COUNT,
        "records_sha256": hashlib.sha256(records).hexdigest(),
        "sound": sum(verdicts),
        "verdicts_zlib_base64": pack(verdicts),
    }
    VERDICTS.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
