"""The keys that may log in for a wallet, over REST: listed and revoked as in a session.

What a wallet signed counts for all its keys; what a key signed for that key only, since whoever
stole one must not learn of the others, nor shut them out.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.auth.grants import Grant
from realtime_hub.auth.login import ProvenLogin
from realtime_hub.surfaces.callers import Caller
from realtime_hub.surfaces.problems import json_response, read_json
from realtime_hub.surfaces.wallet_proofs import (
    ChallengeProver,
    KeyText,
    ProofBody,
    base64url,
    check_proof,
    parse_key,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.versions import REST_PREFIX


class RestGrants(Protocol):
    """What the routes need of delegation."""

    async def grants_of(self, wallet: PublicKey) -> Sequence[Grant]:
        """Return a wallet's living grants; RequestError 108."""
        ...

    async def revoke(self, wallet: PublicKey, key: bytes | None) -> int:
        """End a key's grant, or all, on every hub; return how many. RequestError 108."""
        ...

    def require_standing(self, wallet: PublicKey, grant: Grant) -> None:
        """Raise RequestError 204 when this hub knows that a grant has ended."""
        ...


class RevokeBody(ProofBody, forbid_unknown_fields=True):
    """POST /wallet/keys/revoke: either *key* or *all*."""

    key: KeyText | None = None
    all: bool = False


def wallet_key_routes(
    auth: ChallengeProver, grants: RestGrants, caller_of: Callable[[Request], Caller]
) -> list[Route]:
    """Return the routes. *caller_of* counts a request and tells who asks."""

    async def list_keys(request: Request) -> Response:
        caller = caller_of(request)
        body = await read_json(request, ProofBody)
        login = (await check_proof(auth, caller, body)).login
        found = await grants.grants_of(login.wallet)
        keys = [_describe(one) for one in found if _concerns(login, one.terms.key)]
        return json_response({"wallet": encode_identity(login.wallet), "keys": keys})

    async def revoke(request: Request) -> Response:
        caller = caller_of(request)
        body = await read_json(request, RevokeBody)
        key = _which(body)
        login = (await check_proof(auth, caller, body)).login
        if not _concerns(login, key):
            raise RequestError(
                ErrorCode.FORBIDDEN_SCOPE,
                "a key's signature revokes that key only; have the wallet sign",
            )
        revoked = await grants.revoke(login.wallet, key)
        return json_response({"wallet": encode_identity(login.wallet), "revoked": revoked})

    return [
        Route(f"{REST_PREFIX}/wallet/keys/list", list_keys, methods=["POST"]),
        Route(f"{REST_PREFIX}/wallet/keys/revoke", revoke, methods=["POST"]),
    ]


def _which(body: RevokeBody) -> bytes | None:
    """Return the key to revoke, None for all; a request that names neither means nothing."""
    if (body.key is None) is not body.all:
        raise RequestError(
            ErrorCode.BAD_MESSAGE, 'name what to revoke: either "key" or "all": true'
        )
    return None if body.key is None else parse_key(body.key)


def _concerns(login: ProvenLogin, key: bytes | None) -> bool:
    return not login.by_key or key == login.session_key


def _describe(grant: Grant) -> dict[str, object]:
    terms = grant.terms
    return {
        "key": base64url(terms.key),
        "scopes": terms.scopes,
        "until_ms": terms.until_ms,
        "domain": terms.domain,
        "created_ms": grant.created_ms,
        "last_used_ms": grant.last_used_ms,
        "spends": [
            {
                "wallet": encode_identity(one.wallet),
                "max_qu": one.max_qu,
                "until_ms": one.until_ms,
            }
            for one in terms.spends
        ],
    }
