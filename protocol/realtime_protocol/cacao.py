"""A signed login as a CACAO (CAIP-74), with the CAIP-122 profile of Qubic: for export, and checked.

The payload's fields are the login text's; the signature is over that text, built again from them.
docs/reference/caip122-qubic.md is the profile.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from realtime_protocol.identity import encode_identity, parse_identity, refusal_of_wallet_key
from realtime_protocol.login_resources import encode_time, parse_time
from realtime_protocol.login_text import (
    RESOURCES_MAX,
    STATEMENT,
    VERSION,
    LoginChallenge,
    LoginText,
    build_login_text,
)
from realtime_protocol.wallet_signatures import Scheme, verify_login_signature

_SCHEMES: Final = {"qubic:wc": Scheme.WC, "qubic:k12": Scheme.K12, "qubic:raw": Scheme.RAW}
_TYPES: Final = {scheme: name for name, scheme in _SCHEMES.items()}
_ISSUER: Final = "did:pkh:qubic:"


class _Header(Struct, forbid_unknown_fields=True):
    t: Literal["caip122"] = "caip122"


class _Payload(Struct, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    iss: str
    domain: str
    aud: str
    version: str
    nonce: str
    iat: str
    exp: str
    statement: str
    request_id: str
    resources: Annotated[list[str], Meta(max_length=RESOURCES_MAX)] = field(default_factory=list)


class _Signature(Struct, forbid_unknown_fields=True):
    t: Literal["qubic:wc", "qubic:k12", "qubic:raw"]
    s: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class _Cacao(Struct, forbid_unknown_fields=True):
    h: _Header
    p: _Payload
    s: _Signature


class CacaoRefused(ValueError):  # noqa: N818 - an outcome, not a mistake of the caller
    """This is no login by the wallet that it names."""


def build_cacao(
    challenge: LoginChallenge,
    wallet: bytes,
    scheme: Scheme,
    signature: bytes,
    resources: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the CACAO of a login, ready for JSON; whether it holds is `verify_cacao`'s to say."""
    payload = _Payload(
        iss=f"{_ISSUER}{challenge.chain}:{encode_identity(wallet)}",
        domain=challenge.domain,
        aud=challenge.uri,
        version=VERSION,
        nonce=challenge.nonce,
        iat=encode_time(challenge.issued_ms),
        exp=encode_time(challenge.expires_ms),
        statement=STATEMENT,
        request_id=challenge.request_id,
        resources=list(resources),
    )
    name: Any = _TYPES[scheme]
    cacao = _Cacao(_Header(), payload, _Signature(name, signature.hex()))
    built: dict[str, Any] = msgspec.to_builtins(cacao)
    return built


def verify_cacao(cacao: Mapping[str, Any]) -> LoginText:
    """Return the login that a wallet signed; CacaoRefused when the form or the signature is wrong.

    The caller still has to compare domain, uri, chain and nonce with its own, to look at the times,
    and to read what the resources grant.
    """
    try:
        read = msgspec.convert(cacao, _Cacao)
        login = _login_of(read.p)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CacaoRefused(f"not a CACAO of this profile: {error}") from error
    refusal = refusal_of_wallet_key(login.public_key)
    if refusal is not None:
        raise CacaoRefused(f"nobody can sign with this key: {refusal}")
    text = build_login_text(login.challenge, login.public_key, login.resources)
    signature = bytes.fromhex(read.s.s)
    if not verify_login_signature(_SCHEMES[read.s.t], login.public_key, text, signature):
        raise CacaoRefused(f"the signature is not this wallet's in type {read.s.t}")
    return login


def _login_of(payload: _Payload) -> LoginText:
    if payload.version != VERSION or payload.statement != STATEMENT:
        raise ValueError("version or statement is not this profile's")
    chain, colon, identity = payload.iss.removeprefix(_ISSUER).partition(":")
    if not payload.iss.startswith(_ISSUER) or not colon:
        raise ValueError("iss is not did:pkh:qubic:<chain>:<identity>")
    challenge = LoginChallenge(
        nonce=payload.nonce,
        issued_ms=parse_time(payload.iat),
        expires_ms=parse_time(payload.exp),
        domain=payload.domain,
        uri=payload.aud,
        chain=chain,
        request_id=payload.request_id,
    )
    login = LoginText(challenge, parse_identity(identity), tuple(payload.resources))
    build_login_text(challenge, login.public_key, login.resources)
    return login
