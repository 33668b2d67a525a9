import importlib
import sys
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qubic_vectors import qubic_vectors
from realtime_protocol import _pure_fourq as fourq
from realtime_protocol import _pure_schnorrq, schnorrq
from realtime_protocol.identity import contract_public_key
from realtime_protocol.schnorrq import k12, keypair, refusal_of_key, sign, verify

SEED = "wqbdupxgcaimwdsnchitjmsplzclkqokhadgehdxqogeeiovzvadstt"
KEYS = keypair(SEED)
MESSAGE = b"what is signed"
SIGNATURE = sign(KEYS.subseed, KEYS.public_key, MESSAGE)
ORDER_TWO = fourq.Affine((0, 0), (fourq.P - 1, 0))


def test_the_published_seed_gives_the_published_keys_and_signature() -> None:
    assert KEYS.subseed.hex() == "4e8f44e0e7a042e2269978cbda129205dfcb7b33cc809910d24f4b5398e8c0b3"
    assert KEYS.private_key.hex().startswith("699338c6c7eb8af59de7630ff0c79d9d")
    assert KEYS.public_key.hex().startswith("36af16d5265b7443d798891122b91a74")
    signature = sign(KEYS.subseed, KEYS.public_key, k12(b"hello"))
    assert signature.hex().startswith("c8261be7f4bce93a8c6403908ba96857")
    assert signature.hex().endswith("8212815154181be50cdf806a0a00")


def test_every_seed_of_the_vectors_gives_its_keys() -> None:
    for vector in qubic_vectors()["keys"]:
        keys = keypair(vector["seed"])
        assert keys.subseed.hex() == vector["subseed"]
        assert keys.private_key.hex() == vector["private_key"]
        assert keys.public_key.hex() == vector["public_key"]


@pytest.mark.slow
def test_every_signature_of_the_vectors_is_made_again_and_verified() -> None:
    vectors = qubic_vectors()["signatures"]
    assert len(vectors) == 48
    for vector in vectors:
        keys = keypair(vector["seed"])
        digest = k12(bytes.fromhex(vector["message"]))
        assert digest.hex() == vector["digest"]
        signature = sign(keys.subseed, keys.public_key, digest)
        assert signature.hex() == vector["signature"]
        assert verify(keys.public_key, digest, signature)


@pytest.mark.parametrize("number", range(31))
def test_every_tampered_signature_is_refused(number: int) -> None:
    vector = qubic_vectors()["tampered"][number]
    assert not verify(
        bytes.fromhex(vector["public_key"]),
        bytes.fromhex(vector["digest"]),
        bytes.fromhex(vector["signature"]),
    ), vector["why"]


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=55, max_size=55), st.binary(max_size=300))
@settings(max_examples=15, deadline=None)
def test_what_any_wallet_signs_verifies_for_it_and_for_no_other_message(
    seed: str, message: bytes
) -> None:
    keys = keypair(seed)
    signature = sign(keys.subseed, keys.public_key, message)
    assert verify(keys.public_key, message, signature)
    assert not verify(keys.public_key, message + b"\x00", signature)
    assert not verify(KEYS.public_key, message, signature)


@pytest.mark.parametrize("bit", [0, 127, 130, 255, 256, 300, 500, 511])
def test_one_changed_bit_of_a_signature_is_refused(bit: int) -> None:
    changed = (int.from_bytes(SIGNATURE, "little") ^ 1 << bit).to_bytes(64, "little")
    assert not verify(KEYS.public_key, MESSAGE, changed)


def test_the_twin_with_the_curve_order_added_is_refused() -> None:
    response = int.from_bytes(SIGNATURE[32:], "little")
    for multiple in range(1, 4):
        twin = SIGNATURE[:32] + (response + multiple * fourq.N).to_bytes(32, "little")
        assert not verify(KEYS.public_key, MESSAGE, twin)


def forged_for_known_discrete_log(public_key: bytes, private_key: int, message: bytes) -> bytes:
    """Sign for kG + T as if T were not there: the bare equation holds for every even challenge."""
    for nonce in range(1, 100):
        commitment = fourq.encode_point(fourq.multiply_generator(nonce))
        digest = k12(commitment + public_key + message, 64)
        challenge = int.from_bytes(digest[:32], "little") % fourq.N
        if challenge % 2 == 0:
            response = (nonce - private_key * challenge) % fourq.N
            return commitment + response.to_bytes(32, "little")
    raise AssertionError("a hundred odd challenges in a row")


def bare_equation_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    point = fourq.decode_point(public_key)
    assert point is not None
    challenge = int.from_bytes(k12(signature[:32] + public_key + message, 64)[:32], "little")
    total = fourq.add_points(
        fourq.Multiples(point).multiply(challenge % fourq.N),
        fourq.multiply_generator(int.from_bytes(signature[32:], "little")),
    )
    return fourq.encode_point(total) == signature[:32]


def test_a_mixed_order_key_is_refused_though_the_bare_equation_holds() -> None:
    mixed = fourq.encode_point(
        fourq.add_points(fourq.multiply_generator(4711), fourq.extended(ORDER_TWO))
    )
    signature = forged_for_known_discrete_log(mixed, 4711, MESSAGE)
    assert bare_equation_holds(mixed, MESSAGE, signature)
    assert not verify(mixed, MESSAGE, signature)
    assert refusal_of_key(mixed) == "it is outside the subgroup of prime order"


def test_a_low_order_key_is_refused_though_the_bare_equation_holds() -> None:
    low = fourq.encode_point(fourq.extended(ORDER_TWO))
    signature = forged_for_known_discrete_log(low, 0, MESSAGE)
    assert bare_equation_holds(low, MESSAGE, signature)
    assert not verify(low, MESSAGE, signature)
    assert refusal_of_key(low) == "it is of low order"


def test_keys_of_every_order_that_divides_the_cofactor_are_refused() -> None:
    found = set()
    for y in range(2, 40):
        point = fourq.decode_point(y.to_bytes(16, "little") + bytes([1]) + bytes(15))
        if point is None:
            continue
        small = fourq.Multiples(point).multiply(fourq.N)
        encoded = fourq.encode_point(small)
        affine = fourq.decode_point(encoded)
        assert affine is not None
        if fourq.is_neutral(small):
            continue
        found.add(encoded)
        assert refusal_of_key(encoded) == "it is of low order"
        mixed = fourq.encode_point(fourq.add_points(fourq.multiply_generator(99), small))
        assert refusal_of_key(mixed) == "it is outside the subgroup of prime order"
    assert len(found) > 5


def test_a_forgery_for_the_neutral_point_in_any_writing_is_refused() -> None:
    writings = [
        bytes([1]) + bytes(31),
        bytes([1]) + bytes(30) + b"\x80",
        bytes([1]) + bytes(15) + b"\xff" * 15 + b"\x7f",  # y1 = p, another name of 0
        bytes([1]) + bytes(15) + b"\xff" * 16,
    ]
    for key in writings:
        forgery = fourq.encode_point(fourq.multiply_generator(7)) + (7).to_bytes(32, "little")
        assert bare_equation_holds(key, MESSAGE, forgery)
        assert not verify(key, MESSAGE, forgery)


def test_contract_and_zero_keys_are_refused() -> None:
    for key in [bytes(32), contract_public_key(1), contract_public_key(29)]:
        assert refusal_of_key(key) is not None
        assert not verify(key, MESSAGE, SIGNATURE)


def test_keys_with_a_reserved_form_are_refused_though_they_are_on_the_curve() -> None:
    on_curve = [
        key
        for key in (y.to_bytes(32, "little") for y in range(2, 12))
        if fourq.decode_point(key) is not None
    ]
    assert on_curve
    assert all(refusal_of_key(key) is not None for key in on_curve)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_key_of_another_length_is_refused_without_an_error(size: int) -> None:
    assert not verify(bytes(size), MESSAGE, SIGNATURE)
    assert refusal_of_key(bytes(size)) == f"it has {size} bytes, not 32"


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_a_signature_of_another_length_is_refused_without_an_error(size: int) -> None:
    assert not verify(KEYS.public_key, MESSAGE, (SIGNATURE + b"\x00")[:size])


@pytest.mark.parametrize("wrong", ["text", None, 7, bytearray(32)])
def test_other_types_than_bytes_are_an_error_of_the_caller(wrong: object) -> None:
    with pytest.raises(TypeError, match="public_key must be bytes"):
        verify(wrong, MESSAGE, SIGNATURE)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(TypeError, match="data must be bytes"):
        k12(wrong)  # type: ignore[arg-type]  # the wrong type is the test


@pytest.mark.parametrize(
    "seed", ["", SEED[:-1], SEED + "a", SEED.upper(), SEED[:-1] + "ä", SEED[:-1] + "1"]
)
def test_a_bad_seed_is_refused_without_being_repeated(seed: str) -> None:
    with pytest.raises(ValueError, match="55 letters a to z") as caught:
        keypair(seed)
    assert SEED[:10] not in str(caught.value).lower()


def test_a_key_pair_shows_no_secret() -> None:
    shown = repr(KEYS) + str(KEYS)
    assert repr(KEYS.public_key) in shown
    assert repr(KEYS.subseed) not in shown
    assert repr(KEYS.private_key) not in shown


def test_signing_with_another_public_key_is_refused() -> None:
    other = keypair("a" * 55).public_key
    with pytest.raises(ValueError, match="isn't the subseed's own"):
        sign(KEYS.subseed, other, MESSAGE)


def test_signing_with_keys_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes each"):
        sign(KEYS.subseed[:-1], KEYS.public_key, MESSAGE)
    with pytest.raises(ValueError, match="can't have -1 bytes"):
        k12(b"", -1)


def test_judged_keys_are_kept_up_to_a_bound() -> None:
    assert _pure_schnorrq._judge.cache_parameters()["maxsize"] == _pure_schnorrq.CACHED_KEYS_MAX
    assert _pure_schnorrq.verify(KEYS.public_key, MESSAGE, SIGNATURE)
    hits = _pure_schnorrq._judge.cache_info().hits
    assert _pure_schnorrq.verify(KEYS.public_key, MESSAGE, SIGNATURE)
    assert _pure_schnorrq._judge.cache_info().hits == hits + 1


def test_a_native_implementation_is_picked_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    native = ModuleType(schnorrq._NATIVE)
    monkeypatch.setitem(sys.modules, schnorrq._NATIVE, native)
    picked: object = schnorrq._pick_engine()
    assert picked is native


def test_a_native_implementation_that_is_broken_does_not_go_unnoticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def import_broken(name: str) -> ModuleType:
        raise ImportError("undefined symbol: fourq", name=name)

    monkeypatch.setattr(importlib, "import_module", import_broken)
    with pytest.raises(ImportError, match="undefined symbol"):
        schnorrq._pick_engine()


def test_the_pure_implementation_stays_importable_as_the_oracle() -> None:
    assert _pure_schnorrq.IMPLEMENTATION == "pure Python"
    assert _pure_schnorrq.sign(KEYS.subseed, KEYS.public_key, MESSAGE) == SIGNATURE
