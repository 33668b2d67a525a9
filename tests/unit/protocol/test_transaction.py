from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qubic_vectors import qubic_vectors
from realtime_protocol.identity import PublicKey, parse_identity
from realtime_protocol.schnorrq import keypair
from realtime_protocol.transaction import (
    HEADER_BYTES,
    MAX_AMOUNT_QU,
    MAX_INPUT_BYTES,
    MAX_TRANSACTION_BYTES,
    Transaction,
    build_unsigned,
    parse_transaction,
    parse_unsigned,
    sign_transaction,
    signing_digest,
    transaction_digest,
    transaction_id,
    verify_transaction,
)

PAYER = keypair("payer" * 11)
PAYER_KEY = PublicKey(PAYER.public_key)
PAYEE_KEY = PublicKey(keypair("payee" * 11).public_key)
UNSIGNED = build_unsigned(PAYER_KEY, PAYEE_KEY, 1000, 1_000_005)
SIGNED = sign_transaction(UNSIGNED, PAYER.subseed, PAYER.public_key)


def transaction(**changes: Any) -> Transaction:
    fields = {"source": PAYER_KEY, "destination": PAYEE_KEY, "amount_qu": 1, "tick": 7, **changes}
    return Transaction(**fields)


@pytest.mark.parametrize("number", range(24))
def test_every_transaction_of_the_vectors_is_built_signed_and_named_the_same(number: int) -> None:
    vector = qubic_vectors()["transactions"][number]
    keys = keypair(vector["seed"])
    unsigned = build_unsigned(
        PublicKey(keys.public_key),
        parse_identity(vector["destination_identity"]),
        int(vector["amount"]),
        vector["tick"],
        input_type=vector["input_type"],
        payload=bytes.fromhex(vector["payload"]),
    )
    signed = sign_transaction(unsigned, keys.subseed, keys.public_key)
    assert signing_digest(unsigned).hex() == vector["signing_digest"]
    assert signed.hex() == vector["raw"]
    assert transaction_digest(signed).hex() == vector["digest"]
    assert transaction_id(signed) == vector["tx_id"]
    assert verify_transaction(signed)
    assert parse_transaction(signed).signed_bytes() == signed


@given(
    amount_qu=st.integers(0, MAX_AMOUNT_QU),
    tick=st.integers(0, 2**32 - 1),
    input_type=st.integers(0, 2**16 - 1),
    payload=st.binary(max_size=MAX_INPUT_BYTES),
    signature=st.binary(min_size=64, max_size=64),
)
@settings(max_examples=60)
def test_every_transaction_survives_its_bytes(
    amount_qu: int, tick: int, input_type: int, payload: bytes, signature: bytes
) -> None:
    whole = Transaction(PAYER_KEY, PAYEE_KEY, amount_qu, tick, input_type, payload, signature)
    assert parse_transaction(whole.signed_bytes()) == whole
    assert parse_unsigned(whole.unsigned_bytes()) == whole.without_signature()


@given(st.binary(max_size=HEADER_BYTES + 80))
@settings(max_examples=200)
def test_any_bytes_are_either_a_transaction_or_a_value_error(data: bytes) -> None:
    try:
        parsed = parse_transaction(data)
    except ValueError:
        assert not verify_transaction(data)
    else:
        assert parsed.signed_bytes() == data


def test_the_largest_transaction_has_the_named_size() -> None:
    largest = transaction(payload=bytes(MAX_INPUT_BYTES), signature=bytes(64))
    assert len(largest.signed_bytes()) == MAX_TRANSACTION_BYTES


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"amount_qu": -1}, "amount -1"),
        ({"amount_qu": MAX_AMOUNT_QU + 1}, "amount 1000000000000001"),
        ({"tick": -1}, "tick -1"),
        ({"tick": 2**32}, "tick 4294967296"),
        ({"input_type": 2**16}, "input type 65536"),
        ({"payload": bytes(MAX_INPUT_BYTES + 1)}, "1025 bytes; at most 1024"),
        ({"source": bytes(31)}, "source has 31 bytes"),
        ({"destination": bytes(33)}, "destination has 33 bytes"),
        ({"signature": bytes(63)}, "signature has 63 bytes"),
    ],
)
def test_a_field_beyond_its_limit_is_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        transaction(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"amount_qu": 1.0}, {"amount_qu": True}, {"tick": "7"}, {"source": "A" * 32}, {"payload": ""}],
)
def test_a_field_of_another_type_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must be"):
        transaction(**changes)


@pytest.mark.parametrize("cut", [0, 1, 64, 143])
def test_too_few_bytes_are_no_transaction(cut: int) -> None:
    with pytest.raises(ValueError, match=f"at least 144 bytes, not {cut}"):
        parse_transaction(SIGNED[:cut])


def test_bytes_too_many_or_missing_are_no_transaction() -> None:
    with pytest.raises(ValueError, match="makes 144 bytes, but it has 145"):
        parse_transaction(SIGNED + b"\x00")
    padded = sign_transaction(
        build_unsigned(PAYER_KEY, PAYEE_KEY, 1, 7, payload=b"1234"),
        PAYER.subseed,
        PAYER.public_key,
    )
    with pytest.raises(ValueError, match="makes 148 bytes, but it has 147"):
        parse_transaction(padded[:-1])


def test_a_negative_amount_on_the_wire_is_refused() -> None:
    negative = SIGNED[:64] + (-1).to_bytes(8, "little", signed=True) + SIGNED[72:]
    with pytest.raises(ValueError, match="amount -1"):
        parse_transaction(negative)


@pytest.mark.parametrize("position", [0, 40, 64, 72, 76, 90, 130])
def test_a_signed_transaction_with_one_changed_byte_does_not_verify(position: int) -> None:
    changed = bytearray(SIGNED)
    changed[position] ^= 1
    assert verify_transaction(SIGNED)
    assert not verify_transaction(bytes(changed))


def test_only_the_source_can_sign() -> None:
    other = keypair("other" * 11)
    with pytest.raises(ValueError, match="source is another key"):
        sign_transaction(UNSIGNED, other.subseed, other.public_key)


def test_only_a_transaction_is_signed() -> None:
    with pytest.raises(ValueError, match="makes 80 bytes, but it has 144"):
        sign_transaction(SIGNED, PAYER.subseed, PAYER.public_key)


def test_an_unsigned_transaction_has_no_signed_bytes() -> None:
    with pytest.raises(ValueError, match="isn't signed yet"):
        parse_unsigned(UNSIGNED).signed_bytes()
    with pytest.raises(TypeError, match="is bytes, not bytearray"):
        parse_unsigned(bytearray(UNSIGNED))  # type: ignore[arg-type]  # the wrong type is the test
