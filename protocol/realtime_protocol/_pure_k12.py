"""KangarooTwelve in pure Python: the oracle for faster implementations, and their stand-in.

Follows RFC 9861 with the empty customization string, as all of Qubic does. A lane of the sponge
is a 64-bit integer. Several sponges run at once by standing side by side in one large integer,
each lane in a slot of 128 bits: the upper half of a slot takes what a shift pushes out and is
masked away. Python's cost per operation hardly grows with the size, so that the 17 leaves of a
TickData (139,376 bytes) cost little more than one.
"""

from struct import Struct
from typing import Final

CHUNK_BYTES: Final = 8192
RATE_BYTES: Final = 168
CHAINING_VALUE_BYTES: Final = 32
# Wider than this, the integers outgrow what they save.
PARALLEL_LEAVES_MAX: Final = 32

_RATE_LANES: Final = RATE_BYTES // 8
_SLOT_BYTES: Final = 16
_LANE_MASK: Final = (1 << 64) - 1
_BLOCK: Final = Struct(f"<{_RATE_LANES}Q")
_EMPTY: Final[tuple[int, ...]] = (0,) * 25

# The byte after the message, with the first bit of the padding, tells the kinds of nodes apart.
_SINGLE_NODE: Final = 0x07
_LEAF_NODE: Final = 0x0B
_FINAL_NODE: Final = 0x06

# The last 12 of the 24 round constants of Keccak-f[1600].
_ROUND_CONSTANTS: Final = (
    0x000000008000808B,
    0x800000000000008B,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800A,
    0x800000008000000A,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
)


def k12(data: bytes, length: int) -> bytes:
    """Return *length* bytes of KangarooTwelve over *data*."""
    stream = data + b"\x00"  # The encoded length of the empty customization string.
    if len(stream) <= CHUNK_BYTES:
        return _sponge(stream, _SINGLE_NODE, length)
    leaves = (len(stream) - 1) // CHUNK_BYTES
    node = b"".join(
        (
            stream[:CHUNK_BYTES],
            b"\x03" + bytes(7),
            _chaining_values(stream),
            _right_encode(leaves),
            b"\xff\xff",
        )
    )
    return _sponge(node, _FINAL_NODE, length)


def _chaining_values(stream: bytes) -> bytes:
    """Hash each chunk after the first to 32 bytes; full ones side by side."""
    values = []
    full_end = len(stream) - len(stream) % CHUNK_BYTES
    for start in range(CHUNK_BYTES, full_end, PARALLEL_LEAVES_MAX * CHUNK_BYTES):
        end = min(full_end, start + PARALLEL_LEAVES_MAX * CHUNK_BYTES)
        values.append(_full_leaves(stream[start:end]))
    if full_end < len(stream):
        values.append(_sponge(stream[full_end:], _LEAF_NODE, CHAINING_VALUE_BYTES))
    return b"".join(values)


def _right_encode(count: int) -> bytes:
    digits = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return digits + bytes([len(digits)])


def _padding(message_bytes: int, node: int) -> bytes:
    """Return what follows a message of that size to fill its last block."""
    fill = bytearray(RATE_BYTES - message_bytes % RATE_BYTES)
    fill[0] = node
    fill[-1] ^= 0x80
    return bytes(fill)


def _sponge(message: bytes, node: int, length: int) -> bytes:
    """Absorb *message* as that kind of node and squeeze *length* bytes."""
    state = _EMPTY
    for words in _BLOCK.iter_unpack(message + _padding(len(message), node)):
        mixed = [lane ^ word for lane, word in zip(state, words, strict=False)]
        state = _permute((*mixed, *state[_RATE_LANES:]), _LANE_MASK, _ROUND_CONSTANTS)
    output = _BLOCK.pack(*state[:_RATE_LANES])
    while len(output) < length:
        state = _permute(state, _LANE_MASK, _ROUND_CONSTANTS)
        output += _BLOCK.pack(*state[:_RATE_LANES])
    return output[:length]


def _full_leaves(chunks: bytes) -> bytes:
    """Return the chaining values of full chunks, all absorbed at once."""
    count = len(chunks) // CHUNK_BYTES
    padding = _padding(CHUNK_BYTES, _LEAF_NODE)
    padded = b"".join(
        chunks[start : start + CHUNK_BYTES] + padding
        for start in range(0, len(chunks), CHUNK_BYTES)
    )
    # Words are only copied here, never read as numbers: the machine's byte order is all one.
    words = memoryview(padded).cast("Q")
    leaf_words = len(words) // count
    slots = bytearray(count * _SLOT_BYTES)
    lower_halves = memoryview(slots).cast("Q")[::2]
    spread = int.from_bytes((b"\x01" + bytes(_SLOT_BYTES - 1)) * count, "little")
    mask = _LANE_MASK * spread
    constants = tuple(constant * spread for constant in _ROUND_CONSTANTS)
    state = _EMPTY
    for block in range(0, leaf_words, _RATE_LANES):
        mixed = []
        for lane in range(_RATE_LANES):
            lower_halves[:] = words[block + lane :: leaf_words]
            mixed.append(state[lane] ^ int.from_bytes(slots, "little"))
        state = _permute((*mixed, *state[_RATE_LANES:]), mask, constants)
    columns = [lane.to_bytes(len(slots), "little") for lane in state[: CHAINING_VALUE_BYTES // 8]]
    return b"".join(
        column[slot : slot + 8] for slot in range(0, len(slots), _SLOT_BYTES) for column in columns
    )


def _permute(
    state: tuple[int, ...], mask: int, round_constants: tuple[int, ...]
) -> tuple[int, ...]:
    """Keccak-p[1600, 12] on each slot of *mask*.

    Unrolled, with a local variable for each lane: a list would double the time. Lane s(x + 5 y)
    stands at (x, y); b are the lanes after theta, rho and pi. ``(b | c) ^ b`` is ``~b & c`` without
    a negative number.
    """
    # fmt: off
    (
        s0, s1, s2, s3, s4,
        s5, s6, s7, s8, s9,
        s10, s11, s12, s13, s14,
        s15, s16, s17, s18, s19,
        s20, s21, s22, s23, s24,
    ) = state
    # fmt: on
    for constant in round_constants:
        c0 = s0 ^ s5 ^ s10 ^ s15 ^ s20
        c1 = s1 ^ s6 ^ s11 ^ s16 ^ s21
        c2 = s2 ^ s7 ^ s12 ^ s17 ^ s22
        c3 = s3 ^ s8 ^ s13 ^ s18 ^ s23
        c4 = s4 ^ s9 ^ s14 ^ s19 ^ s24
        d0 = c4 ^ ((c1 << 1 | c1 >> 63) & mask)
        d1 = c0 ^ ((c2 << 1 | c2 >> 63) & mask)
        d2 = c1 ^ ((c3 << 1 | c3 >> 63) & mask)
        d3 = c2 ^ ((c4 << 1 | c4 >> 63) & mask)
        d4 = c3 ^ ((c0 << 1 | c0 >> 63) & mask)
        b0 = s0 ^ d0
        t = s1 ^ d1
        b10 = (t << 1 | t >> 63) & mask
        t = s2 ^ d2
        b20 = (t << 62 | t >> 2) & mask
        t = s3 ^ d3
        b5 = (t << 28 | t >> 36) & mask
        t = s4 ^ d4
        b15 = (t << 27 | t >> 37) & mask
        t = s5 ^ d0
        b16 = (t << 36 | t >> 28) & mask
        t = s6 ^ d1
        b1 = (t << 44 | t >> 20) & mask
        t = s7 ^ d2
        b11 = (t << 6 | t >> 58) & mask
        t = s8 ^ d3
        b21 = (t << 55 | t >> 9) & mask
        t = s9 ^ d4
        b6 = (t << 20 | t >> 44) & mask
        t = s10 ^ d0
        b7 = (t << 3 | t >> 61) & mask
        t = s11 ^ d1
        b17 = (t << 10 | t >> 54) & mask
        t = s12 ^ d2
        b2 = (t << 43 | t >> 21) & mask
        t = s13 ^ d3
        b12 = (t << 25 | t >> 39) & mask
        t = s14 ^ d4
        b22 = (t << 39 | t >> 25) & mask
        t = s15 ^ d0
        b23 = (t << 41 | t >> 23) & mask
        t = s16 ^ d1
        b8 = (t << 45 | t >> 19) & mask
        t = s17 ^ d2
        b18 = (t << 15 | t >> 49) & mask
        t = s18 ^ d3
        b3 = (t << 21 | t >> 43) & mask
        t = s19 ^ d4
        b13 = (t << 8 | t >> 56) & mask
        t = s20 ^ d0
        b14 = (t << 18 | t >> 46) & mask
        t = s21 ^ d1
        b24 = (t << 2 | t >> 62) & mask
        t = s22 ^ d2
        b9 = (t << 61 | t >> 3) & mask
        t = s23 ^ d3
        b19 = (t << 56 | t >> 8) & mask
        t = s24 ^ d4
        b4 = (t << 14 | t >> 50) & mask
        s0 = b0 ^ ((b1 | b2) ^ b1) ^ constant
        s1 = b1 ^ ((b2 | b3) ^ b2)
        s2 = b2 ^ ((b3 | b4) ^ b3)
        s3 = b3 ^ ((b4 | b0) ^ b4)
        s4 = b4 ^ ((b0 | b1) ^ b0)
        s5 = b5 ^ ((b6 | b7) ^ b6)
        s6 = b6 ^ ((b7 | b8) ^ b7)
        s7 = b7 ^ ((b8 | b9) ^ b8)
        s8 = b8 ^ ((b9 | b5) ^ b9)
        s9 = b9 ^ ((b5 | b6) ^ b5)
        s10 = b10 ^ ((b11 | b12) ^ b11)
        s11 = b11 ^ ((b12 | b13) ^ b12)
        s12 = b12 ^ ((b13 | b14) ^ b13)
        s13 = b13 ^ ((b14 | b10) ^ b14)
        s14 = b14 ^ ((b10 | b11) ^ b10)
        s15 = b15 ^ ((b16 | b17) ^ b16)
        s16 = b16 ^ ((b17 | b18) ^ b17)
        s17 = b17 ^ ((b18 | b19) ^ b18)
        s18 = b18 ^ ((b19 | b15) ^ b19)
        s19 = b19 ^ ((b15 | b16) ^ b15)
        s20 = b20 ^ ((b21 | b22) ^ b21)
        s21 = b21 ^ ((b22 | b23) ^ b22)
        s22 = b22 ^ ((b23 | b24) ^ b23)
        s23 = b23 ^ ((b24 | b20) ^ b24)
        s24 = b24 ^ ((b20 | b21) ^ b20)
    # fmt: off
    return (
        s0, s1, s2, s3, s4,
        s5, s6, s7, s8, s9,
        s10, s11, s12, s13, s14,
        s15, s16, s17, s18, s19,
        s20, s21, s22, s23, s24,
    )
    # fmt: on
