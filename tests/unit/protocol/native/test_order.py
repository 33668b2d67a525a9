"""Numbers modulo N in C against Python's integers."""

import ctypes
import random
from collections.abc import Iterator

import pytest

from native_build import load_library
from realtime_protocol._pure_fourq import N


class Scalar(ctypes.Structure):
    _fields_ = (("words", ctypes.c_uint64 * 4),)

    @classmethod
    def of(cls, number: int) -> "Scalar":
        return cls.from_buffer_copy(number.to_bytes(32, "little"))

    def __int__(self) -> int:
        return int.from_bytes(bytes(self), "little")


def edges() -> Iterator[int]:
    """Yield multiples of N, powers of 2 and full words, each with its neighbours."""
    for multiple in range(1568):
        yield from (multiple * N + step for step in (-1, 0, 1))
    for bit in (*range(60, 70), *range(120, 135), *range(185, 200), *range(240, 257)):
        yield from ((1 << bit) + step for step in (-1, 0, 1))
    for word in range(4):
        yield ((1 << 64) - 1) << 64 * word
        yield ~(((1 << 64) - 1) << 64 * word)


EDGES = sorted({number % (1 << 256) for number in edges()})


def numbers() -> list[int]:
    source = random.Random(1)
    return EDGES + [source.getrandbits(source.choice((64, 245, 246, 247, 256))) for _ in range(500)]


@pytest.fixture(scope="module", params=["gcc", "clang"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    built = load_library(["order.c"], tmp_path_factory.mktemp("order"), compiler=request.param)
    built.scalar_from_bytes.restype = Scalar
    built.scalar_from_bytes.argtypes = [ctypes.c_char_p]
    built.scalar_is_below_order.restype = ctypes.c_bool
    built.scalar_is_below_order.argtypes = [ctypes.c_char_p]
    built.scalar_subtract_product.restype = Scalar
    return built


def test_any_32_bytes_are_taken_modulo_n(library: ctypes.CDLL) -> None:
    for number in numbers():
        assert int(library.scalar_from_bytes(number.to_bytes(32, "little"))) == number % N, number


def test_only_numbers_below_n_are_below_the_order(library: ctypes.CDLL) -> None:
    for number in numbers():
        assert library.scalar_is_below_order(number.to_bytes(32, "little")) == (number < N), number


def test_a_scalar_s_bytes_are_little_endian(library: ctypes.CDLL) -> None:
    for number in numbers():
        written = ctypes.create_string_buffer(32)
        library.scalar_to_bytes(ctypes.byref(Scalar.of(number)), written)
        assert written.raw == number.to_bytes(32, "little")


def test_a_product_is_subtracted_modulo_n(library: ctypes.CDLL) -> None:
    source = random.Random(2)
    reduced = [number % N for number in numbers()]
    rows = [(nonce, key, key) for nonce in (0, 1, N - 1) for key in (0, 1, 2, N - 1, N - 2)]
    rows += zip(*(source.choices(reduced, k=3000) for _ in range(3)), strict=True)
    for nonce, key, challenge in rows:
        arguments = [ctypes.byref(Scalar.of(number)) for number in (nonce, key, challenge)]
        result = int(library.scalar_subtract_product(*arguments))
        assert result == (nonce - key * challenge) % N, (nonce, key, challenge)
