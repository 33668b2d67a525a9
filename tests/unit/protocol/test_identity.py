import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qubic_vectors import qubic_vectors
from realtime_protocol.identity import (
    NULL_PUBLIC_KEY,
    contract_public_key,
    encode_digest_id,
    encode_identity,
    is_contract_key,
    parse_digest_id,
    parse_identity,
    refusal_of_wallet_key,
)

KEY = bytes.fromhex("36af16d5265b7443d798891122b91a74893752107fe0286c45856bd793e339ff")
IDENTITY = "SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK"


def test_the_published_identity_and_its_key_are_one() -> None:
    assert encode_identity(KEY) == IDENTITY
    assert parse_identity(IDENTITY) == KEY


def test_every_vector_names_its_key_both_ways() -> None:
    for vector in qubic_vectors()["keys"]:
        key = bytes.fromhex(vector["public_key"])
        assert encode_identity(key) == vector["identity"]
        assert parse_identity(vector["identity"]) == key


def test_every_transaction_id_names_its_digest_both_ways() -> None:
    for vector in qubic_vectors()["transactions"]:
        digest = bytes.fromhex(vector["digest"])
        assert encode_digest_id(digest) == vector["tx_id"]
        assert parse_digest_id(vector["tx_id"]) == digest


def test_the_zero_key_has_the_burn_identity() -> None:
    assert encode_identity(NULL_PUBLIC_KEY) == "A" * 56 + "FXIB"


def test_a_contract_has_the_identity_of_the_vectors() -> None:
    identities = {vector["destination_identity"] for vector in qubic_vectors()["transactions"]}
    assert encode_identity(contract_public_key(4)) in identities


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=50, deadline=None)
def test_every_key_survives_its_letters(key: bytes) -> None:
    assert parse_identity(encode_identity(key)) == key
    assert parse_digest_id(encode_digest_id(key)) == key


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "60 letters, not 0"),
        (IDENTITY[:-1], "60 letters, not 59"),
        (IDENTITY + "A", "60 letters, not 61"),
        (IDENTITY.lower(), "number 1 is 's'"),
        ("Ä" + IDENTITY[1:], "number 1 is 'Ä'"),
        (IDENTITY[:59] + "\n", "number 60"),
        (" " + IDENTITY[1:], "number 1 is ' '"),
    ],
)
def test_a_text_that_is_no_identity_is_named_as_such(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_identity(text)


@pytest.mark.parametrize("position", [0, 13, 14, 30, 55, 56, 59])
def test_one_changed_letter_breaks_the_checksum(position: int) -> None:
    other = "A" if IDENTITY[position] != "A" else "B"
    changed = IDENTITY[:position] + other + IDENTITY[position + 1 :]
    with pytest.raises(ValueError, match=r"last 4 letters|more than 64 bits"):
        parse_identity(changed)


def test_letters_beyond_64_bits_are_refused_though_they_wrap_to_the_same_key() -> None:
    word = int.from_bytes(KEY[:8], "little") + 2**64
    letters = ""
    for _ in range(14):
        word, digit = divmod(word, 26)
        letters += chr(ord("A") + digit)
    assert word == 0
    with pytest.raises(ValueError, match="more than 64 bits"):
        parse_identity(letters + IDENTITY[14:])


def test_a_transaction_id_is_no_identity_and_the_reverse() -> None:
    with pytest.raises(ValueError, match="a transaction id has letters a to z only"):
        parse_digest_id(IDENTITY)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_32_bytes_have_an_identity(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        encode_identity(bytes(size))


@pytest.mark.parametrize("index", [-1, 0, 1024])
def test_only_contract_numbers_have_a_contract_address(index: int) -> None:
    with pytest.raises(ValueError, match="contract index"):
        contract_public_key(index)


def test_contract_addresses_are_known_as_such() -> None:
    assert is_contract_key(contract_public_key(1))
    assert is_contract_key(contract_public_key(1023))
    assert not is_contract_key(NULL_PUBLIC_KEY)
    assert not is_contract_key(KEY)
    assert not is_contract_key(b"\x01")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (NULL_PUBLIC_KEY, "zero key"),
        (contract_public_key(29), "contract 29"),
        ((5000).to_bytes(32, "little"), "contract's address"),
        (bytes([1]) + bytes(30) + b"\x80", "neutral point"),
        (bytes([2]) * 15 + b"\x80" + bytes([2]) * 16, "bit 127"),
        (b"\xfe" + b"\xff" * 14 + b"\x7f" + bytes(16), "low order"),
        (bytes([1]) + bytes(15) + b"\xff" * 15 + b"\x7f", "low order"),
        (bytes(31), "31 bytes"),
    ],
)
def test_a_key_that_nobody_can_hold_says_why(key: bytes, reason: str) -> None:
    refusal = refusal_of_wallet_key(key)
    assert refusal is not None
    assert reason in refusal


def test_an_honest_key_may_be_a_wallet() -> None:
    assert refusal_of_wallet_key(KEY) is None
