import base64
from collections.abc import Callable
from typing import Any

import pytest

from qubic_vectors import qubic_vectors
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import keypair, verify
from realtime_protocol.session_key import Kind, covered_bytes
from realtime_protocol.wallet_signatures import (
    WalletAnswerError,
    parse_extension_answer,
    parse_message_json,
    parse_signature_text,
    parse_walletconnect_answer,
    sign_login,
    signed_message,
    verify_login_signature,
)

WALLET_SCHEMES = (Scheme.WC, Scheme.K12, Scheme.RAW)
VECTOR = qubic_vectors()["wallet_messages"][0]
TEXT = VECTOR["message"].encode()
KEY = bytes.fromhex(VECTOR["public_key"])
WALLETCONNECT = VECTOR["A_walletconnect_qubic_sign"]
EXTENSION = VECTOR["B_extension_signMessage"]
RAW_JSON = VECTOR["C_raw_message_json"]

Answer = dict[str, Any]


def read_answers(vector: Answer) -> list[tuple[Scheme, bytes]]:
    """Take the four wallets' answers of one vector apart, as a client of the hub does."""
    text, key = vector["message"].encode(), bytes.fromhex(vector["public_key"])
    return [
        (Scheme.WC, parse_walletconnect_answer(vector["A_walletconnect_qubic_sign"], text)),
        (Scheme.K12, parse_extension_answer(vector["B_extension_signMessage"], text)),
        (Scheme.RAW, parse_message_json(vector["C_raw_message_json"], text, key)),
        (Scheme.WC, parse_message_json(vector["D_prefixed_json"], text, key)),
    ]


@pytest.mark.parametrize("number", range(12))
def test_every_wallet_message_verifies_under_its_own_scheme_only(number: int) -> None:
    vector = qubic_vectors()["wallet_messages"][number]
    text, key = vector["message"].encode(), bytes.fromhex(vector["public_key"])
    for scheme, signature in read_answers(vector):
        for tried in WALLET_SCHEMES:
            assert verify_login_signature(tried, key, text, signature) is (tried is scheme)
        assert sign_login(scheme, keypair(vector["seed"]), text) == signature


def test_the_signed_digest_of_walletconnect_is_the_one_of_the_vectors() -> None:
    assert signed_message(Scheme.WC, TEXT).hex() == WALLETCONNECT["signed_digest"]
    assert signed_message(Scheme.K12, TEXT).hex() == EXTENSION["digestHex"]
    assert signed_message(Scheme.RAW, TEXT) == TEXT


def test_another_wallet_or_another_text_does_not_verify() -> None:
    other = bytes.fromhex(qubic_vectors()["wallet_messages"][4]["public_key"])
    assert other != KEY
    for scheme, signature in read_answers(VECTOR):
        assert not verify_login_signature(scheme, other, TEXT, signature)
        assert not verify_login_signature(scheme, KEY, TEXT + b".", signature)


def test_the_key_scheme_is_not_the_wallets() -> None:
    assert signed_message(Scheme.KEY, TEXT) == covered_bytes(Kind.LOGIN, TEXT)
    with pytest.raises(ValueError, match="session key"):
        verify_login_signature(Scheme.KEY, KEY, TEXT, bytes(64))
    with pytest.raises(ValueError, match="session key"):
        sign_login(Scheme.KEY, keypair(VECTOR["seed"]), TEXT)


def changed(answer: Answer, **changes: object) -> Answer:
    return {**answer, **changes}


def twin(text: str) -> str:
    """Set one of the bits that base64 leaves over in the letter before the padding."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    position = len(text.rstrip("=")) - 1
    other = letters[letters.index(text[position]) ^ 1]
    return text[:position] + other + text[position + 1 :]


SIGNATURE_BASE64 = WALLETCONNECT["signature"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"signature": None}, "signature is missing"),
        ({"signature": 5}, "signature is missing or not a text"),
        ({"signature": SIGNATURE_BASE64[:-4] + "AA==A"}, "signature is not base64"),
        ({"signature": " " + SIGNATURE_BASE64}, "signature is not base64"),
        ({"signature": twin(SIGNATURE_BASE64)}, "base64 in its one form"),
        ({"signature": base64.b64encode(bytes(63)).decode()}, "63 bytes, not 64"),
        ({"signature": base64.b64encode(bytes(64)).decode()}, "signedData is not the text"),
        ({"signedData": base64.b64encode(TEXT + bytes(64)).decode()}, "signedData has"),
        ({"digest": base64.b64encode(bytes(32)).decode()}, "digest of signedData"),
        ({"digest": "ä"}, "digest is not base64"),
    ],
)
def test_a_walletconnect_answer_that_contradicts_itself_is_refused(
    changes: Answer, complaint: str
) -> None:
    with pytest.raises(WalletAnswerError, match=complaint):
        parse_walletconnect_answer(changed(WALLETCONNECT, **changes), TEXT)


def test_the_digest_that_was_signed_is_not_the_digest_of_a_walletconnect_answer() -> None:
    signed = base64.b64encode(bytes.fromhex(WALLETCONNECT["signed_digest"])).decode()
    with pytest.raises(WalletAnswerError, match="digest of signedData"):
        parse_walletconnect_answer(changed(WALLETCONNECT, digest=signed), TEXT)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"signatureHex": EXTENSION["signatureHex"].upper()}, "lower-case hex"),
        ({"signatureHex": "0x" + EXTENSION["signatureHex"]}, "lower-case hex"),
        ({"signatureHex": EXTENSION["signatureHex"][:-1]}, "lower-case hex"),
        ({"signatureHex": EXTENSION["signatureHex"][:-2]}, "63 bytes, not 64"),
        ({"signatureHex": EXTENSION["signatureHex"] + "\n"}, "lower-case hex"),
        ({"digestHex": "00" * 32}, "digest of the text"),
        ({"digestHex": ""}, "lower-case hex"),
    ],
)
def test_an_extension_answer_that_contradicts_itself_is_refused(
    changes: Answer, complaint: str
) -> None:
    with pytest.raises(WalletAnswerError, match=complaint):
        parse_extension_answer(changed(EXTENSION, **changes), TEXT)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"identity": "A" * 60}, "identity: the last 4 letters"),
        ({"identity": "A" * 56 + "FXIB"}, "another wallet"),
        ({"message": RAW_JSON["message"] + " "}, "message is not the text"),
        ({"message": "\ud800"}, "message is not the text"),
        ({"signature": RAW_JSON["signature"][:-2]}, "130 letters"),
        ({"signature": "Q" + RAW_JSON["signature"][1:]}, "130 letters"),
        ({"signature": "P" + RAW_JSON["signature"][1:]}, "check byte"),
        ({"signature": RAW_JSON["signature"] + "\n"}, "130 letters"),
    ],
)
def test_a_signed_message_in_json_that_contradicts_itself_is_refused(
    changes: Answer, complaint: str
) -> None:
    with pytest.raises(WalletAnswerError, match=complaint):
        parse_message_json(changed(RAW_JSON, **changes), TEXT, KEY)


def test_the_letters_of_a_signed_message_may_be_small() -> None:
    small = changed(RAW_JSON, signature=RAW_JSON["signature"].lower())
    signature = parse_message_json(small, TEXT, KEY)
    assert verify(KEY, TEXT, signature)


@pytest.mark.parametrize("parse", [parse_walletconnect_answer, parse_extension_answer])
def test_an_answer_to_another_text_is_refused(
    parse: Callable[[Answer, bytes], bytes],
) -> None:
    answer = WALLETCONNECT if parse is parse_walletconnect_answer else EXTENSION
    with pytest.raises(WalletAnswerError):
        parse(answer, b"hello qubiC")


def test_a_signature_is_read_from_each_text_that_wallets_show() -> None:
    signature = bytes.fromhex(EXTENSION["signatureHex"])
    assert parse_signature_text(EXTENSION["signatureHex"]) == signature
    assert parse_signature_text(base64.b64encode(signature).decode()) == signature
    raw = parse_message_json(RAW_JSON, TEXT, KEY)
    assert parse_signature_text(RAW_JSON["signature"]) == raw


@pytest.mark.parametrize("text", ["", "ab", "g" * 128, "A" * 130, "AB" * 63, "é" * 88])
def test_a_text_that_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(WalletAnswerError):
        parse_signature_text(text)
