from typing import Any

import pytest
from Crypto.Hash import KangarooTwelve
from hypothesis import given, settings
from hypothesis import strategies as st

from qubic_vectors import qubic_vectors
from realtime_protocol._pure_k12 import CHUNK_BYTES, PARALLEL_LEAVES_MAX, k12

TICK_DATA_BYTES = 139_376


def patterned(size: int, factor: int = 101) -> bytes:
    return bytes((i * factor + 7) % 251 for i in range(size))


def message_of(vector: dict[str, Any]) -> bytes:
    if "input" in vector:
        return bytes.fromhex(vector["input"])
    return patterned(vector["input_len"], vector["pattern"]["a"])


def oracle(data: bytes, length: int) -> bytes:
    return KangarooTwelve.new(data=data).read(length)


def test_every_vector_has_its_digest() -> None:
    for vector in qubic_vectors()["k12"]:
        assert k12(message_of(vector), vector["output_len"]).hex() == vector["output"]


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        166,
        167,
        168,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        2 * CHUNK_BYTES - 1,
        2 * CHUNK_BYTES,
        2 * CHUNK_BYTES + 1,
        TICK_DATA_BYTES,
    ],
)
def test_sizes_around_each_edge_agree_with_another_implementation(size: int) -> None:
    data = patterned(size)
    assert k12(data, 32) == oracle(data, 32)


@pytest.mark.slow
@pytest.mark.parametrize("extra", [-1, 0, 1, CHUNK_BYTES])
def test_more_leaves_than_run_at_once_agree_with_another_implementation(extra: int) -> None:
    data = patterned((PARALLEL_LEAVES_MAX + 1) * CHUNK_BYTES + extra)
    assert k12(data, 32) == oracle(data, 32)


@given(st.binary(max_size=600), st.integers(0, 700))
@settings(max_examples=50, deadline=None)
def test_any_message_and_any_length_agree_with_another_implementation(
    data: bytes, length: int
) -> None:
    assert k12(data, length) == oracle(data, length)
