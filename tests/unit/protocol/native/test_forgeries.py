"""Signatures of which all is right but the one thing that a check is for."""

import ctypes
import importlib
import random
from collections.abc import Iterator
from types import ModuleType

import pytest

from engines import PURE
from native_build import has_ifma, load_library
from realtime_protocol import _pure_fourq as fourq
from signature_corpus import mixed_keys, torsion, wallets

N = fourq.N
MESSAGE = b"what is signed"
MULTIPLES_BYTES = 8 * 12 * 8

pytestmark = pytest.mark.slow


@pytest.fixture(params=["portable", "twin", "ifma"] if has_ifma() else ["portable", "twin"])
def native(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    module = importlib.import_module("realtime_protocol._native")
    module.use_path(request.param)
    module.use_key_cache(False)
    yield module
    module.use_path(module.PATHS[0])
    module.use_key_cache(True)


def forged(written_key: bytes, private_key: int, nonce: int = 4711) -> bytes:
    """Sign for the bytes of a key as if they were those of [private_key]G."""
    commitment = fourq.encode_point(fourq.multiply_generator(nonce))
    digest = PURE.k12(commitment + written_key + MESSAGE)
    response = nonce - private_key * int.from_bytes(digest, "little")
    return commitment + (response % N).to_bytes(32, "little")


def verdicts(native: ModuleType, key: bytes, signature: bytes) -> set[bool]:
    """Return all that is said of it: alone, and in batches that do and don't fill the lanes."""
    items = [(key, MESSAGE, signature)]
    found = {native.verify(*items[0])}
    for count in (1, 2, 3, 8, 9):
        found |= set(native.verify_many(items * count))
    return found


def test_what_is_made_so_for_the_key_s_own_bytes_is_no_forgery(native: ModuleType) -> None:
    key = fourq.encode_point(fourq.multiply_generator(99))
    assert verdicts(native, key, forged(key, 99)) == {True}


def test_the_reserved_bit_of_a_key_is_no_other_writing(native: ModuleType) -> None:
    key = bytearray(fourq.encode_point(fourq.multiply_generator(99)))
    key[15] |= 0x80
    assert verdicts(native, bytes(key), forged(bytes(key), 99)) == {False}
    assert native.refusal_of_key(bytes(key)) == "bit 127 is set"


def test_the_sign_of_a_key_counts(native: ModuleType) -> None:
    key = bytearray(fourq.encode_point(fourq.multiply_generator(99)))
    assert verdicts(native, bytes(key), forged(bytes(key), 99)) == {True}
    key[31] ^= 0x80
    assert verdicts(native, bytes(key), forged(bytes(key), 99)) == {False}
    assert verdicts(native, bytes(key), forged(bytes(key), -99)) == {True}


def test_the_order_added_to_s_is_no_other_writing(native: ModuleType) -> None:
    key = fourq.encode_point(fourq.multiply_generator(99))
    signature = forged(key, 99)
    response = int.from_bytes(signature[32:], "little") + N
    assert verdicts(native, key, signature[:32] + response.to_bytes(32, "little")) == {False}


def test_another_commitment_is_refused(native: ModuleType) -> None:
    key = fourq.encode_point(fourq.multiply_generator(99))
    assert verdicts(native, key, forged(key, 99, nonce=1)[:32] + forged(key, 99)[32:]) == {False}


def test_many_keys_that_are_kept_are_not_taken_for_one_another(native: ModuleType) -> None:
    native.use_key_cache(True)
    # So many that places of the cache are shared, with four keys in each.
    seeds = [number.to_bytes(32, "little") for number in range(400)]
    keys = [native.public_key(native.k12(seed)) for seed in seeds]
    items = [
        (key, MESSAGE, native.sign(seed, key, MESSAGE))
        for seed, key in zip(seeds, keys, strict=True)
    ]
    for _ in range(2):
        assert [native.verify(*item) for item in items] == [True] * len(items)


def test_a_half_of_y_that_is_p_counts_as_zero_as_in_core(native: ModuleType) -> None:
    source = random.Random(7)
    refusals = []
    for _ in range(40):
        half = source.getrandbits(127)
        for number in (fourq.P | half << 128, half | fourq.P << 128):
            key = number.to_bytes(32, "little")
            refusals.append(native.refusal_of_key(key))
            assert refusals[-1] == PURE.refusal_of_key(key)
    # Of a key off the curve nothing would be seen.
    assert refusals.count("it is outside the subgroup of prime order") > 20


def test_a_reserved_key_of_the_subgroup_is_refused(native: ModuleType) -> None:
    for y in range(2, 1 << 16):
        point = fourq.decode_point(y.to_bytes(32, "little"))
        if point is not None and fourq.is_neutral(fourq.Multiples(point).multiply(N)):
            key = y.to_bytes(32, "little")
            assert native.refusal_of_key(key) == PURE.refusal_of_key(key)
            assert native.refusal_of_key(key).startswith("it is the zero key")
            return
    pytest.fail("no such key among the first")


def test_keys_of_low_and_of_mixed_order_are_refused_by_name(native: ModuleType) -> None:
    for small in torsion()[1::7]:
        key = fourq.encode_point(small)
        assert native.refusal_of_key(key) == PURE.refusal_of_key(key)
    for _, key in mixed_keys():
        assert native.refusal_of_key(key) == PURE.refusal_of_key(key)


def test_keys_off_the_curve_are_refused_by_name(native: ModuleType) -> None:
    source = random.Random(5)
    keys = [
        source.randbytes(15) + bytes([source.getrandbits(7)]) + source.randbytes(16)
        for _ in range(60)
    ]
    refusals = [native.refusal_of_key(key) for key in keys]
    assert refusals == [PURE.refusal_of_key(key) for key in keys]
    assert refusals.count("it is not on the curve") > 15


LANES_PATHS = ["twin", "ifma"] if has_ifma() else ["twin"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    sources = [f"keys_{path}.c" for path in LANES_PATHS]
    sources += ["verification.c", "order.c", "k12.c", "key_cache.c"]
    loaded = load_library(sources, tmp_path_factory.mktemp("keys"))
    loaded.prepare_key.restype = ctypes.c_bool
    return loaded


@pytest.mark.parametrize("path", LANES_PATHS)
def test_the_lanes_prepare_keys_as_one_by_one_and_tell_the_unsound_ones(
    library: ctypes.CDLL, path: str
) -> None:
    off_curve = [bytes([i]) * 31 + b"\x01" for i in range(64)]
    keys = [each.public_key for each in wallets()][:32] + [key for _, key in mixed_keys()]
    keys += [key for key in off_curve if PURE.refusal_of_key(key) == "it is not on the curve"]
    keys += [fourq.encode_point(small) for small in torsion()[3::9]]
    # Sound and unsound ones side by side.
    keys = [keys[i * 37 % len(keys)] for i in range(len(keys) // 8 * 8)]
    expected = {key: PURE.refusal_of_key(key) is None for key in keys}
    # Of those off the curve one in 392 would pass for one of the subgroup.
    source = random.Random(6)
    keys += [source.randbytes(15) + b"\x07" + source.randbytes(16) for _ in range(4096)]
    for at in range(0, len(keys), 8):
        eight = keys[at : at + 8]
        made = ctypes.create_string_buffer(8 * MULTIPLES_BYTES)
        sound = getattr(library, f"prepare_keys_{path}")((ctypes.c_char_p * 8)(*eight), made)
        for lane, key in enumerate(eight):
            alone = ctypes.create_string_buffer(MULTIPLES_BYTES)
            is_sound = library.prepare_key(key, alone)
            assert is_sound == expected.get(key, is_sound)
            assert sound >> lane & 1 == is_sound
            if is_sound:
                part = made.raw[lane * MULTIPLES_BYTES : (lane + 1) * MULTIPLES_BYTES]
                assert canonical(part) == canonical(alone.raw)


def canonical(multiples: bytes) -> list[int]:
    return [
        int.from_bytes(multiples[at : at + 16], "little") % fourq.P
        for at in range(0, len(multiples), 16)
    ]
