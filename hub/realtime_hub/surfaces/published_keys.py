"""The public halves of the hub's keys: for readers of decisions and quotes, and as a JWK set."""

import base64
import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.clock import Clock
from realtime_hub.keys import KeyRing, PublishedKey, Purpose
from realtime_protocol.versions import REST_PREFIX

MAX_AGE_S: Final = 300
"""How long a copy of the key set may be used; a rotation publishes a key earlier than that."""
JWKS_PATH: Final = "/.well-known/jwks.json"


def key_routes(keys: Callable[[], KeyRing], clock: Clock) -> list[Route]:
    """Return the routes that publish the keys."""

    def published() -> list[PublishedKey]:
        return keys().published(clock.now_ms())

    async def key_set(request: Request) -> Response:
        body = {"keys": [_describe(told) for told in published()]}
        return _cacheable(request, body, "application/json")

    async def jwk_set(request: Request) -> Response:
        events = [told for told in published() if told.key.purpose is Purpose.EVENT]
        body = {"keys": [_as_jwk(told) for told in events]}
        return _cacheable(request, body, "application/jwk-set+json")

    return [
        Route(f"{REST_PREFIX}/keys", key_set, methods=["GET"]),
        Route(JWKS_PATH, jwk_set, methods=["GET"]),
    ]


def _describe(told: PublishedKey) -> dict[str, object]:
    return {
        "key_id": told.key.key_id.hex(),
        "purpose": told.key.purpose,
        "algorithm": "Ed25519",
        "public_key": told.key.public_key.hex(),
        "state": told.state,
        "signs_from_ms": told.key.signs_from_ms,
        "signs_until_ms": told.signs_until_ms,
        "published_until_ms": told.published_until_ms,
    }


def _as_jwk(told: PublishedKey) -> dict[str, object]:
    """Return a key as RFC 8037 writes it."""
    x = base64.urlsafe_b64encode(told.key.public_key).decode().rstrip("=")
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": x,
        "kid": told.key.key_id.hex(),
        "use": "sig",
        "alg": "EdDSA",
    }


def _cacheable(request: Request, body: object, media_type: str) -> Response:
    content = msgspec.json.encode(body)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={MAX_AGE_S}", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
