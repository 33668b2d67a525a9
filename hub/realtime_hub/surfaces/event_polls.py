"""Polls for security events (RFC 8936), and what receivers may know of this transmitter."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct, field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.surfaces.problems import json_response, read_json
from realtime_hub.surfaces.published_keys import JWKS_PATH
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.versions import REST_PREFIX

WAIT_S: Final = 20.0
"""How long a poll waits for an event; below what proxies usually allow."""
EVENTS_MAX: Final = 100
SSF_PATH: Final = "/.well-known/ssf-configuration"
_PUSH: Final = "urn:ietf:rfc:8935"
_POLL: Final = "urn:ietf:rfc:8936"

Jti = Annotated[str, Meta(max_length=64)]


class PollSource(Protocol):
    """What polls need of the export."""

    async def poll(
        self,
        name: str,
        *,
        acknowledged: Sequence[str],
        refused: Mapping[str, str],
        count_max: int,
        wait_s: float,
    ) -> tuple[dict[str, str], bool]:
        """Answer a poll: SETs by jti, and whether more wait."""
        ...


@dataclass(frozen=True, slots=True)
class PollContext:
    """The streams that may be polled, each with the SHA-256 of its token."""

    source: PollSource
    token_hashes: Mapping[str, bytes]
    issuer: str
    unavailable: type[Exception]
    """What the source raises while its queue can't be read."""


class SetError(Struct):
    """Why a receiver can't take an event."""

    err: Annotated[str, Meta(max_length=64)]
    description: Annotated[str, Meta(max_length=256)] = ""


class PollBody(Struct, rename="camel"):
    """POST /events/{stream}: RFC 8936, section 2.2."""

    max_events: Annotated[int, Meta(ge=0)] = EVENTS_MAX
    return_immediately: bool = False
    ack: Annotated[list[Jti], Meta(max_length=EVENTS_MAX)] = field(default_factory=list)
    set_errs: Annotated[dict[Jti, SetError], Meta(max_length=EVENTS_MAX)] = field(
        default_factory=dict
    )


def hash_token(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def poll_routes(context: PollContext) -> list[Route]:
    """Return the routes for receivers of events."""

    async def poll(request: Request) -> Response:
        name = request.path_params["stream"]
        _require_receiver(context, name, request)
        body = await read_json(request, PollBody)
        refused = {jti: f"{error.err} {error.description}" for jti, error in body.set_errs.items()}
        try:
            sets, more = await context.source.poll(
                name,
                acknowledged=body.ack,
                refused=refused,
                count_max=body.max_events,
                wait_s=0.0 if body.return_immediately else WAIT_S,
            )
        except context.unavailable as error:
            raise RequestError(
                ErrorCode.OVERLOADED, "events can't be read now", retry_after_ms=1_000
            ) from error
        return json_response({"sets": sets, "moreAvailable": more})

    async def describe(_request: Request) -> Response:
        body: dict[str, Any] = {
            "spec_version": "1_0",
            "issuer": context.issuer,
            "jwks_uri": context.issuer + JWKS_PATH,
            "delivery_methods_supported": [_PUSH, _POLL],
        }
        return Response(
            msgspec.json.encode(body),
            media_type="application/json",
            headers={"Cache-Control": "public, max-age=3600"},
        )

    return [
        Route(f"{REST_PREFIX}/events/{{stream}}", poll, methods=["POST"]),
        Route(SSF_PATH, describe, methods=["GET"]),
    ]


def _require_receiver(context: PollContext, name: str, request: Request) -> None:
    """Let the stream's receiver in; unknown streams and wrong tokens look alike."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = context.token_hashes.get(name, bytes(32))
    proven = hmac.compare_digest(hash_token(token), expected)
    if scheme.lower() != "bearer" or not proven:
        raise RequestError(
            ErrorCode.NOT_AUTHENTICATED, "send the stream's token: Authorization: Bearer"
        )
