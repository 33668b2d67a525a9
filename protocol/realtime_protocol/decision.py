"""A signed decision: a hub's word on one wallet, to be used away from the hub.

64 bytes of Ed25519, then the msgpack array that they cover, behind ``realtime/decision/v1`` and LF:

    [v, pubkey32, status, score, seq, epoch8, issued_ms, fresh_until_ms, stale_until_ms,
     audience, session_pub32 or nil, key_id8]  and, only in answer to a nonce:  nonce

Exactly one sequence of bytes says one thing: the shortest msgpack forms, nothing behind the array.
What a decision is worth as time goes by is `decision_policy`'s to say.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, MsgspecError, Struct, msgpack

from realtime_protocol.messages import INTEGER_MAX, TrustStatus
from realtime_protocol.session_key import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    Kind,
    session_public_key,
    sign_with_session_key,
    verify_with_session_key,
)

DECISION_VERSION: Final = 1
DECISION_BYTES_MAX: Final = 255
"""Of the whole, signature included."""
AUDIENCE_LETTERS_MAX: Final = 61
NONCE_LETTERS_MAX: Final = 32
KEY_ID_BYTES: Final = 8
EPOCH_BYTES: Final = 8
SCORE_MAX: Final = 100

_AUDIENCE: Final = rf"^[!-~]{{1,{AUDIENCE_LETTERS_MAX}}}\Z"
_NONCE: Final = rf"^[!-~]{{1,{NONCE_LETTERS_MAX}}}\Z"

Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Uint = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]


class Refusal(StrEnum):
    """Why a decision is worth nothing here, in the order in which it is looked at."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    OTHER_AUDIENCE = "other_audience"
    OTHER_NONCE = "other_nonce"


class DecisionRefused(ValueError):  # noqa: N818 - an outcome, not a mistake of the caller
    """These bytes are no decision for this reader; *refusal* says why."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(f"{refusal}: {detail}")
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a hub says of a wallet. Times are epoch ms.

    It reflects every change up to place *seq* of the trust log with that *epoch*. *session_key* is
    the Ed25519 key that stands for the wallet; without one a decision proves nobody's presence.
    """

    wallet: bytes
    status: TrustStatus
    score: int
    seq: int
    epoch: bytes
    issued_ms: int
    fresh_until_ms: int
    stale_until_ms: int
    audience: str
    session_key: bytes | None
    key_id: bytes
    nonce: str | None = None

    def __post_init__(self) -> None:
        if not self.issued_ms <= self.fresh_until_ms <= self.stale_until_ms:
            raise ValueError(
                "a decision is issued, then fresh, then stale; its times say otherwise"
            )


class _Body(Struct, array_like=True, frozen=True, gc=False):
    """The array as msgpack holds it; a missing nonce is no element, not nil."""

    version: Annotated[int, Meta(ge=DECISION_VERSION, le=DECISION_VERSION)]
    wallet: Key
    status: TrustStatus
    score: Annotated[int, Meta(ge=0, le=SCORE_MAX)]
    seq: Uint
    epoch: Annotated[bytes, Meta(min_length=EPOCH_BYTES, max_length=EPOCH_BYTES)]
    issued_ms: Uint
    fresh_until_ms: Uint
    stale_until_ms: Uint
    audience: Annotated[str, Meta(pattern=_AUDIENCE)]
    session_key: Key | None
    key_id: Annotated[bytes, Meta(min_length=KEY_ID_BYTES, max_length=KEY_ID_BYTES)]
    nonce: Annotated[str, Meta(pattern=_NONCE)] | None = None


_encode: Final = msgpack.Encoder().encode
_decode_body: Final = msgpack.Decoder(_Body).decode


def key_id_of(public_key: bytes) -> bytes:
    """Return the 8 bytes that name a hub's key: the start of its SHA-256."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def encode_decision(decision: Decision) -> bytes:
    """Return the array, which the signature covers behind its type line."""
    fields: list[object] = [
        DECISION_VERSION,
        decision.wallet,
        int(decision.status),
        decision.score,
        decision.seq,
        decision.epoch,
        decision.issued_ms,
        decision.fresh_until_ms,
        decision.stale_until_ms,
        decision.audience,
        decision.session_key,
        decision.key_id,
    ]
    if decision.nonce is not None:
        fields.append(decision.nonce)
    return _encode(fields)


def sign_decision(seed: bytes, decision: Decision) -> bytes:
    """Return the signed decision.

    ValueError when *key_id* isn't that key's, when a field is out of bounds, and when the whole
    would be over `DECISION_BYTES_MAX` (a session key and a nonce leave 38 letters of audience).
    """
    if decision.key_id != key_id_of(session_public_key(seed)):
        raise ValueError("key_id names another key than the one that signs")
    body = encode_decision(decision)
    signed = sign_with_session_key(seed, Kind.DECISION, body) + body
    try:
        parse_decision(signed)
    except DecisionRefused as refused:
        raise ValueError(str(refused)) from None
    return signed


def parse_decision(signed: bytes) -> Decision:
    """Take a signed decision apart **without trusting it**; DecisionRefused for its form."""
    if len(signed) > DECISION_BYTES_MAX:
        raise DecisionRefused(
            Refusal.TOO_LONG, f"{len(signed)} bytes; a decision has at most {DECISION_BYTES_MAX}"
        )
    body = bytes(signed[SIGNATURE_BYTES:])
    try:
        read = _decode_body(body)
        decision = Decision(
            wallet=read.wallet,
            status=read.status,
            score=read.score,
            seq=read.seq,
            epoch=read.epoch,
            issued_ms=read.issued_ms,
            fresh_until_ms=read.fresh_until_ms,
            stale_until_ms=read.stale_until_ms,
            audience=read.audience,
            session_key=read.session_key,
            key_id=read.key_id,
            nonce=read.nonce,
        )
    except (MsgspecError, RecursionError, ValueError) as error:
        raise DecisionRefused(Refusal.MALFORMED, str(error)) from error
    if encode_decision(decision) != body:
        raise DecisionRefused(Refusal.MALFORMED, "not in the one form of a decision")
    return decision


def verify_decision(
    signed: bytes, keys: Mapping[bytes, bytes], *, audience: str, nonce: str | None = None
) -> Decision:
    """Return the decision that a hub signed for *audience*; DecisionRefused otherwise.

    *keys* are the hubs' public keys that the reader trusts, by key id: pinned, or read from
    ``/api/v1/keys`` over TLS. With *nonce* only the answer to that nonce counts.
    """
    decision = parse_decision(signed)
    public_key = keys.get(decision.key_id)
    if public_key is None or key_id_of(public_key) != decision.key_id:
        raise DecisionRefused(
            Refusal.UNKNOWN_KEY, f"key {decision.key_id.hex()} is not one of the known hubs'"
        )
    signature, body = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
    if not verify_with_session_key(public_key, Kind.DECISION, body, signature):
        raise DecisionRefused(Refusal.BAD_SIGNATURE, "the signature is not that key's over this")
    if decision.audience != audience:
        raise DecisionRefused(
            Refusal.OTHER_AUDIENCE, f"made for {decision.audience!r}, not for {audience!r}"
        )
    if nonce is not None and decision.nonce != nonce:
        raise DecisionRefused(Refusal.OTHER_NONCE, "made in answer to another nonce, or to none")
    return decision


def is_audience(text: str) -> bool:
    """Tell whether a decision can name *text* as its audience."""
    return re.match(_AUDIENCE, text) is not None
