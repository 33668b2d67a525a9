"""Ed25519 session keys, and the type line that keeps our signatures apart.

Every signature of ours covers ``realtime/<kind>/v1`` and LF first, so that one made for a resume
can't pass for a receipt. The 32-byte seed of a key comes from the caller's entropy.
"""

from enum import StrEnum
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class Kind(StrEnum):
    """What a signature of ours is for."""

    LOGIN = "login"
    RESUME = "resume"
    DECISION = "decision"
    QUOTE = "quote"
    RECEIPT = "receipt"
    EVENT = "event"
    PRESENCE = "presence"


def covered_bytes(kind: Kind, body: bytes) -> bytes:
    """Return what a signature of that kind covers: the type line, LF, the body."""
    return f"realtime/{Kind(kind)}/v1\n".encode() + body


def session_public_key(seed: bytes) -> bytes:
    """Return the public key of a 32-byte seed."""
    return bytes(_signing_key(seed).verify_key)


def sign_with_session_key(seed: bytes, kind: Kind, body: bytes) -> bytes:
    """Return the 64-byte signature of the key with that seed."""
    return _signing_key(seed).sign(covered_bytes(kind, body)).signature


def sign_bare(seed: bytes, message: bytes) -> bytes:
    """Return the signature over *message* as it is, for formats of others (JWS).

    A key that signs so must sign nothing of ours: there is no type line to tell them apart.
    """
    return _signing_key(seed).sign(message).signature


def verify_with_session_key(public_key: bytes, kind: Kind, body: bytes, signature: bytes) -> bool:
    """Tell whether the key signed that body as that kind; wrong lengths are False."""
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(public_key).verify(covered_bytes(kind, body), signature)
    except BadSignatureError:
        return False
    return True


def resume_body(*, domain: str, uri: str, sid: str, nonce: str) -> bytes:
    """Return what proves a resume on the connection whose challenge has that nonce."""
    fields = (domain, uri, sid, nonce)
    if any("\n" in field for field in fields):
        raise ValueError("no field of a resume proof holds a line feed")
    return "\n".join(fields).encode()


def presence_body(*, audience: str, nonce: str) -> bytes:
    """Return what a session key signs to show *audience*, which sent *nonce*, that it is here."""
    if "\n" in audience or "\n" in nonce:
        raise ValueError("no field of a proof of presence holds a line feed")
    return f"{audience}\n{nonce}".encode()


def _signing_key(seed: bytes) -> SigningKey:
    if len(seed) != KEY_BYTES:
        raise ValueError(f"the seed of a session key has {KEY_BYTES} bytes, not {len(seed)}")
    return SigningKey(seed)
