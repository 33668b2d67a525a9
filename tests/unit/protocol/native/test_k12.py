import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from Crypto.Hash import KangarooTwelve

from native_build import has_ifma, load_library
from qubic_vectors import qubic_vectors

BLOCK_BYTES = 168
CHUNK_BYTES = 8192
EDGES = sorted(
    {
        size
        for edge in (0, BLOCK_BYTES, 2 * BLOCK_BYTES, CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES)
        for size in range(max(0, edge - 10), edge + 10)
    }
    | {257 * CHUNK_BYTES, 257 * CHUNK_BYTES + 1}  # so many leaves that their count has two bytes
)

HashParts = Callable[[Sequence[bytes], int], bytes]


class Part(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


@pytest.fixture(scope="module", params=["gcc", "clang"])
def k12(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HashParts:
    library = load_library(["k12.c"], tmp_path_factory.mktemp("k12"), compiler=request.param)

    def hash_parts(parts: Sequence[bytes], size: int) -> bytes:
        digest = ctypes.create_string_buffer(b"\xa5" * (size + 1), size + 1)
        array = (Part * len(parts))(*[Part(part, len(part)) for part in parts])
        library.k12(array, ctypes.c_size_t(len(parts)), digest, ctypes.c_size_t(size))
        assert digest.raw[size] == 0xA5, "a byte behind the digest was written"
        return digest.raw[:size]

    return hash_parts


def patterned(size: int, factor: int = 101) -> bytes:
    period = bytes((i * factor + 7) % 251 for i in range(251))
    return (period * (size // 251 + 1))[:size]


def message_of(vector: dict[str, Any]) -> bytes:
    if "input" in vector:
        return bytes.fromhex(vector["input"])
    return patterned(vector["input_len"], vector["pattern"]["a"])


def oracle(data: bytes, size: int) -> bytes:
    return KangarooTwelve.new(data=data).read(size)


def test_every_vector_has_its_digest(k12: HashParts) -> None:
    for vector in qubic_vectors()["k12"]:
        assert k12([message_of(vector)], vector["output_len"]).hex() == vector["output"]


def test_every_size_around_the_edges_of_blocks_and_chunks_agrees(k12: HashParts) -> None:
    for size in EDGES:
        data = patterned(size)
        assert k12([data], 32) == oracle(data, 32), size


def test_every_size_of_digest_agrees(k12: HashParts) -> None:
    for size in [*range(1, 70), *range(160, 180), 335, 336, 337, 1000]:
        assert k12([b"message"], size) == oracle(b"message", size), size
    assert k12([b"message"], 0) == b""


def test_parts_are_hashed_as_if_they_were_joined(k12: HashParts) -> None:
    for size in (20, BLOCK_BYTES, 400, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 300):
        data = patterned(size)
        for cut in {0, 1, 7, 8, 9, 167, 168, 169, 8191, 8192, 8193} & {*range(size)}:
            parts = [data[:cut], b"", data[cut : cut + 13], data[cut + 13 :]]
            assert k12(parts, 64) == oracle(data, 64), (size, cut)


def test_no_part_and_an_empty_part_are_the_empty_message(k12: HashParts) -> None:
    assert k12([], 32) == k12([b""], 32) == k12([b"", b""], 32) == oracle(b"", 32)


LANES = 8
LANES_MESSAGE_BYTES_MAX = 166


LANES_PATHS = ["twin", "ifma"] if has_ifma() else ["twin"]


@pytest.mark.slow
def test_eight_short_messages_at_once_have_the_digests_they_have_alone(tmp_path: Path) -> None:
    libraries = [
        (compiler, path, load_library([f"k12_{path}.c"], tmp_path, compiler=compiler))
        for compiler in ("gcc", "clang")
        for path in LANES_PATHS
    ]
    for size in range(LANES_MESSAGE_BYTES_MAX + 1):
        data = [patterned(max(0, size - lane % 3), lane + 2) for lane in range(LANES)]
        expected = b"".join(oracle(each, 32) for each in data)
        parts = [
            (Part * 2)(Part(each[:64], len(each[:64])), Part(each[64:], len(each[64:])))
            for each in data
        ]
        pointers = (ctypes.c_void_p * LANES)(*map(ctypes.addressof, parts))
        for compiler, path, library in libraries:
            digests = ctypes.create_string_buffer(LANES * 32)
            getattr(library, f"hash_{path}")(pointers, ctypes.c_size_t(2), digests)
            assert digests.raw == expected, (size, compiler, path)
