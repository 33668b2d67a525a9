"""Keys and signatures from the C core against the pure-Python reference."""

import ctypes
import random

import pytest

from native_build import load_library
from qubic_vectors import qubic_vectors
from realtime_protocol import _pure_schnorrq as reference
from realtime_protocol._pure_fourq import N


@pytest.fixture(scope="module", params=["gcc", "clang"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("signing")
    built = load_library(["signing.c", "order.c", "k12.c"], folder, compiler=request.param)
    built.schnorrq_public_key.argtypes = [ctypes.c_char_p] * 2
    built.schnorrq_sign.argtypes = [
        *[ctypes.c_char_p] * 3,
        ctypes.c_size_t,
        ctypes.c_char_p,
    ]
    built.schnorrq_sign.restype = ctypes.c_bool
    built.signing_begin()
    return built


def public_key(library: ctypes.CDLL, private_key: bytes) -> bytes:
    made = ctypes.create_string_buffer(32)
    library.schnorrq_public_key(private_key, made)
    return made.raw


def sign(library: ctypes.CDLL, subseed: bytes, key: bytes, message: bytes) -> tuple[bool, bytes]:
    made = ctypes.create_string_buffer(b"?" * 64, 64)
    done = library.schnorrq_sign(subseed, key, message, len(message), made)
    return done, made.raw


def test_the_vectors_keys_are_made(library: ctypes.CDLL) -> None:
    for vector in qubic_vectors()["keys"]:
        made = public_key(library, bytes.fromhex(vector["private_key"]))
        assert made.hex() == vector["public_key"]


def test_the_vectors_signatures_are_made(library: ctypes.CDLL) -> None:
    subseeds = {key["public_key"]: key["subseed"] for key in qubic_vectors()["keys"]}
    for vector in qubic_vectors()["signatures"]:
        subseed = bytes.fromhex(subseeds[vector["public_key"]])
        key, digest = (bytes.fromhex(vector[name]) for name in ("public_key", "digest"))
        assert sign(library, subseed, key, digest) == (True, bytes.fromhex(vector["signature"]))


@pytest.mark.slow
def test_any_private_key_makes_the_reference_s_public_key(library: ctypes.CDLL) -> None:
    numbers = [0, 1, 2, 3, N - 2, N - 1, N, N + 1, 2 * N, 2 * N + 1, (1 << 256) - 1]
    numbers += [1 << bit for bit in range(256)]
    source = random.Random(6)
    numbers += [source.getrandbits(256) for _ in range(100)]
    for number in numbers:
        private_key = number.to_bytes(32, "little")
        assert public_key(library, private_key) == reference.public_key(private_key), number


@pytest.mark.slow
def test_messages_of_any_size_get_the_reference_s_signature(library: ctypes.CDLL) -> None:
    source = random.Random(7)
    sizes = [0, 1, 31, 32, 33, 103, 104, 135, 136, 137, 167, 168, 169, 1000, 8128, 8192, 20_000]
    for size in sizes:
        subseed, message = source.randbytes(32), source.randbytes(size)
        key = reference.public_key(reference.k12(subseed))
        expected = reference.sign(subseed, key, message)
        assert sign(library, subseed, key, message) == (True, expected), size


def test_a_key_that_isn_t_the_subseed_s_own_gets_no_signature(library: ctypes.CDLL) -> None:
    subseed = b"\x07" * 32
    key = reference.public_key(reference.k12(subseed))
    for bit in range(256):
        other = (int.from_bytes(key, "little") ^ 1 << bit).to_bytes(32, "little")
        assert sign(library, subseed, other, b"message") == (False, bytes(64)), bit
