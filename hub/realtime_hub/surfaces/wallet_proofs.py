"""Proofs over REST: a wallet, or a key that it granted, signs a challenge that was issued to it.

Each proves one request: there is nothing that somebody could steal and use again.
"""

import base64
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from realtime_hub.auth.challenges import ProvenChallenge
from realtime_hub.surfaces.callers import Caller
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, parse_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.session_key import KEY_BYTES
from realtime_protocol.wallet_signatures import parse_signature_text

SCHEMES: Final = {"wc": Scheme.WC, "k12": Scheme.K12, "raw": Scheme.RAW, "key": Scheme.KEY}

KeyText = Annotated[str, Meta(max_length=64)]
"""An Ed25519 key as the login text has it: 43 letters of base64url."""


class ChallengeProver(Protocol):
    """What proofs need of TurboAuth."""

    async def prove_rest(
        self,
        challenge_id: str,
        wallet: PublicKey,
        *,
        scheme: Scheme,
        signature: bytes,
        domain: str,
        message: str | None,
    ) -> ProvenChallenge:
        """Check the signature over the challenge's text, once; raise RequestError."""
        ...


class ProofBody(Struct, forbid_unknown_fields=True):
    """What came back for a challenge. *signature* is text in one of the formats of wallets."""

    challenge_id: Annotated[str, Meta(max_length=64)]
    wallet_address: str
    scheme: str
    signature: Annotated[str, Meta(max_length=4096)]
    domain: str | None = None
    """The challenge's, where the API key's app has several."""
    message: Annotated[str, Meta(max_length=1024)] | None = None
    """The text that was signed. It may be left out; given, it must be the hub's to the byte."""


async def check_proof(auth: ChallengeProver, caller: Caller, body: ProofBody) -> ProvenChallenge:
    """Use the challenge up and return who signed it; RequestError."""
    scheme = SCHEMES.get(body.scheme)
    if scheme is None:
        raise RequestError(
            ErrorCode.UNSUPPORTED_SCHEME,
            f"scheme {body.scheme!r}; send wc, k12 or raw, or key for a granted key's signature",
        )
    return await auth.prove_rest(
        body.challenge_id,
        parse_wallet(body.wallet_address),
        scheme=scheme,
        signature=_parse_signature(body.signature),
        domain=caller.choose_domain(body.domain),
        message=body.message,
    )


def parse_wallet(text: str) -> PublicKey:
    """Return the key of 60 letters; RequestError 103."""
    try:
        return parse_identity(text)
    except ValueError as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, f"wallet: {error}") from error


def parse_key(text: str) -> bytes:
    """Return an Ed25519 key; RequestError 103 unless it is written in its one form."""
    try:
        key = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or base64url(key) != text:
        raise RequestError(
            ErrorCode.BAD_MESSAGE, "key: an Ed25519 public key is 43 letters of base64url"
        )
    return key


def base64url(data: bytes) -> str:
    """Return bytes as JSON carries them, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _parse_signature(text: str) -> bytes:
    try:
        return parse_signature_text(text)
    except ValueError as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, f"signature: {error}") from error
