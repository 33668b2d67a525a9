"""The three ways in which Qubic wallets sign a text, and the four forms of their answers.

The schemes differ in what enters SchnorrQ (facts were read from the wallets' sources):

- wc: K12 of a fixed line and the text. The mobile wallet over WalletConnect.
- k12: K12 of the text. The browser extension's ``signMessage``.
- raw: the text itself. Sign-message pages, web wallet, Toolkit.

Scheme key is not a wallet's: there the session's Ed25519 key signs.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

from realtime_protocol.identity import parse_identity
from realtime_protocol.messages import Scheme as Scheme
from realtime_protocol.schnorrq import SIGNATURE_BYTES, KeyPair, k12, sign, verify
from realtime_protocol.session_key import Kind, covered_bytes

WALLETCONNECT_LINE: Final = b"Qubic Signed Message:\n"

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_SHIFTED_HEX: Final = re.compile(r"[A-Pa-p]{130}")


class WalletAnswerError(ValueError):
    """A wallet's answer has another form than its kind, or belongs to another text or wallet."""


def signed_message(scheme: Scheme, text: bytes) -> bytes:
    """Return the exact bytes that enter the signature when *text* is signed under *scheme*."""
    match scheme:
        case Scheme.WC:
            return k12(WALLETCONNECT_LINE + text)
        case Scheme.K12:
            return k12(text)
        case Scheme.RAW:
            return text
        case Scheme.KEY:
            return covered_bytes(Kind.LOGIN, text)


def sign_login(scheme: Scheme, keypair: KeyPair, text: bytes) -> bytes:
    """Sign *text* as a wallet of that scheme does."""
    _require_wallet_scheme(scheme)
    return sign(keypair.subseed, keypair.public_key, signed_message(scheme, text))


def verify_login_signature(
    scheme: Scheme, public_key: bytes, text: bytes, signature: bytes
) -> bool:
    """Tell whether the wallet signed *text* under exactly that scheme.

    ValueError for scheme key: its signature is the session key's, see `session_key`.
    """
    _require_wallet_scheme(scheme)
    return verify(public_key, signed_message(scheme, text), signature)


def _require_wallet_scheme(scheme: Scheme) -> None:
    if scheme == Scheme.KEY:
        raise ValueError("scheme key is signed by a session key, not by the wallet")


def parse_walletconnect_answer(answer: Mapping[str, object], text: bytes) -> bytes:
    """Return the signature in the answer to ``qubic_sign``: {signedData, digest, signature}.

    All base64. signedData repeats line, text and signature; digest is K12 of that, not of what was
    signed.
    """
    signature = _parse_base64(answer, "signature", SIGNATURE_BYTES)
    signed_data = WALLETCONNECT_LINE + text + signature
    if _parse_base64(answer, "signedData", len(signed_data)) != signed_data:
        raise WalletAnswerError("signedData is not the text that was asked for and its signature")
    if _parse_base64(answer, "digest", 32) != k12(signed_data):
        raise WalletAnswerError("digest is not the digest of signedData")
    return signature


def parse_extension_answer(answer: Mapping[str, object], text: bytes) -> bytes:
    """Return the signature in the answer of ``qubic.signMessage``: {signatureHex, digestHex}."""
    signature = _parse_hex(answer, "signatureHex", SIGNATURE_BYTES)
    if _parse_hex(answer, "digestHex", 32) != k12(text):
        raise WalletAnswerError("digestHex is not the digest of the text that was asked for")
    return signature


def parse_message_json(answer: Mapping[str, object], text: bytes, public_key: bytes) -> bytes:
    """Return the signature in {identity, message, signature} as sign-message pages show it.

    The signature is 130 letters A to P, two a byte: 64 bytes and one check byte.
    """
    try:
        signer = parse_identity(_field(answer, "identity"))
    except ValueError as error:
        raise WalletAnswerError(f"identity: {error}") from error
    if signer != public_key:
        raise WalletAnswerError("the message was signed by another wallet")
    if _field(answer, "message").encode("utf-8", "surrogatepass") != text:
        raise WalletAnswerError("message is not the text that was asked for")
    return _parse_shifted_hex(_field(answer, "signature"))


def parse_signature_text(text: str) -> bytes:
    """Return the signature in a text: 128 hex digits, 88 of base64, or 130 letters A to P."""
    if len(text) == 2 * SIGNATURE_BYTES:
        return _parse_hex({"signature": text}, "signature", SIGNATURE_BYTES)
    if _SHIFTED_HEX.fullmatch(text):
        return _parse_shifted_hex(text)
    return _parse_base64({"signature": text}, "signature", SIGNATURE_BYTES)


def _parse_shifted_hex(letters: str) -> bytes:
    if not _SHIFTED_HEX.fullmatch(letters):
        raise WalletAnswerError("signature is not 130 letters A to P")
    nibbles = bytes(ord(letter) - ord("A") for letter in letters.upper())
    data = bytes(high << 4 | low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))
    signature, check = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if k12(signature, 1) != check:
        raise WalletAnswerError("the check byte doesn't fit the signature; look for a wrong letter")
    return signature


def _field(answer: Mapping[str, object], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise WalletAnswerError(f"{name} is missing or not a text")
    return value


def _parse_base64(answer: Mapping[str, object], name: str, size_bytes: int) -> bytes:
    text = _field(answer, name)
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise WalletAnswerError(f"{name} is not base64") from None
    if b64encode(data).decode() != text:
        raise WalletAnswerError(f"{name} is not base64 in its one form")
    return _sized(name, data, size_bytes)


def _parse_hex(answer: Mapping[str, object], name: str, size_bytes: int) -> bytes:
    text = _field(answer, name)
    if not _HEX.fullmatch(text):
        raise WalletAnswerError(f"{name} is not lower-case hex")
    return _sized(name, bytes.fromhex(text), size_bytes)


def _sized(name: str, data: bytes, size_bytes: int) -> bytes:
    if len(data) != size_bytes:
        raise WalletAnswerError(f"{name} has {len(data)} bytes, not {size_bytes}")
    return data
